import type { ConfigServer } from '../vespa/configServer.js';
import type { DocumentClient } from '../vespa/documents.js';
import type { PhoenixClient } from '../phoenix/client.js';
import type { BackupId } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import { type BackupRow, type BackupState, getBackup } from '../registry/backups.js';
import type { Pool } from '../registry/database.js';
import type { PartLimits } from './documents/backUpSlice.js';
import type { BackupPlace } from './format/place.js';
import type { WriteOptions } from './format/writePart.js';
import type { Shelf } from './shelf.js';

export interface BackupResources {
  readonly pool: Pool;
  readonly documents: DocumentClient;
  readonly configServer: ConfigServer;
  readonly phoenix: PhoenixClient;
  readonly shelf: Shelf;
  /** Of documents; those of `backUpSlice` by default. */
  readonly partLimits?: PartLimits;
}

/** Where and how the parts of a running backup are written. @throws OpsError `WrongState` when it has ended */
export async function writerOf(
  { pool, shelf }: Pick<BackupResources, 'pool' | 'shelf'>,
  { backup }: { readonly backup: BackupId },
  signal?: AbortSignal,
): Promise<{ readonly row: BackupRow; readonly place: BackupPlace; readonly options: WriteOptions }> {
  const row = await getBackup(pool, backup);
  requireState(row, ['running', 'complete']);
  return {
    row,
    place: await shelf.placeOf(row),
    options: {
      key: await shelf.dataKey(row),
      signal,
      // What an attempt that is thought dead stores after the end would be no part of the backup.
      beforeStored: async () => requireState(await getBackup(pool, backup), ['running']),
    },
  };
}

function requireState({ backup, state }: BackupRow, allowed: readonly BackupState[]): void {
  if (!allowed.includes(state))
    throw new OpsError('WrongState', `backup ${backup} is ${state}`, 'begin another one');
}
