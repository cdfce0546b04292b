import { MANIFEST_NAME, type StorePath, within } from '../../domain/backups.js';
import { type BackupStore, StoreUnavailable, type StoredObject } from './store.js';

/** How often a folder is looked into again before somebody else is taken to write there. */
const LOOKS = 5;
/** Removals under way at once: each is a request of its own to S3. */
const AT_ONCE = 8;

/**
 * Takes all of a backup away: its manifest first, so that what is left is no backup; then all else, until nothing is listed
 * any more. Again is fine.
 *
 * @returns what was there and is not any more, by listing it again
 * @throws StoreUnavailable also when objects keep coming
 */
export async function emptyFolder(
  store: BackupStore,
  folder: StorePath,
  signal: AbortSignal | undefined,
  onProgress?: (objects: number) => void,
): Promise<{ objects: number; bytes: number }> {
  const manifest = await store.head(within(folder, MANIFEST_NAME), { signal });
  const gone = { objects: 0, bytes: 0 };
  const remove = async (found: StoredObject) => {
    await store.remove(found.path, { signal });
    gone.objects++;
    gone.bytes += found.size;
    onProgress?.(gone.objects);
  };
  if (manifest !== undefined) await remove(manifest);
  for (let look = 1; look <= LOOKS; look++) {
    // What killed puts left is in no list.
    await store.sweep(folder, 0, { signal });
    const left: StoredObject[] = [];
    for await (const found of store.list(folder, { signal })) left.push(found);
    if (left.length === 0) return gone;
    for (let from = 0; from < left.length; from += AT_ONCE)
      await Promise.all(left.slice(from, from + AT_ONCE).map(remove));
  }
  throw new StoreUnavailable(`objects come back into ${folder} as they are removed`, 'silent');
}
