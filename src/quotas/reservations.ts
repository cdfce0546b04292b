import type { OperationId } from '../domain/ids.js';
import type { QuotaResource, StockAmounts, StockResource } from '../domain/quotas.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import type { TenantLife } from '../registry/tenants.js';
import { QuotaRefused, refusal } from './refused.js';
import { ASKED, listed, takeInto } from './statements.js';

/** A reservation that nobody renews is given up after this long. */
export const RESERVATION_SECONDS = 300;

export interface ReservationKey {
  readonly life: TenantLife;
  /** The work it is for: the same again is the same reservation. */
  readonly key: string;
  /** Kept for as long as this runs, without renewals. */
  readonly operation?: OperationId;
}

const RESERVE = `
  with asked as (${ASKED}), held as (
    insert into quota_reservations as r (incarnation, resource, key, amount, operation, expires_at)
    select $1, resource, $4, amount, $5,
      case when $5::uuid is null then clock_timestamp() + make_interval(secs => ${RESERVATION_SECONDS}) else 'infinity' end
    from asked order by resource
    on conflict (incarnation, resource, key) do update set expires_at = excluded.expires_at
    returning resource, amount, xmax = 0 as fresh
  ), wanted as (
    select asked.* from asked join held using (resource) where fresh
  ), taken as (${takeInto('reserved', 'wanted')})
  select held.resource, held.amount, not fresh or taken.resource is not null as granted
  from held left join taken on taken.resource = held.resource`;

/**
 * Reserves all of it or, the transaction undone, none. What the key holds already stays as it is, and is counted once.
 *
 * @returns what it holds now
 * @throws QuotaRefused
 */
export async function reserve(
  tx: Queryable,
  { life, key, operation }: ReservationKey,
  amounts: StockAmounts,
): Promise<StockAmounts> {
  const [resources, sums] = listed(amounts);
  const { rows } = await tx.query<{ resource: StockResource; amount: number; granted: boolean }>(RESERVE, [
    ...[life.incarnation, resources, sums, key, operation ?? null],
  ]);
  if (rows.length < resources.length || rows.some(({ granted }) => !granted))
    throw new QuotaRefused(life, amounts);
  return Object.fromEntries(rows.map(({ resource, amount }) => [resource, amount]));
}

const GROW = `
  with asked as (${ASKED}), held as (
    update quota_reservations r set amount = r.amount + asked.amount from asked
    where r.incarnation = $1 and r.resource = asked.resource and r.key = $4
    returning r.resource
  ), wanted as (
    select asked.* from asked join held using (resource)
  ), taken as (${takeInto('reserved', 'wanted')})
  select resource from taken`;

/** More, for what is reserved already. @throws QuotaRefused; also when the reservation expired */
export async function grow(
  tx: Queryable,
  { life, key }: ReservationKey,
  amounts: StockAmounts,
): Promise<void> {
  const [resources, sums] = listed(amounts);
  if (resources.length === 0) return;
  const { rowCount } = await tx.query(GROW, [life.incarnation, resources, sums, key]);
  if (rowCount !== resources.length) throw new QuotaRefused(life, amounts);
}

/** @returns false when it expired and was given up */
export async function renew(db: Queryable, { life, key }: ReservationKey): Promise<boolean> {
  const { rowCount } = await db.query(
    `update quota_reservations set expires_at = clock_timestamp() + make_interval(secs => $3)
     where incarnation = $1 and key = $2`,
    [life.incarnation, key, RESERVATION_SECONDS],
  );
  return rowCount! > 0;
}

/**
 * Ends a reservation: some of it is used from now on, the rest is free. Again is fine.
 *
 * @param used of each at most what was reserved
 * @returns false when there is none: it ended before, or expired
 */
export async function settle(
  tx: Queryable,
  { life, key }: ReservationKey,
  used: StockAmounts = {},
): Promise<boolean> {
  const [resources, sums] = listed(used);
  const { rows } = await tx.query<{ resource: StockResource; over: boolean }>(
    `with gone as (
       delete from quota_reservations where incarnation = $1 and key = $2 returning resource, amount
     ), ended as (
       select gone.resource, gone.amount, coalesce(of.used, 0) as used
       from gone left join unnest($3::text[], $4::bigint[]) as of (resource, used) on of.resource = gone.resource
     ), settled as (
       update quota_usage u set reserved = greatest(0, u.reserved - ended.amount), used = u.used + ended.used
       from ended where u.incarnation = $1 and u.resource = ended.resource and u.period_start = '-infinity'
     )
     select resource, used > amount as over from ended`,
    [life.incarnation, key, resources, sums],
  );
  const over = rows.find((row) => row.over);
  if (over !== undefined) throw new Error(`more ${over.resource} were used than reserved for ${key}`);
  return rows.length > 0;
}

/**
 * Gives up reservations whose holder is dead: not renewed, or of an operation that has ended.
 *
 * @returns how many
 */
export async function expire(
  db: Queryable,
  { incarnation }: Pick<TenantLife, 'incarnation'>,
  resources: readonly QuotaResource[],
): Promise<number> {
  const { rows } = await db.query<{ given: number }>(
    `with gone as (
       delete from quota_reservations r
       where incarnation = $1 and resource = any($2) and (expires_at <= clock_timestamp()
         or exists (select 1 from operations o where o.operation = r.operation and o.state <> 'running'))
       returning resource, amount
     ), sums as (
       select resource, sum(amount) as amount from gone group by resource
     ), freed as (
       update quota_usage u set reserved = greatest(0, u.reserved - sums.amount::bigint) from sums
       where u.incarnation = $1 and u.resource = sums.resource and u.period_start = '-infinity'
     )
     select count(*) as given from gone`,
    [incarnation, resources],
  );
  return rows[0]!.given;
}

/**
 * Runs a transaction that may be refused; before it is, what dead holders have is freed and all of it is tried once more.
 *
 * @throws OpsError `QuotaExceeded`; what `work` throws
 */
export async function withinQuota<T>(pool: Pool, work: (tx: Queryable) => Promise<T>): Promise<T> {
  try {
    return await transaction(pool, work);
  } catch (error) {
    if (!(error instanceof QuotaRefused)) throw error;
    const { life, asked } = error;
    const freed = await transaction(pool, (tx) => expire(tx, life, listed(asked)[0]));
    try {
      if (freed > 0) return await transaction(pool, work);
    } catch (again) {
      if (!(again instanceof QuotaRefused)) throw again;
      throw await refusal(pool, again);
    }
    throw await refusal(pool, error);
  }
}
