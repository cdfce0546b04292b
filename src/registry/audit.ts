import { createHash } from 'node:crypto';
import type { OperationId, TenantId } from '../domain/ids.js';
import type { Pool, Queryable } from './database.js';
import { storableJson, storableText } from './storable.js';

/** Serializes writers of the chain; released with their transaction. */
const LOCK = 7_301_115;
const GENESIS = '0'.repeat(64);

export interface AuditEntry {
  readonly principal: string;
  readonly verb: string;
  /** `-` for what belongs to no single one. */
  readonly tenant: TenantId | '-';
  readonly operation?: OperationId;
  readonly outcome: string;
  readonly reason: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

interface Row {
  readonly seq: number;
  readonly at: Date;
  readonly principal: string;
  readonly verb: string;
  readonly tenant: string;
  readonly operation: string | null;
  readonly outcome: string;
  readonly reason: string;
  readonly detail: unknown;
  readonly previous: string;
  readonly hash: string;
}

/**
 * Appends to the hash chain: each row's hash covers the row and the hash before it, so that none can be changed or
 * taken out unseen. Must run in a transaction: the row belongs to the change it tells of.
 */
export async function appendAudit(tx: Queryable, entry: AuditEntry): Promise<void> {
  await tx.query('select pg_advisory_xact_lock($1)', [LOCK]);
  const { rows } = await tx.query<{ seq: number; hash: string }>(
    'select seq, hash from audit_log order by seq desc limit 1',
  );
  const previous = rows[0]?.hash ?? GENESIS;
  const row = {
    seq: (rows[0]?.seq ?? 0) + 1,
    at: new Date(),
    principal: storableText(entry.principal),
    verb: storableText(entry.verb),
    tenant: entry.tenant,
    operation: entry.operation ?? null,
    outcome: storableText(entry.outcome),
    reason: storableText(entry.reason),
    // As the database will give it back, so that the hash is of what is stored.
    detail: storableJson(entry.detail ?? {}),
  };
  await tx.query(
    `insert into audit_log (seq, at, principal, verb, tenant, operation, outcome, reason, detail, previous, hash)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      row.seq,
      row.at,
      row.principal,
      row.verb,
      row.tenant,
      row.operation,
      row.outcome,
      row.reason,
      JSON.stringify(row.detail),
      previous,
      hashOf(row, previous),
    ],
  );
}

export interface AuditVerdict {
  /** Checked, the broken one included. */
  readonly rows: number;
  /**
   * Hash of the last good row. Rows cut off at the end leave a whole chain: only a head that was noted elsewhere
   * before tells of it.
   */
  readonly head: string;
  /** The first `seq` that was changed, put in, or follows a row that was taken out. */
  readonly brokenAt?: number;
}

/**
 * Reads the chain, in pages, and computes every hash again.
 *
 * @param after where it was found whole before, as {@link auditHead} gave it: only what follows is read. A row there of
 *   another hash, or none, is where it broke
 */
export async function verifyAudit(
  pool: Pool,
  after: { readonly seq: number; readonly hash: string } = { seq: 0, hash: GENESIS },
): Promise<AuditVerdict> {
  let head = after.hash;
  let count = after.seq;
  if (count > 0) {
    const { rows } = await pool.query('select 1 from audit_log where seq = $1 and hash = $2', [count, head]);
    if (rows.length === 0) return { rows: count, head, brokenAt: count };
  }
  for (;;) {
    const { rows } = await pool.query<Row>(
      `select seq, at, principal, verb, tenant, operation, outcome, reason, detail, previous, hash
       from audit_log where seq > $1 order by seq limit 1000`,
      [count],
    );
    if (rows.length === 0) return { rows: count, head };
    for (const row of rows) {
      count++;
      if (row.seq !== count || row.previous !== head || row.hash !== hashOf(row, head))
        return { rows: count, head, brokenAt: row.seq };
      head = row.hash;
    }
  }
}

export interface AuditRow extends Omit<Row, 'previous' | 'hash' | 'at'> {
  readonly at: string;
}

/** Newest first; `before` is the last `seq` of the page before. */
export async function listAudit(
  db: Queryable,
  options: { readonly tenant?: TenantId | undefined; readonly before?: number; readonly limit: number },
): Promise<AuditRow[]> {
  const { rows } = await db.query<AuditRow>(
    `select seq, to_json(at)#>>'{}' as at, principal, verb, tenant, operation, outcome, reason, detail
     from audit_log where ($1::text is null or tenant = $1) and ($2::bigint is null or seq < $2)
     order by seq desc limit $3`,
    [options.tenant ?? null, options.before ?? null, options.limit],
  );
  return rows;
}

function hashOf(row: Omit<Row, 'previous' | 'hash'>, previous: string): string {
  const { seq, at, principal, verb, tenant, operation, outcome, reason, detail } = row;
  const text = JSON.stringify([
    seq,
    at.toISOString(),
    principal,
    verb,
    tenant,
    operation,
    outcome,
    reason,
    canonical(detail),
    previous,
  ]);
  return createHash('sha256').update(text).digest('hex');
}

/**
 * jsonb keeps no key order: sorted keys give the same text before and after. An object becomes a list of pairs and a
 * list an object of one key, so that neither can stand for the other under one hash.
 */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return { list: value.map(canonical) };
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, canonical(inner)]);
}

/** The last row of the chain: noted elsewhere, it proves later that nothing before it was cut off or changed. */
export async function auditHead(db: Queryable): Promise<{ readonly seq: number; readonly hash: string }> {
  const { rows } = await db.query<{ seq: number; hash: string }>(
    'select seq, hash from audit_log order by seq desc limit 1',
  );
  return rows[0] ?? { seq: 0, hash: GENESIS };
}
