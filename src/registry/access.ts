import type { Role } from '../domain/access.js';
import type { TenantId } from '../domain/ids.js';
import { type AuditEntry, appendAudit } from './audit.js';
import { type Pool, type Queryable, transaction } from './database.js';
import { storableText } from './storable.js';

/** A token as the registry knows it: never the token itself. Times in ISO 8601. */
export interface TokenRow {
  readonly id: string;
  readonly subject: string;
  readonly role: Role;
  readonly tenant: TenantId | null;
  readonly issuedBy: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly revokedAt: string | null;
  readonly revokedBy: string | null;
}

const TOKEN = `id, subject, role, tenant, issued_by as "issuedBy", to_json(issued_at)#>>'{}' as "issuedAt",
  to_json(expires_at)#>>'{}' as "expiresAt", to_json(revoked_at)#>>'{}' as "revokedAt", revoked_by as "revokedBy"`;

export async function noteToken(
  tx: Queryable,
  token: Pick<TokenRow, 'id' | 'subject' | 'role' | 'tenant' | 'issuedBy'> & {
    readonly issuedAt: Date;
    readonly expiresAt: Date;
  },
): Promise<void> {
  const { id, subject, role, tenant, issuedBy, issuedAt, expiresAt } = token;
  await tx.query(
    `insert into access_tokens (id, subject, role, tenant, issued_by, issued_at, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [id, storableText(subject), role, tenant, storableText(issuedBy), issuedAt, expiresAt],
  );
}

/** Newest first. */
export async function listTokens(db: Queryable): Promise<TokenRow[]> {
  const { rows } = await db.query<TokenRow>(
    `select ${TOKEN} from access_tokens order by access_tokens.issued_at desc, id`,
  );
  return rows;
}

/** Revoked for good; again is fine. @returns undefined when no token of that id was issued here */
export async function revokeToken(tx: Queryable, id: string, by: string): Promise<TokenRow | undefined> {
  await tx.query(
    'update access_tokens set revoked_at = now(), revoked_by = $2 where id = $1 and revoked_at is null',
    [id, storableText(by)],
  );
  const { rows } = await tx.query<TokenRow>(`select ${TOKEN} from access_tokens where id = $1`, [id]);
  return rows[0];
}

/** Those of a tenant that is no more: whoever bears its name next is another. */
export async function revokeTokensOf(tx: Queryable, tenant: TenantId): Promise<void> {
  await tx.query(
    `update access_tokens set revoked_at = now(), revoked_by = 'purge' where tenant = $1 and revoked_at is null`,
    [tenant],
  );
}

export async function isRevoked(db: Queryable, id: string): Promise<boolean> {
  const { rows } = await db.query('select 1 from access_tokens where id = $1 and revoked_at is not null', [
    id,
  ]);
  return rows.length > 0;
}

export async function revokedTokens(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    'select id from access_tokens where revoked_at is not null',
  );
  return rows.map(({ id }) => id);
}

/** For whom a chain of runs works, since its first activity was let in. */
export interface ChainRow {
  readonly firstRun: string;
  readonly workflowId: string;
  readonly workflowType: string;
  /** Of the start; null for runs of a schedule, children, and what was there before. */
  readonly proof: string | null;
  readonly token: string | null;
  readonly subject: string;
  readonly role: Role;
  readonly tenant: TenantId | null;
  /** What its activities may name; null: any. */
  readonly tenants: readonly string[] | null;
}

const CHAIN = `first_run as "firstRun", workflow_id as "workflowId", workflow_type as "workflowType", proof, token, subject,
  role, tenant, tenants`;

export async function findChain(db: Queryable, firstRun: string): Promise<ChainRow | undefined> {
  const { rows } = await db.query<ChainRow>(`select ${CHAIN} from access_chains where first_run = $1`, [
    firstRun,
  ]);
  return rows[0];
}

/** @returns false when its proof has let in another chain */
export async function noteChain(db: Queryable, chain: ChainRow): Promise<boolean> {
  const { firstRun, workflowId, workflowType, proof, token, subject, role, tenant, tenants } = chain;
  await db.query(
    `insert into access_chains (first_run, workflow_id, workflow_type, proof, token, subject, role, tenant, tenants)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing`,
    [firstRun, workflowId, workflowType, proof, token, storableText(subject), role, tenant, tenants],
  );
  return (await findChain(db, firstRun)) !== undefined;
}

/** @returns false when its proof has let in another message */
export async function noteMessage(db: Queryable, proof: string, message: string): Promise<boolean> {
  await db.query('insert into access_messages (proof, message) values ($1, $2) on conflict do nothing', [
    proof,
    message,
  ]);
  const { rows } = await db.query('select 1 from access_messages where proof = $1 and message = $2', [
    proof,
    message,
  ]);
  return rows.length > 0;
}

/** One audit entry for each thing that was refused, however often it is tried. */
export async function noteDenial(
  pool: Pool,
  what: string,
  entry: Omit<AuditEntry, 'outcome'>,
): Promise<void> {
  await transaction(pool, async (tx) => {
    const { rowCount } = await tx.query(
      'insert into access_denials (what) values ($1) on conflict do nothing',
      [what],
    );
    if (rowCount === 1) await appendAudit(tx, { ...entry, outcome: 'denied' });
  });
}

/** A schedule's tenant, by the registry; undefined when it is nobody's. */
export async function scheduleOwner(db: Queryable, scheduleId: string): Promise<TenantId | undefined> {
  const { rows } = await db.query<{ tenant: TenantId }>(
    `select tenant from tenant_schedules join tenants using (incarnation) where schedule_id = $1`,
    [scheduleId],
  );
  return rows[0]?.tenant;
}

/** Whether a life is another tenant's. */
export async function isForeignLife(db: Queryable, incarnation: string, tenant: string): Promise<boolean> {
  const { rows } = await db.query('select 1 from tenants where incarnation = $1 and tenant <> $2', [
    incarnation,
    tenant,
  ]);
  return rows.length > 0;
}

/** Since when nothing is started without a credential. */
export async function accessSince(db: Queryable): Promise<Date> {
  const { rows } = await db.query<{ at: Date }>(
    `select applied_at as at from migrations where name = '0015_access.sql'`,
  );
  return rows[0]!.at;
}

/** Says that this very request to the writer of an application package was asked for. */
export async function noteSchemaRequest(db: Queryable, digest: string): Promise<void> {
  // Longer than any waits.
  await db.query(`delete from schema_requests where asked_at < now() - interval '7 days'`);
  // Asked for once more, it may be carried out once more.
  await db.query(
    'insert into schema_requests (digest) values ($1) on conflict (digest) do update set taken_by = null, asked_at = now()',
    [digest],
  );
}

/**
 * Takes requests to carry them out, each once for each time that it was asked for.
 *
 * @param by the same for every attempt of one activity
 * @returns those among these that were asked for, and are nobody else's
 */
export async function takeSchemaRequests(
  db: Queryable,
  digests: readonly string[],
  by: string,
): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ digest: string }>(
    `update schema_requests set taken_by = $2 where digest = any($1) and (taken_by is null or taken_by = $2)
     returning digest`,
    [digests, by],
  );
  return new Set(rows.map(({ digest }) => digest));
}
