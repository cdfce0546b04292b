import { createHash } from 'node:crypto';
import type { OperationId, TenantId } from '../domain/ids.js';
import type { Pool, Queryable } from './database.js';

/** Serializes writers of the chain; released with their transaction. */
const LOCK = 7_301_115;
const GENESIS = '0'.repeat(64);

export interface AuditEntry {
  readonly principal: string;
  readonly verb: string;
  readonly tenant: TenantId;
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
    principal: entry.principal,
    verb: entry.verb,
    tenant: entry.tenant,
    operation: entry.operation ?? null,
    outcome: entry.outcome,
    reason: entry.reason,
    detail: entry.detail ?? {},
  };
  await tx.query('insert into audit_log values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)', [
    ...Object.values({ ...row, detail: JSON.stringify(row.detail) }),
    previous,
    hashOf(row, previous),
  ]);
}

/** @returns how many rows were checked, and the first `seq` whose hash or link is wrong */
export async function verifyAudit(pool: Pool): Promise<{ rows: number; brokenAt?: number }> {
  let previous = GENESIS;
  let count = 0;
  for (;;) {
    const { rows } = await pool.query<Row>('select * from audit_log where seq > $1 order by seq limit 1000', [
      count,
    ]);
    if (rows.length === 0) return { rows: count };
    for (const row of rows) {
      count++;
      if (row.seq !== count || row.previous !== previous || row.hash !== hashOf(row, previous))
        return { rows: count, brokenAt: row.seq };
      previous = row.hash;
    }
  }
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

/** jsonb keeps no key order: sorted keys give the same text before and after. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, canonical(inner)]);
}
