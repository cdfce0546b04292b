import { setTimeout as delay } from 'node:timers/promises';
import type { Incarnation } from '../domain/ids.js';
import {
  type BackupRow,
  abandonedBackups,
  folderOf,
  forgetProgress,
  noteBackupFailed,
} from '../registry/backups.js';
import { type Pool, transaction } from '../registry/database.js';
import type { Shelf } from './shelf.js';
import { emptyFolder } from './store/emptyFolder.js';

/** An activity whose workflow was terminated hears of it by its next heartbeat: they are 4 s apart and may wait for 3. */
const UNTIL_HEARD_MS = 10_000;

export interface GiveUpResources {
  readonly pool: Pool;
  readonly shelf: Pick<Shelf, 'store'>;
  /** How long an operation that was terminated may still write. */
  readonly untilHeardMs?: number;
}

/**
 * Ends a backup as failed and takes away all that was stored of it. Killed anywhere it is gone on with; one that is
 * complete, or removed, stays as it is.
 */
export async function giveUpBackup(
  { pool, shelf }: GiveUpResources,
  row: BackupRow,
  signal: AbortSignal,
): Promise<void> {
  // Failed first: from then on no other attempt can complete it, nor begin a part.
  if (!(await noteBackupFailed(pool, row.backup))) return;
  await emptyFolder(await shelf.store(row.store), folderOf(row), signal);
  await transaction(pool, (tx) => forgetProgress(tx, row.backup));
}

/**
 * Gives up the backups of a life whose operations were ended by force, and could not do so themselves.
 *
 * @throws StoreUnavailable while their store does not answer: what they stored is the tenant's
 */
export async function giveUpAbandoned(
  resources: GiveUpResources,
  incarnation: Incarnation,
  signal: AbortSignal,
): Promise<void> {
  const { pool, untilHeardMs = UNTIL_HEARD_MS } = resources;
  const abandoned = await abandonedBackups(pool, incarnation);
  if (abandoned.length === 0) return;
  for (const { backup } of abandoned) await noteBackupFailed(pool, backup);
  await delay(untilHeardMs, undefined, { signal });
  for (const row of abandoned) await giveUpBackup(resources, row, signal);
}
