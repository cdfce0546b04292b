import type { OperationId, TenantId } from '../domain/ids.js';
import {
  type AuditHead,
  type AuditLink,
  type AuditVerdict,
  GENESIS,
  hashOf,
  verifyChain,
} from './auditChain.js';
import type { Pool, Queryable } from './database.js';
import { storableJson, storableText } from './storable.js';

export type { AuditHead, AuditLink, AuditVerdict } from './auditChain.js';

/** Serializes writers of the chain; released with their transaction. */
const LOCK = 7_301_115;
/** Rows read at once. */
const PAGE = 1000;

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

/** Every row as it is stored, oldest first, read in pages: those after `from`, up to `upTo`. */
export async function* auditLinks(db: Queryable, upTo?: number, from = 0): AsyncGenerator<AuditLink> {
  for (let after = from; ;) {
    const { rows } = await db.query<AuditLink>(
      `select seq, at, principal, verb, tenant, operation, outcome, reason, detail, previous, hash
       from audit_log where seq > $1 and ($2::bigint is null or seq <= $2) order by seq limit $3`,
      [after, upTo ?? null, PAGE],
    );
    yield* rows;
    if (rows.length < PAGE) return;
    after = rows.at(-1)!.seq;
  }
}

/** Reads the whole chain and computes every hash again. */
export async function verifyAudit(pool: Pool, noted?: AuditHead): Promise<AuditVerdict> {
  return verifyChain(auditLinks(pool), noted);
}

/**
 * The same of what follows a row up to which the chain was found whole before. A row there of another hash, or none, is
 * where it broke.
 */
export async function verifyAuditAfter(pool: Pool, after: AuditHead): Promise<AuditVerdict> {
  const { rows } = await pool.query('select 1 from audit_log where seq = $1 and hash = $2', [
    after.seq,
    after.hash,
  ]);
  if (after.seq > 0 && rows.length === 0)
    return {
      ...{ rows: after.seq, head: after.hash, brokenAt: after.seq },
      problem: `row ${after.seq} is gone, or another one than was noted`,
    };
  return verifyChain(auditLinks(pool, undefined, after.seq), undefined, after);
}

export interface AuditRow extends Omit<AuditLink, 'previous' | 'hash' | 'at'> {
  readonly at: string;
}

export interface AuditFilter {
  readonly tenant?: TenantId | undefined;
  readonly verb?: string | undefined;
  readonly since?: Date | undefined;
  /** The last `seq` of the page before. */
  readonly before?: number | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function listAudit(db: Queryable, filter: AuditFilter): Promise<AuditRow[]> {
  const { tenant, verb, since, before, limit } = filter;
  const { rows } = await db.query<AuditRow>(
    `select seq, to_json(at)#>>'{}' as at, principal, verb, tenant, operation, outcome, reason, detail
     from audit_log where ($1::text is null or tenant = $1) and ($2::text is null or verb = $2)
       and ($3::timestamptz is null or at >= $3) and ($4::bigint is null or seq < $4)
     order by seq desc limit $5`,
    [tenant ?? null, verb ?? null, since ?? null, before ?? null, limit],
  );
  return rows;
}

/** The last row of the chain: noted elsewhere, it proves later that nothing before it was cut off or changed. */
export async function auditHead(db: Queryable): Promise<AuditHead> {
  const { rows } = await db.query<AuditHead>('select seq, hash from audit_log order by seq desc limit 1');
  return rows[0] ?? { seq: 0, hash: GENESIS };
}
