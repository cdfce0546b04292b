import { existsSync } from 'node:fs';
import path from 'node:path';
import { OpsError } from '../../domain/errors.js';
import { projectRoot } from '../../projectRoot.js';

/** A compiled file of this project, whether the caller itself is compiled or a test. @throws OpsError `Unavailable` */
export function built(file: string): string {
  const full = path.join(projectRoot, 'dist', file);
  if (existsSync(full)) return full;
  throw new OpsError('Unavailable', `${full} is not built`, 'build the project: npm run build');
}
