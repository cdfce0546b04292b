import { CANARY_SCOPE } from '../domain/canaries.js';
import { OpsError } from '../domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import type { Queryable } from './database.js';

/** A tenant of a verification. */
export interface MemberRow {
  /** From 1. */
  readonly item: number;
  readonly operation: OperationId;
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly token: string;
  readonly state: 'waiting' | 'planted' | 'removed';
  readonly skipped: string | null;
}

/** Items of a page, from inclusive, to inclusive. */
export interface Page {
  readonly operation: OperationId;
  readonly from: number;
  readonly to: number;
}

export interface FindingRow {
  readonly name: string;
  readonly a: string;
  readonly b: string;
  readonly detail: string;
}

const SELECT = `select m.item, m.operation, t.tenant, m.incarnation, m.token, m.state, m.skipped
  from isolation_members m join tenants t using (incarnation)`;

/**
 * Every active tenant but those of a self-test, whose leaks are planted on purpose. Again is fine.
 *
 * @param lives these alone
 * @returns how many take part
 */
export async function enrol(
  tx: Queryable,
  operation: OperationId,
  lives: readonly Incarnation[] | undefined,
): Promise<number> {
  await tx.query(
    `insert into isolation_members (operation, item, incarnation, token)
     select $1, row_number() over (order by tenant), incarnation, gen_random_uuid()::text from tenants t
     where state = 'active' and ($2::uuid[] is null or incarnation = any($2))
       and not exists (select from operations o where o.kind = 'testIsolation' and o.state = 'running'
         and o.input->'tenants' ? t.tenant::text)
     on conflict do nothing`,
    [operation, lives ?? null],
  );
  const { rows } = await tx.query<{ members: number }>(
    'select count(*)::int as members from isolation_members where operation = $1',
    [operation],
  );
  return rows[0]!.members;
}

/** Forgets who took part in runs that are over and left nothing behind; what they found stays. */
export async function forgetMembers(db: Queryable): Promise<void> {
  await db.query(
    `delete from isolation_members m using operations o
     where o.operation = m.operation and o.state <> 'running' and m.state <> 'planted'`,
  );
}

export async function membersOf(db: Queryable, { operation, from, to }: Page): Promise<MemberRow[]> {
  const { rows } = await db.query<MemberRow>(
    `${SELECT} where m.operation = $1 and m.item between $2 and $3 order by m.item`,
    [operation, from, to],
  );
  return rows;
}

/** Whose canaries there are now. */
export async function plantedMembers(db: Queryable, operation: OperationId): Promise<MemberRow[]> {
  const { rows } = await db.query<MemberRow>(
    `${SELECT} where m.operation = $1 and m.state = 'planted' and m.skipped is null order by m.item`,
    [operation],
  );
  return rows;
}

/**
 * Of a member `m` whose canaries are in the hands of the operation `o`: that has ended, or has not for so long that it is
 * dead, its workflow terminated.
 */
const IS_LEFT = `o.operation = coalesce(m.remover, m.operation) and m.state = 'planted'
  and (o.state <> 'running' or m.planted_at < now() - interval '3 hours')`;

/** What runs that are over left planted; from here on it is this one's to remove, and no other's to plant over. */
export async function claimLeftovers(
  db: Queryable,
  operation: OperationId,
  limit: number,
): Promise<MemberRow[]> {
  await db.query(
    `update isolation_members m set remover = $1, planted_at = now() from operations o
     where ${IS_LEFT} and o.operation <> $1 and (m.operation, m.item) in (
       select m.operation, m.item from isolation_members m, operations o where ${IS_LEFT}
       order by m.planted_at limit $2)`,
    [operation, limit],
  );
  const { rows } = await db.query<MemberRow>(`${SELECT} where m.remover = $1 and m.state = 'planted'`, [
    operation,
  ]);
  return rows;
}

/**
 * Says that canaries are about to be planted, before the first is. What a run that is over has left is this one's from
 * then on: it has the same ids.
 *
 * @returns false while another run's are in this life
 */
export async function notePlanting(
  db: Queryable,
  { operation, item, incarnation }: Pick<MemberRow, 'operation' | 'item' | 'incarnation'>,
): Promise<boolean> {
  await db.query(
    `update isolation_members m set state = 'removed' from operations o
     where ${IS_LEFT} and m.incarnation = $1 and o.operation <> $2`,
    [incarnation, operation],
  );
  const { rowCount } = await db.query(
    `update isolation_members set state = 'planted', planted_at = now(), skipped = null
     where operation = $1 and item = $2 and not exists (select from isolation_members
       where incarnation = $3 and state = 'planted' and operation <> $1)`,
    [operation, item, incarnation],
  );
  return rowCount === 1;
}

