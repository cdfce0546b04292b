import type { BackupId } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import type { KeepCandidate } from '../domain/keepPolicy.js';
import { type BackupRow, forgetProgress, getBackup } from './backups.js';
import type { Queryable } from './database.js';
import { storableText } from './storable.js';

/** Operations that read a backup: their row names it in its input. */
const READERS = ['restoreTenant', 'verifyBackup', 'drillRestore'] as const;

/** Every backup of a tenant that is not known to be gone, of all its lives, oldest first. */
export async function backupsToKeepOrNot(
  db: Queryable,
  tenant: TenantId,
): Promise<(KeepCandidate & { readonly incarnation: Incarnation })[]> {
  const { rows } = await db.query<KeepCandidate & { incarnation: Incarnation }>(
    `select backup, incarnation, state, to_json(started_at)#>>'{}' as "startedAt", to_json(ended_at)#>>'{}' as "endedAt", sound, hold
     from backups where tenant = $1 and emptied_at is null order by backup`,
    [tenant],
  );
  return rows;
}

/** Whom a prune of all is for. */
export async function tenantsWithBackups(db: Queryable): Promise<TenantId[]> {
  const { rows } = await db.query<{ tenant: TenantId }>(
    'select distinct tenant from backups where emptied_at is null order by tenant',
  );
  return rows.map(({ tenant }) => tenant);
}

/**
 * `complete`, `failed` → `removed`: from here on nobody restores from it. Whoever wants to reads it under a lock in the
 * transaction that writes their operation's row; this one waits for that lock, so either it sees that row or they see
 * this state. Again is fine.
 *
 * @returns the row as it was before
 * @throws OpsError `NotFound`; `WrongState` when it is running, held, in use, or the last that is any good of its life
 */
export async function takeBackup(tx: Queryable, backup: BackupId): Promise<BackupRow> {
  const { incarnation } = await getBackup(tx, backup);
  // All of the life's, in one order: of two prunes the second sees what the first has left.
  await tx.query('select 1 from backups where incarnation = $1 order by backup for update', [incarnation]);
  const row = await getBackup(tx, backup);
  if (row.state === 'removed') return row;
  const kept = (why: string) =>
    new OpsError('WrongState', `backup ${backup} stays: ${why}`, 'prune again later');
  if (row.state === 'running') throw kept('it is running');
  if (row.hold !== null) throw kept(`it is held: ${row.hold}`);
  const reader = await readerOf(tx, backup);
  if (reader !== undefined) throw kept(`operation ${reader} reads it`);
  if (row.state === 'complete' && (await isLastGood(tx, row))) throw kept('it is the newest complete one');
  await tx.query(`update backups set state = 'removed' where backup = $1`, [backup]);
  return row;
}

async function readerOf(tx: Queryable, backup: BackupId): Promise<OperationId | undefined> {
  const { rows } = await tx.query<{ operation: OperationId }>(
    `select operation from operations where state = 'running' and kind = any($1) and input->>'backup' = $2 limit 1`,
    [READERS, backup],
  );
  return rows[0]?.operation;
}

/** The newest complete one of its life, or the newest that is not known to be unsound. */
async function isLastGood(tx: Queryable, { backup, incarnation, sound }: BackupRow): Promise<boolean> {
  const { rows } = await tx.query<{ newer: number; newerGood: number }>(
    `select count(*)::int as newer, count(*) filter (where sound is distinct from false)::int as "newerGood"
     from backups b join (select started_at, backup from backups where backup = $1) this
       on (b.started_at, b.backup) > (this.started_at, this.backup)
     where b.incarnation = $2 and b.state = 'complete'`,
    [backup, incarnation],
  );
  const { newer, newerGood } = rows[0]!;
  return newer === 0 || (sound !== false && newerGood === 0);
}

/** Its folder was found empty. @returns whether this call is the first to say so */
export async function noteEmptied(tx: Queryable, backup: BackupId): Promise<boolean> {
  await forgetProgress(tx, backup);
  const { rowCount } = await tx.query(
    `update backups set emptied_at = now() where backup = $1 and state = 'removed' and emptied_at is null`,
    [backup],
  );
  return rowCount === 1;
}

/**
 * The newest complete backup in a store, of whomever: that it is found there says that the store is what it was, and no
 * empty folder where its disk is not mounted.
 */
export async function witnessOf(
  db: Queryable,
  store: string,
  except: BackupId,
): Promise<Pick<BackupRow, 'tenant' | 'backup'> | undefined> {
  const { rows } = await db.query<Pick<BackupRow, 'tenant' | 'backup'>>(
    `select tenant, backup from backups where store = $1 and state = 'complete' and backup <> $2
     order by backup desc limit 1`,
    [store, except],
  );
  return rows[0];
}

/** The newest complete one of a life, and how many verifications of its backups were begun so far. */
export async function newestComplete(
  db: Queryable,
  incarnation: Incarnation,
): Promise<{ readonly backup: BackupId | null; readonly verifications: number }> {
  const { rows } = await db.query<{ backup: BackupId | null; verifications: number }>(
    `select (select backup from backups where incarnation = $1 and state = 'complete'
             order by started_at desc, backup desc limit 1) as backup,
       (select count(*)::int from operations where incarnation = $1 and kind = 'verifyBackup') as verifications`,
    [incarnation],
  );
  return rows[0]!;
}

/**
 * Keeps a backup whatever a policy says; held already, the reason becomes this one.
 *
 * @throws OpsError `NotFound`; `WrongState` when there is nothing to hold
 */
export async function holdBackup(tx: Queryable, backup: BackupId, reason: string): Promise<BackupRow> {
  const { rowCount } = await tx.query(
    `update backups set hold = $2 where backup = $1 and state in ('running', 'complete')`,
    [backup, storableText(reason)],
  );
  const row = await getBackup(tx, backup);
  if (rowCount === 1) return row;
  throw new OpsError(
    'WrongState',
    `backup ${backup} is ${row.state}: there is nothing to hold`,
    `see which are complete: cvops backup list ${row.tenant}`,
  );
}

/** @throws OpsError `NotFound`; `WrongState` when it is not held */
export async function releaseBackup(tx: Queryable, backup: BackupId): Promise<BackupRow> {
  const { rowCount } = await tx.query(
    'update backups set hold = null where backup = $1 and hold is not null',
    [backup],
  );
  const row = await getBackup(tx, backup);
  if (rowCount === 1) return row;
  throw new OpsError(
    'WrongState',
    `backup ${backup} is not held`,
    `see which are: cvops backup list ${row.tenant}`,
  );
}
