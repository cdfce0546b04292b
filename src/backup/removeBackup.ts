import { MANIFEST_NAME } from '../domain/backups.js';
import { type BackupPlace, placeOf } from './format/place.js';

/**
 * Takes a backup away: its manifest first, so that it is none from then on, then all that lies in its folder, until a
 * listing is empty. Again is fine.
 *
 * @returns how many objects this call removed
 */
export async function removeBackup(place: BackupPlace, signal: AbortSignal): Promise<{ removed: number }> {
  const { store, folder } = place;
  if (folder === undefined) throw new Error('a backup without a folder is never removed');
  await store.remove(placeOf(place, MANIFEST_NAME), { signal });
  let removed = 0;
  for (let left = true; left;) {
    left = false;
    for await (const { path } of store.list(folder, { signal })) {
      await store.remove(path, { signal });
      removed++;
      left = true;
    }
  }
  await store.sweep(folder, 0, { signal });
  return { removed };
}
