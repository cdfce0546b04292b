import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { quoteForMessage } from '../domain/ids.js';

/**
 * The videos of a folder and the folders below it, as paths relative to it with `/`, in the order of their UTF-16 code
 * units (the same on every machine). Files whose names end in `.mp4`, in any case, except `._…` (what macOS leaves on
 * foreign disks).
 *
 * What is named like a video and is none is listed too, so that it ends as a failed item with its reason: a broken
 * link, a link out of the folder, a folder `x.mp4` without videos. So is a subfolder that may not be read. Links to
 * folders are not followed.
 *
 * @throws OpsError `InvalidInput` for a folder that is missing, no folder, unreadable, or without videos
 */
export async function discoverVideos(root: string, signal?: AbortSignal): Promise<string[]> {
  const found = await findVideos(root, signal);
  if (found.length === 0) {
    throw invalid(
      `no videos in ${quoteForMessage(root)}`,
      'give a folder that has *.mp4 files in it or in folders below it',
    );
  }
  return found;
}

/** The same for a folder that may have none. @throws OpsError `InvalidInput` for one that cannot be read */
export async function findVideos(root: string, signal?: AbortSignal): Promise<string[]> {
  await checkRoot(root);
  const found: string[] = [];
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    signal?.throwIfAborted();
    const before = found.length;
    const entries = await list(root, folder);
    if (entries === undefined) {
      if (folder === '')
        throw invalid(`the folder may not be read: ${quoteForMessage(root)}`, 'check its permissions');
      found.push(folder);
      continue;
    }
    let below = 0;
    for (const entry of entries) {
      const relative = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        folders.push(relative);
        below++;
      } else if (isVideoName(entry.name)) {
        found.push(relative);
      }
    }
    if (below === 0 && found.length === before && isVideoName(path.posix.basename(folder)))
      found.push(folder);
  }
  return found.sort(byCodeUnit);
}

/**
 * The file of an item that `discoverVideos` listed, links resolved.
 *
 * @throws OpsError `Rejected` with the reason `unreadable: …` for what is gone, leads out of the folder, or may not be read
 */
export async function resolveVideo(root: string, relative: string): Promise<string> {
  const refuse = (why: string) => new OpsError('Rejected', `unreadable: ${why}`);
  if (relative.includes('\0')) throw refuse('its name holds a zero byte');
  const joined = path.resolve(root, ...relative.split('/'));
  if (!isInside(path.resolve(root), joined)) throw refuse('it is outside the folder');
  try {
    const [realRoot, real] = [await realpath(root), await realpath(joined)];
    if (!isInside(realRoot, real)) throw refuse('a link that leads out of the folder');
    return real;
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
      case 'ENOTDIR':
        // Node replaces what is not UTF-8 in a name, after which the name cannot be found.
        throw refuse(
          relative.includes('\ufffd') ? 'its name is not UTF-8' : 'no such file, or a link to nothing',
        );
      case 'EACCES':
        throw refuse('permission denied');
      case 'ELOOP':
        throw refuse('a chain of links that never ends');
      default:
        throw error;
    }
  }
}

async function checkRoot(root: string): Promise<void> {
  try {
    if ((await stat(root)).isDirectory()) return;
  } catch (error) {
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
async function list(root: string, folder: string): Promise<Dirent[] | undefined> {
  try {
    return await readdir(path.join(root, ...folder.split('/')), { withFileTypes: true });
  } catch (error) {
    if (['EACCES', 'EPERM', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function isVideoName(name: string): boolean {
  return /\.mp4$/i.test(name) && !name.startsWith('._');
}

function isInside(root: string, file: string): boolean {
  const way = path.relative(root, file);
  return way !== '' && way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way);
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function invalid(message: string, hint: string): OpsError {
  return new OpsError('InvalidInput', message, hint);
}
