import type { Encryption } from '../contracts/backup.js';
import { type BackupId, type Consistency, backupFolder } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import type { Queryable } from './database.js';

export const BACKUP_STATES = ['running', 'complete', 'failed', 'removed'] as const;
export type BackupState = (typeof BACKUP_STATES)[number];

/** What a backup holds, as its manifest counts it. */
export interface BackupTotals {
  /** Of the profiles' schemas. */
  readonly documents: number;
  readonly memories: number;
  readonly spans: number;
  /** As stored, without the manifest. */
  readonly bytes: number;
}

/** A backup as the registry knows it. Times in ISO 8601. */
export interface BackupRow extends BackupTotals {
  readonly backup: BackupId;
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly operation: OperationId;
  /** Location of its store. */
  readonly store: string;
  readonly state: BackupState;
  readonly consistencyAsked: Consistency;
  /** Achieved; null until it is complete. */
  readonly consistency: Consistency | null;
  readonly encryption: Encryption | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly verifiedAt: string | null;
  /** Of the last verification. */
  readonly sound: boolean | null;
  /** When it was last restored into a throw-away tenant and found equal. */
  readonly provenAt: string | null;
  /** Why it is kept whatever the policy says. */
  readonly hold: string | null;
}

const COLUMNS = `backup, tenant, incarnation, operation, store, state, consistency_asked as "consistencyAsked", consistency,
  encryption, documents, memories, spans, bytes, to_json(started_at)#>>'{}' as "startedAt", to_json(ended_at)#>>'{}' as "endedAt",
  to_json(verified_at)#>>'{}' as "verifiedAt", sound, to_json(proven_at)#>>'{}' as "provenAt", hold`;

/** Again finds the row it made. @throws OpsError `Conflict` when the id is another operation's */
export async function insertBackup(
  tx: Queryable,
  row: Pick<
    BackupRow,
    'backup' | 'tenant' | 'incarnation' | 'operation' | 'store' | 'consistencyAsked' | 'encryption'
  >,
): Promise<BackupRow> {
  await tx.query(
    `insert into backups (backup, tenant, incarnation, operation, store, state, consistency_asked, encryption)
     values ($1, $2, $3, $4, $5, 'running', $6, $7) on conflict do nothing`,
    [
      row.backup,
      row.tenant,
      row.incarnation,
      row.operation,
      row.store,
      row.consistencyAsked,
      row.encryption && JSON.stringify(row.encryption),
    ],
  );
  const there = await findBackup(tx, row.backup);
  if (there?.operation === row.operation) return there;
  throw new OpsError('Conflict', `backup ${row.backup} is of another operation`, 'start it again');
}

export async function findBackup(db: Queryable, backup: BackupId): Promise<BackupRow | undefined> {
  const { rows } = await db.query<BackupRow>(`select ${COLUMNS} from backups where backup = $1`, [backup]);
  return rows[0];
}

/** @throws OpsError `NotFound` */
export async function getBackup(db: Queryable, backup: BackupId): Promise<BackupRow> {
  const row = await findBackup(db, backup);
  if (row) return row;
  throw noSuchBackup(backup);
}

export function noSuchBackup(backup: BackupId): OpsError {
  return new OpsError('NotFound', `no backup ${backup}`, 'see them with: cvops backup list');
}

/** A complete one, which stays until the transaction ends. @throws OpsError `NotFound`, `WrongState` */
export async function lockCompleteBackup(tx: Queryable, backup: BackupId): Promise<BackupRow> {
  await tx.query('select 1 from backups where backup = $1 for share', [backup]);
  const row = await getBackup(tx, backup);
  if (row.state === 'complete') return row;
  throw new OpsError(
    'WrongState',
    `backup ${backup} is ${row.state}`,
    `see which are complete: cvops backup list ${row.tenant}`,
  );
}

/** Newest first; `after` is the last of the page before. */
export async function listBackups(
  db: Queryable,
  options: {
    readonly tenant?: TenantId | undefined;
    readonly state?: BackupState | undefined;
    readonly after?: BackupId | undefined;
    readonly limit: number;
  },
): Promise<BackupRow[]> {
  const { rows } = await db.query<BackupRow>(
    `select ${COLUMNS} from backups
     where ($1::text is null or tenant = $1) and ($2::text is null or state = $2) and ($3::text is null or backup < $3)
     order by backup desc limit $4`,
    [options.tenant ?? null, options.state ?? null, options.after ?? null, options.limit],
  );
  return rows;
}

/** Those of one life that were complete, whether or not they still are there; oldest first. */
export async function backupsOfLife(db: Queryable, incarnation: Incarnation): Promise<BackupRow[]> {
  const { rows } = await db.query<BackupRow>(
    `select ${COLUMNS} from backups where incarnation = $1 and consistency is not null order by backup`,
    [incarnation],
  );
  return rows;
}

/** Those of a life that have not ended and whose operation has; and those that failed and were not cleaned up. */
export async function abandonedBackups(db: Queryable, incarnation: Incarnation): Promise<BackupRow[]> {
  const { rows } = await db.query<BackupRow>(
    `select ${COLUMNS} from backups where incarnation = $1
     and operation not in (select operation from operations where incarnation = $1 and state = 'running')
     and (state = 'running'
       or state = 'failed' and backup in (select backup from backup_slices union select backup from backup_parts))
     order by backup`,
    [incarnation],
  );
  return rows;
}

/** `running → complete`. @returns false when it was ended otherwise */
export async function completeBackup(
  tx: Queryable,
  backup: BackupId,
  end: BackupTotals & { readonly consistency: Consistency; readonly endedAt: Date },
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `update backups set state = 'complete', consistency = $2, documents = $3, memories = $4, spans = $5, bytes = $6, ended_at = $7
     where backup = $1 and state = 'running'`,
    [backup, end.consistency, end.documents, end.memories, end.spans, end.bytes, end.endedAt],
  );
  return rowCount === 1;
}

/** `running → failed`; again is fine. @returns false when it was completed, or removed */
export async function noteBackupFailed(db: Queryable, backup: BackupId): Promise<boolean> {
  const { rowCount } = await db.query(
    `update backups set state = 'failed', ended_at = coalesce(ended_at, now())
     where backup = $1 and state in ('running', 'failed')`,
    [backup],
  );
  return rowCount === 1;
}

/** What a backup's run needed to go on after a kill: gone once it has ended. */
export async function forgetProgress(tx: Queryable, backup: BackupId): Promise<void> {
  for (const table of ['backup_slices', 'backup_parts'])
    await tx.query(`delete from ${table} where backup = $1`, [backup]);
}

export async function noteVerified(db: Queryable, backup: BackupId, sound: boolean): Promise<void> {
  await db.query('update backups set verified_at = now(), sound = $2 where backup = $1', [backup, sound]);
}

export async function noteProven(db: Queryable, backup: BackupId): Promise<void> {
  await db.query('update backups set proven_at = now() where backup = $1', [backup]);
}

export function folderOf({ tenant, backup }: Pick<BackupRow, 'tenant' | 'backup'>) {
  return backupFolder(tenant, backup);
}
