import { type BackupId, MANIFEST_NAME, within } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { type KeepPolicy, type KeepVerdict, applyKeepPolicy } from '../domain/keepPolicy.js';
import { appendAudit } from '../registry/audit.js';
import { backupsToKeepOrNot, noteEmptied, takeBackup, witnessOf } from '../registry/backupKeeping.js';
import { folderOf, getBackup } from '../registry/backups.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import type { OperationRow } from '../registry/operations.js';
import { emptyFolder } from './store/emptyFolder.js';
import type { BackupStore } from './store/store.js';

/**
 * What a policy would do with a tenant's backups, newest first. Each life of the tenant is a series of its own: backups
 * of a re-created tenant do not push those of the former one out.
 *
 * @throws OpsError `InvalidInput` for an empty policy
 */
export async function planPrune(
  db: Queryable,
  tenant: TenantId,
  policy: KeepPolicy,
  now: Date,
): Promise<KeepVerdict[]> {
  const lives = Map.groupBy(await backupsToKeepOrNot(db, tenant), ({ incarnation }) => incarnation);
  return [...lives.values()]
    .flatMap((candidates) => applyKeepPolicy(policy, candidates, now))
    .sort((a, b) => (a.backup < b.backup ? 1 : -1));
}

export interface Removal {
  readonly backup: BackupId;
  /** What the policy said. */
  readonly why: string;
  readonly by: Pick<OperationRow, 'operation' | 'principal' | 'reason'>;
}

/**
 * Removes a backup: first its row, under lock, so that nobody begins to restore from it; then the manifest, so that what
 * is left is no backup; then all else, until nothing is listed any more. Killed anywhere it is gone on with.
 *
 * @param open the store of a location; it is closed here
 * @returns what this call took away
 * @throws OpsError `WrongState` when it is not to go now, or its store is not what it was; StoreUnavailable
 */
export async function removeBackup(
  pool: Pool,
  open: (location: string) => Promise<BackupStore>,
  { backup, why, by }: Removal,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: (objects: number) => void } = {},
): Promise<{ objects: number; bytes: number }> {
  const { tenant, store: location } = await getBackup(pool, backup);
  const folder = folderOf({ tenant, backup });
  const detail = { backup, why, store: location };
  const audit = (tx: Queryable, outcome: string, more: object = {}) =>
    appendAudit(tx, { ...by, verb: 'remove-backup', tenant, outcome, detail: { ...detail, ...more } });
  const store = await open(location);
  try {
    await requireSameStore(pool, store, location, { tenant, backup }, signal);
    await transaction(pool, async (tx) => {
      const before = await takeBackup(tx, backup);
      if (before.state !== 'removed') await audit(tx, 'started', { from: before.state });
    });
    const gone = await emptyFolder(store, folder, signal, onProgress);
    await transaction(pool, async (tx) => {
      if (await noteEmptied(tx, backup)) await audit(tx, 'completed', gone);
    });
    return gone;
  } finally {
    await store.close();
  }
}

/** A store that holds neither this backup nor the newest other one is no proof that anything is gone. */
async function requireSameStore(
  pool: Pool,
  store: BackupStore,
  location: string,
  it: { readonly tenant: TenantId; readonly backup: BackupId },
  signal: AbortSignal | undefined,
): Promise<void> {
  const isThere = async (of: Parameters<typeof folderOf>[0]) =>
    (await store.head(within(folderOf(of), MANIFEST_NAME), { signal })) !== undefined;
  if (await isThere(it)) return;
  const witness = await witnessOf(pool, location, it.backup);
  if (witness !== undefined && (await isThere(witness))) return;
  const { state } = await getBackup(pool, it.backup);
  if (witness === undefined && state !== 'complete') return;
  const missing = (witness ?? it).backup;
  throw new OpsError(
    'WrongState',
    `backup ${it.backup} stays: backup ${missing} is not found in ${location}, so it may not be the store it was`,
    'mount the disk, or see what is there with: cvops backup verify',
  );
}
