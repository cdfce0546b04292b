import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { quoteForMessage } from '../domain/ids.js';
import { type Pin, unpinned } from '../pinned.js';

/**
 * The videos of a folder and the folders below it, as paths relative to it with `/`, in one order on every machine: each
 * folder's by the UTF-16 code units of their names, one folder in memory at a time and those above it. Files whose names
 * end in `.mp4`, in any case, except `._…` (what macOS leaves on foreign disks).
 *
 * What is named like a video and is none is listed too, so that it ends as a failed item with its reason: a broken
 * link, a link out of the folder, a folder `x.mp4` without videos. So is a subfolder that may not be read. Links to
 * folders are not followed.
 *
 * @param pin opens each folder
 * @throws OpsError `InvalidInput` for a folder that is missing, no folder, or unreadable
 */
export async function* walkVideos(
  root: string,
  signal?: AbortSignal,
  pin: Pin = unpinned,
): AsyncGenerator<string, void> {
  await checkRoot(root, pin);
  const entries = await list(root, '', pin);
  if (entries === undefined)
    throw invalid(`the folder may not be read: ${quoteForMessage(root)}`, 'check its permissions');
  yield* walk(root, '', entries, signal, pin);
}

async function* walk(
  root: string,
  folder: string,
  entries: readonly Dirent[],
  signal: AbortSignal | undefined,
  pin: Pin,
): AsyncGenerator<string, void> {
  signal?.throwIfAborted();
  let [videos, folders] = [0, 0];
  for (const { entry } of inOrder(entries)) {
    const relative = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      folders++;
      const below = await list(root, relative, pin);
      if (below === undefined) yield relative;
      else yield* walk(root, relative, below, signal, pin);
    } else if (isVideoName(entry.name)) {
      videos++;
      yield relative;
    }
  }
  if (videos + folders === 0 && isVideoName(path.posix.basename(folder))) yield folder;
}

/** As their whole paths would be: what is in a folder `a` comes after `a.mp4`, because `/` comes after `.`. */
function inOrder(entries: readonly Dirent[]): { entry: Dirent; key: string }[] {
  return entries
    .map((entry) => ({ entry, key: entry.isDirectory() ? `${entry.name}/` : entry.name }))
    .sort((a, b) => byCodeUnit(a.key, b.key));
}

/**
 * The file of an item that {@link walkVideos} listed, links resolved.
 *
 * @throws OpsError `Rejected` with the reason `unreadable: …` for what is gone, leads out of the folder, or may not be read
 */
export async function resolveVideo(root: string, relative: string): Promise<string> {
  const refuse = (why: string) => new OpsError('Rejected', `unreadable: ${why}`);
  if (relative.includes('\0')) throw refuse('its name holds a zero byte');
  const joined = path.resolve(root, ...relative.split('/'));
  if (!isInside(path.resolve(root), joined)) throw refuse('it is outside the folder');
  const [realRoot, real] = [await realFile(root), await realFile(joined)];
  if (!isInside(realRoot, real)) throw refuse('a link that leads out of the folder');
  return real;
}

/**
 * The file behind a path, links resolved.
 *
 * @throws OpsError `Rejected` with the reason `unreadable: …`
 */
export async function realFile(file: string): Promise<string> {
  const refuse = (why: string) => new OpsError('Rejected', `unreadable: ${why}`);
  try {
    return await realpath(file);
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
      case 'ENOTDIR':
        // Node replaces what is not UTF-8 in a name, after which the name cannot be found.
        throw refuse(
          file.includes('\ufffd') ? 'its name is not UTF-8' : 'no such file, or a link to nothing',
        );
      case 'EACCES':
        throw refuse('permission denied');
      case 'ELOOP':
        throw refuse('a chain of links that never ends');
      case 'ENAMETOOLONG':
        throw refuse('its name is too long');
      default:
        throw error;
    }
  }
}

async function checkRoot(root: string, pin: Pin): Promise<void> {
  try {
    await using pinned = await pin(root);
    if ((await stat(pinned.file)).isDirectory()) return;
  } catch (error) {
    if (error instanceof OpsError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'EACCES' ? 'the folder may not be reached' : 'no such folder';
    throw invalid(
      `${why}: ${quoteForMessage(root)}`,
      'check the path; it is read on the machine of the data worker',
    );
  }
  throw invalid(`not a folder: ${quoteForMessage(root)}`, 'give the folder that holds the video');
}

/** @returns undefined for a folder that may not be read or went away meanwhile */
async function list(root: string, folder: string, pin: Pin): Promise<Dirent[] | undefined> {
  try {
    await using pinned = await pin(path.join(root, ...folder.split('/')));
    return await readdir(pinned.file, { withFileTypes: true });
  } catch (error) {
    if (['EACCES', 'EPERM', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Files named like videos. */
export function isVideoName(name: string): boolean {
  return /\.mp4$/i.test(name) && !name.startsWith('._');
}

export function isInside(root: string, file: string): boolean {
  const way = path.relative(root, file);
  return way !== '' && way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way);
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function invalid(message: string, hint: string): OpsError {
  return new OpsError('InvalidInput', message, hint);
}