export async function noteRemoved(
  db: Queryable,
  { operation, item }: Pick<MemberRow, 'operation' | 'item'>,
): Promise<void> {
  await db.query(
    `update isolation_members set state = 'removed' where operation = $1 and item = $2 and state = 'planted'`,
    [operation, item],
  );
}

export async function noteSkipped(
  db: Queryable,
  { operation, item }: Pick<MemberRow, 'operation' | 'item'>,
  why: string,
): Promise<void> {
  await db.query('update isolation_members set skipped = $3 where operation = $1 and item = $2', [
    operation,
    item,
    why.slice(0, 200),
  ]);
}

export async function skippedMembers(
  db: Queryable,
  operation: OperationId,
): Promise<{ tenant: TenantId; why: string }[]> {
  const { rows } = await db.query<{ tenant: TenantId; why: string }>(
    `select t.tenant, m.skipped as why from isolation_members m join tenants t using (incarnation)
     where m.operation = $1 and m.skipped is not null order by m.item`,
    [operation],
  );
  return rows;
}

/** Whether something took the canaries of a life away since they were planted: a restore does. */
export async function restoredSince(
  db: Queryable,
  { operation, item, incarnation }: Pick<MemberRow, 'operation' | 'item' | 'incarnation'>,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `select from operations o, isolation_members m where m.operation = $1 and m.item = $2
       and o.incarnation = $3 and o.kind = 'restoreTenant' and coalesce(o.ended_at, now()) >= m.planted_at`,
    [operation, item, incarnation],
  );
  return (rowCount ?? 0) > 0;
}

/** Once a way and pair, however often it was looked. */
export async function noteFindings(
  db: Queryable,
  operation: OperationId,
  findings: readonly FindingRow[],
): Promise<void> {
  for (const { name, a, b, detail } of findings)
    await db.query(
      `insert into isolation_findings (operation, name, a, b, detail) values ($1, $2, $3, $4, $5)
       on conflict do nothing`,
      [operation, name, a, b, detail.slice(0, 300)],
    );
}

export async function findingsOf(
  db: Queryable,
  operation: OperationId,
  limit: number,
): Promise<{ readonly findings: FindingRow[]; readonly byName: ReadonlyMap<string, number> }> {
  const { rows: findings } = await db.query<FindingRow>(
    'select name, a, b, detail from isolation_findings where operation = $1 order by name, a, b limit $2',
    [operation, limit],
  );
  const { rows } = await db.query<{ name: string; count: number }>(
    'select name, count(*)::int as count from isolation_findings where operation = $1 group by name',
    [operation],
  );
  return { findings, byName: new Map(rows.map(({ name, count }) => [name, count])) };
}

const PLACE = { service: 'isolation', key: 'canary' } as const;

/** A version of a configuration that nothing else reads. Again with another token it takes the former's place. */
export async function putConfigCanary(
  db: Queryable,
  incarnation: Incarnation,
  token: string,
  key: string = PLACE.key,
): Promise<void> {
  await db.query(
    `insert into config_versions (incarnation, scope, service, key, version, value, author, reason)
     values ($1, $2, $3, $4, 1, $5, 'system', 'canary') on conflict (incarnation, scope, service, key, version)
     do update set value = excluded.value`,
    [incarnation, CANARY_SCOPE, PLACE.service, key, JSON.stringify({ token })],
  );
}

/** Tokens of all that a life has. */
export async function configCanaries(db: Queryable, incarnation: Incarnation): Promise<string[]> {
  const { rows } = await db.query<{ token: string }>(
    `select value->>'token' as token from config_versions where incarnation = $1 and scope = $2`,
    [incarnation, CANARY_SCOPE],
  );
  return rows.map(({ token }) => token);
}

/** @throws OpsError `VerificationFailed` when some are left */
export async function removeConfigCanaries(db: Queryable, incarnation: Incarnation): Promise<void> {
  await db.query('delete from config_versions where incarnation = $1 and scope = $2', [
    incarnation,
    CANARY_SCOPE,
  ]);
  if ((await configCanaries(db, incarnation)).length > 0)
    throw new OpsError('VerificationFailed', `canaries are left in the configuration of life ${incarnation}`);
}
