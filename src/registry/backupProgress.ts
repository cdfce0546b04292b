import type { SlicePosition } from '../backup/documents/backUpSlice.js';
import type { ManifestPart } from '../contracts/backup.js';
import type { BackupId, PartKind } from '../domain/backups.js';
import type { OperationId } from '../domain/ids.js';
import type { CountedDigest } from '../domain/lineDigests.js';
import type { BaseSchema } from '../domain/profiles.js';
import { type Pool, type Queryable, transaction } from './database.js';

/** A slice of one schema's documents, and how far it is. */
export interface SliceRow {
  readonly base: BaseSchema;
  readonly slice: number;
  readonly slices: number;
  /** Physical schema. */
  readonly schema: string;
  readonly namespace: string;
  readonly position: SlicePosition | null;
  readonly done: boolean;
}

const SLICE = `base_schema as base, slice, slices, schema_name as schema, namespace, position, done`;

/** Lays the slices of a schema down; those that are there stay as they are. */
export async function planSlices(
  tx: Queryable,
  backup: BackupId,
  { base, slices, schema, namespace }: Pick<SliceRow, 'base' | 'slices' | 'schema' | 'namespace'>,
): Promise<void> {
  await tx.query(
    `insert into backup_slices (backup, base_schema, slice, slices, schema_name, namespace)
     select $1, $2, slice, $3, $4, $5 from generate_series(0, $3::int - 1) as slice
     where not exists (select 1 from backup_slices where backup = $1 and base_schema = $2)
     on conflict do nothing`,
    [backup, base, slices, schema, namespace],
  );
}

export async function slicesOf(db: Queryable, backup: BackupId): Promise<SliceRow[]> {
  const { rows } = await db.query<SliceRow>(
    `select ${SLICE} from backup_slices where backup = $1 order by base_schema, slice`,
    [backup],
  );
  return rows;
}

export async function getSlice(
  db: Queryable,
  backup: BackupId,
  base: BaseSchema,
  slice: number,
): Promise<SliceRow> {
  const { rows } = await db.query<SliceRow>(
    `select ${SLICE} from backup_slices where backup = $1 and base_schema = $2 and slice = $3`,
    [backup, base, slice],
  );
  if (rows[0]) return rows[0];
  throw new Error(`backup ${backup} has no slice ${slice} of ${base}`);
}

/**
 * A part is stored, and with it how far its slice is: both or neither.
 *
 * @param before where the part began
 * @throws Error when the slice is elsewhere by now: another attempt at it is alive
 */
export async function noteSlicePart(
  pool: Pool,
  backup: BackupId,
  { base, slice }: Pick<SliceRow, 'base' | 'slice'>,
  part: ManifestPart,
  before: SlicePosition | undefined,
  position: SlicePosition | undefined,
): Promise<void> {
  const json = (at: SlicePosition | undefined) => (at === undefined ? null : JSON.stringify(at));
  await transaction(pool, async (tx) => {
    const { rowCount } = await tx.query(
      `update backup_slices set position = $4, done = $5
       where backup = $1 and base_schema = $2 and slice = $3 and not done and position is not distinct from $6::jsonb`,
      [backup, base, slice, json(position), position === undefined, json(before)],
    );
    if (rowCount !== 1) throw new Error(`another attempt at slice ${slice} of ${base} is under way`);
    await putPart(tx, backup, part, { base, slice });
  });
}

/**
 * The visit ended without another document.
 *
 * @param at where it was
 * @throws Error when the slice is elsewhere by now
 */
export async function noteSliceDone(
  db: Queryable,
  backup: BackupId,
  { base, slice }: Pick<SliceRow, 'base' | 'slice'>,
  at?: SlicePosition,
): Promise<void> {
  const { rowCount } = await db.query(
    `update backup_slices set position = null, done = true
     where backup = $1 and base_schema = $2 and slice = $3 and (done or position is not distinct from $4::jsonb)`,
    [backup, base, slice, at === undefined ? null : JSON.stringify(at)],
  );
  if (rowCount !== 1) throw new Error(`another attempt at slice ${slice} of ${base} is under way`);
}

/** The number within its slice of a part that is about to be written. */
export async function nextPart(
  db: Queryable,
  backup: BackupId,
  { base, slice }: Pick<SliceRow, 'base' | 'slice'>,
): Promise<number> {
  const { rows } = await db.query<{ number: number }>(
    `update backup_slices set parts_begun = parts_begun + 1
     where backup = $1 and base_schema = $2 and slice = $3 returning parts_begun - 1 as number`,
    [backup, base, slice],
  );
  if (rows[0]) return rows[0].number;
  throw new Error(`backup ${backup} has no slice ${slice} of ${base}`);
}

