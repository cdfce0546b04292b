import type { Amounts, QuotaResource, QuotaState, StockAmounts } from '../domain/quotas.js';
import { DEFAULT_PERIOD, fits, quotaExceeded } from '../domain/quotas.js';
import { OpsError } from '../domain/errors.js';
import type { Pool, Queryable } from '../registry/database.js';
import type { TenantLife } from '../registry/tenants.js';
import { expire } from './reservations.js';
import { quotaStates } from './state.js';

/** Not all that was asked for fits. In a transaction, what of it did is undone with it. */
export class QuotaRefused extends Error {
  override readonly name = 'QuotaRefused';

  constructor(
    readonly life: TenantLife,
    readonly asked: Amounts,
  ) {
    super(`a quota of tenant ${life.tenant} is used up`);
  }
}

/** Where calls of now are counted; all else is in one row for ever. */
export const PERIOD_START = `case when asked.resource = 'api_calls'
  then date_trunc(coalesce(q.period, '${DEFAULT_PERIOD}'), clock_timestamp() at time zone 'UTC') at time zone 'UTC'
  else '-infinity' end`;

/** Nothing is taken by a life that is being purged, so that its certificate stays true. */
export const ASKED = `select asked.resource, asked.amount, q.max, ${PERIOD_START} as period_start
  from unnest($2::text[], $3::bigint[]) as asked (resource, amount)
    join tenants t on t.incarnation = $1 and t.state in ('creating', 'active', 'inactive')
    left join quotas q on q.incarnation = $1 and q.resource = asked.resource`;

/** Takes wait for each other on the row and then see it as it is; the limit is read with each. */
export function takeInto(column: 'used' | 'reserved', from: string): string {
  return `insert into quota_usage as u (incarnation, resource, period_start, ${column})
    select $1, resource, period_start, amount from ${from} where max is null or amount <= max order by resource
    on conflict (incarnation, resource, period_start) do update set ${column} = u.${column} + excluded.${column}
    where u.used + u.reserved + excluded.${column} <= coalesce((select max from quotas q
      where q.incarnation = u.incarnation and q.resource = u.resource), 9223372036854775807)
    returning resource`;
}

const CONSUME = `with asked as (${ASKED}) ${takeInto('used', 'asked')}`;

/** @returns parallel lists of those that take something */
export function listed(amounts: Amounts): [QuotaResource[], number[]] {
  const entries = Object.entries(amounts).filter(([, amount]) => amount > 0) as [QuotaResource, number][];
  return [entries.map(([resource]) => resource), entries.map(([, amount]) => amount)];
}

/**
 * Uses some of one resource, by one statement: whatever the number of processes, no more than the limit is given. What
 * dead holders had reserved is freed before anybody is refused.
 *
 * @throws OpsError `QuotaExceeded`; `WrongState` for a life that is over
 */
export async function consume(
  pool: Pool,
  life: TenantLife,
  resource: QuotaResource,
  amount: number,
): Promise<void> {
  if (amount <= 0) return;
  const taken = async () =>
    (await pool.query(CONSUME, [life.incarnation, [resource], [amount]])).rowCount === 1;
  if (await taken()) return;
  if ((await expire(pool, life, [resource])) > 0 && (await taken())) return;
  throw await refusal(pool, { life, asked: { [resource]: amount } });
}

/** Of what is no longer there. */
export async function giveBack(db: Queryable, life: TenantLife, amounts: StockAmounts): Promise<void> {
  const [resources, sums] = listed(amounts);
  if (resources.length === 0) return;
  await db.query(
    `update quota_usage u set used = greatest(0, used - back.amount)
     from unnest($2::text[], $3::bigint[]) as back (resource, amount)
     where u.incarnation = $1 and u.resource = back.resource and u.period_start = '-infinity'`,
    [life.incarnation, resources, sums],
  );
}

/** What to tell whoever was refused: the first resource that does not fit, as it is now. */
export async function refusal(
  pool: Pool,
  { life, asked }: Pick<QuotaRefused, 'life' | 'asked'>,
): Promise<OpsError> {
  const open = await pool.query(
    `select 1 from tenants where incarnation = $1 and state in ('creating', 'active', 'inactive')`,
    [life.incarnation],
  );
  if (open.rowCount === 0)
    return new OpsError('WrongState', `tenant ${life.tenant} is not open any more`, 'see cvops tenant show');
  const states = await quotaStates(pool, life.incarnation);
  const amountOf = ({ resource }: QuotaState) => asked[resource] ?? 0;
  const limited = states.filter((state) => amountOf(state) > 0 && state.max !== null);
  // Freed since: what is said is still what was asked and allowed.
  const state = limited.find((one) => !fits(one, amountOf(one))) ?? limited[0];
  if (state) return quotaExceeded(life.tenant, state, amountOf(state));
  return new OpsError('Conflict', `a quota of tenant ${life.tenant} was changed meanwhile`, 'try again');
}
