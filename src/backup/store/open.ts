import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { parseStoreLocation } from '../../domain/backupStores.js';
import { codeOf, folderFailure } from './folder/failures.js';
import { FolderStore } from './folder/store.js';
import type { BackupStore } from './store.js';

/**
 * Opens a store; the caller closes it.
 *
 * @param text see `parseStoreLocation`
 * @throws OpsError `InvalidInput`, `PermissionDenied`
 */
export async function openStore(
  text: string,
  settings: { readonly s3Endpoint: string },
): Promise<BackupStore> {
  const location = parseStoreLocation(text);
  if (location.kind === 'folder') return new FolderStore(await resolved(location.path));
  // Loaded at its first use: the SDK costs every command a half a second.
  const [{ s3Client }, { S3Store }] = await Promise.all([
    import('../../sources/s3/client.js'),
    import('./s3/store.js'),
  ]);
  return new S3Store(s3Client(settings), location);
}

/** Links above the root, and the root itself, may be links: it is the operator who names it. */
async function resolved(folder: string): Promise<string> {
  try {
    return await realpath(folder);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw folderFailure(error, folder);
  }
  // The folder itself is made by the first put.
  const above = path.dirname(folder);
  const parent = await realpath(above).catch(() => above);
  return path.join(parent, path.basename(folder));
}
