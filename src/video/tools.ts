import { accessSync, constants, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';

export type ToolName = 'ffmpeg' | 'ffprobe';

const INSTALLER = { ffmpeg: '@ffmpeg-installer/ffmpeg', ffprobe: '@ffprobe-installer/ffprobe' } as const;
const VARIABLE = { ffmpeg: 'FFMPEG_PATH', ffprobe: 'FFPROBE_PATH' } as const;

/**
 * The executable to run: `FFMPEG_PATH`/`FFPROBE_PATH` when set, else the first on PATH, else the binary of the optional
 * npm package `@ffmpeg-installer/ffmpeg`/`@ffprobe-installer/ffprobe`.
 *
 * @throws OpsError `Unavailable` naming what was tried; a variable that is set to nothing executable is an error rather
 *   than a reason to look further
 */
export function findTool(name: ToolName, env: NodeJS.ProcessEnv = process.env): string {
  const named = env[VARIABLE[name]];
  if (named) {
    if (isExecutable(named)) return named;
    throw new OpsError(
      'Unavailable',
      `${VARIABLE[name]} names no executable file: ${named}`,
      `set it to the path of ${name}, or unset it to have ${name} looked up`,
    );
  }
  return onPath(name, env['PATH'] ?? '') ?? installed(name);
}

function onPath(name: ToolName, searchPath: string): string | undefined {
  const file = process.platform === 'win32' ? `${name}.exe` : name;
  return searchPath
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, file))
    .find(isExecutable);
}

function installed(name: ToolName): string {
  let why = 'its binary is not executable by this user';
  try {
    const found = (createRequire(import.meta.url)(INSTALLER[name]) as { path: string }).path;
    if (isExecutable(found)) return found;
  } catch (error) {
    // @ffmpeg-installer throws a plain string for a platform it has no binary for.
    const text = error instanceof Error ? error.message : String(error);
    why = text.split('\n', 1)[0] ?? text;
  }
  throw new OpsError(
    'Unavailable',
    `${name} was not found: not on PATH, and npm's ${INSTALLER[name]} has none (${why})`,
    `install ffmpeg (Debian: apt-get install ffmpeg), or set ${VARIABLE[name]}, or run npm install with optional dependencies`,
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
