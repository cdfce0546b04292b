import { lstat, unlink } from 'node:fs/promises';
import { isStorePath, parseStorePath } from '../../../domain/backups.js';
import type { StoredObject } from '../store.js';
import type { Directory } from './directory.js';
import { isNoFile, isLink } from './failures.js';
import { fileIn, rmdirIfEmpty, unless } from './tree.js';

/** No name in a store begins with a dot, so nothing lists these. */
export const TEMPORARY = '.put-';

/**
 * The files below a directory in the order of their whole paths' bytes. What no store could have made is passed over if
 * its name says so, and an error if it has the name of an object.
 */
export async function* walkFolder(
  folder: Directory,
  signal?: AbortSignal,
): AsyncGenerator<StoredObject, void> {
  const entries = (await folder.entries()).filter(({ name }) => isStorePath(folder.placeOf(name)));
  const keyed = entries.map((entry) => ({
    entry,
    // What is in a folder `a` comes after `a.json`, as `/` comes after `.`.
    key: entry.isDirectory() ? `${entry.name}/` : entry.name,
  }));
  for (const { entry } of keyed.sort((a, b) => (a.key < b.key ? -1 : 1))) {
    signal?.throwIfAborted();
    const place = parseStorePath(folder.placeOf(entry.name));
    if (entry.isDirectory()) {
      await using below = (await folder.child(entry.name)) ?? null;
      if (below !== null) yield* walkFolder(below, signal);
    } else if (entry.isFile()) {
      const found = await fileIn(folder, entry.name);
      if (found !== undefined) yield { path: place, size: found.size, modifiedAt: found.mtime };
    } else throw entry.isSymbolicLink() ? isLink(place) : isNoFile(place);
  }
}

/** Removes temporary files last written before `before` (ms), and the folders that are empty then. */
export async function sweepFolder(folder: Directory, before: number, signal?: AbortSignal): Promise<void> {
  for (const entry of await folder.entries()) {
    signal?.throwIfAborted();
    if (entry.isDirectory() && isStorePath(folder.placeOf(entry.name))) {
      await using below = (await folder.child(entry.name)) ?? null;
      if (below !== null) await sweepFolder(below, before, signal);
      await rmdirIfEmpty(folder, entry.name);
    } else if (entry.isFile() && entry.name.startsWith(TEMPORARY)) {
      const found = await lstat(folder.at(entry.name)).catch(unless('ENOENT'));
      if (found !== undefined && found.mtimeMs <= before)
        await unlink(folder.at(entry.name)).catch(unless('ENOENT'));
    }
  }
}