/** All parts of a slice, or of every slice of a schema, are void: it begins anew. */
export async function restartSlices(
  pool: Pool,
  backup: BackupId,
  base: BaseSchema,
  slice?: number,
): Promise<void> {
  await transaction(pool, async (tx) => {
    const of = [backup, base, slice ?? null];
    await tx.query(
      `delete from backup_parts where backup = $1 and base_schema = $2 and ($3::int is null or slice = $3)`,
      of,
    );
    await tx.query(
      `update backup_slices set position = null, done = false
       where backup = $1 and base_schema = $2 and ($3::int is null or slice = $3)`,
      of,
    );
  });
}

/** The number of a part of traces that is about to be written, of any kind: none is given twice. */
export async function nextTracePart(db: Queryable, backup: BackupId): Promise<number> {
  const { rows } = await db.query<{ number: number }>(
    'update backups set trace_parts_begun = trace_parts_begun + 1 where backup = $1 returning trace_parts_begun - 1 as number',
    [backup],
  );
  return rows[0]!.number;
}

/** Another attempt at the parts of fixed names begins: from here on the former ones may complete none. */
export async function beginRegistryParts(db: Queryable, backup: BackupId): Promise<number> {
  const { rows } = await db.query<{ attempt: number }>(
    'update backups set registry_attempts = registry_attempts + 1 where backup = $1 returning registry_attempts as attempt',
    [backup],
  );
  return rows[0]!.attempt;
}

/**
 * That the backup runs.
 *
 * @param attempt of the parts of fixed names: that no other has begun since
 * @throws Error
 */
export async function requireAttempt(db: Queryable, backup: BackupId, attempt?: number): Promise<void> {
  const { rowCount } = await db.query(
    `select 1 from backups where backup = $1 and state = 'running' and registry_attempts = coalesce($2, registry_attempts)
     for share`,
    [backup, attempt ?? null],
  );
  if (rowCount !== 1) throw new Error(`another attempt at backup ${backup} is under way, or it has ended`);
}

/**
 * These are all parts of those kinds: what a former attempt had more of is void. Not for parts of slices.
 *
 * @param attempt see {@link requireAttempt}
 */
export async function replaceParts(
  pool: Pool,
  backup: BackupId,
  kinds: readonly PartKind[],
  parts: readonly ManifestPart[],
  attempt?: number,
): Promise<void> {
  await transaction(pool, async (tx) => {
    await requireAttempt(tx, backup, attempt);
    await tx.query(`delete from backup_parts where backup = $1 and part->>'kind' = any($2)`, [backup, kinds]);
    for (const part of parts) await putPart(tx, backup, part);
  });
}

export async function partsOfSlice(
  db: Queryable,
  backup: BackupId,
  { base, slice }: Pick<SliceRow, 'base' | 'slice'>,
): Promise<ManifestPart[]> {
  const { rows } = await db.query<{ part: ManifestPart }>(
    `select part from backup_parts where backup = $1 and base_schema = $2 and slice = $3`,
    [backup, base, slice],
  );
  return rows.map(({ part }) => part);
}

/** By path, as the manifest has them. */
export async function partsOf(db: Queryable, backup: BackupId): Promise<ManifestPart[]> {
  const { rows } = await db.query<{ part: ManifestPart }>(
    `select part from backup_parts where backup = $1 order by path collate "C"`,
    [backup],
  );
  return rows.map(({ part }) => part);
}

async function putPart(
  db: Queryable,
  backup: BackupId,
  part: ManifestPart,
  of?: Pick<SliceRow, 'base' | 'slice'>,
): Promise<void> {
  await db.query(
    `insert into backup_parts (backup, path, base_schema, slice, part) values ($1, $2, $3, $4, $5)
     on conflict (backup, path) do update set part = excluded.part`,
    [backup, part.path, of?.base ?? null, of?.slice ?? null, JSON.stringify(part)],
  );
}

/** Says that a restore is done with a part, and what it stored of it. */
export async function noteRestored(
  db: Queryable,
  operation: OperationId,
  path: string,
  { count, digest }: CountedDigest,
): Promise<void> {
  await db.query(
    `insert into restored_parts (operation, path, documents, digest) values ($1, $2, $3, $4)
     on conflict (operation, path) do update set documents = excluded.documents, digest = excluded.digest`,
    [operation, path, count, digest],
  );
}

/** A restore that has ended needs them no more: the next one begins anew. */
export async function forgetRestored(db: Queryable, operation: OperationId): Promise<void> {
  await db.query('delete from restored_parts where operation = $1', [operation]);
}

/** By path. */
export async function restoredParts(
  db: Queryable,
  operation: OperationId,
): Promise<ReadonlyMap<string, CountedDigest>> {
  const { rows } = await db.query<{ path: string } & CountedDigest>(
    'select path, documents as count, digest from restored_parts where operation = $1',
    [operation],
  );
  return new Map(rows.map(({ path, count, digest }) => [path, { count, digest }]));
}
