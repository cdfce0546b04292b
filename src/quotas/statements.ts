import { type Amounts, DEFAULT_PERIOD, type QuotaResource } from '../domain/quotas.js';

/** Where calls of now are counted; all else is in one row for ever. */
const PERIOD_START = `case when asked.resource = 'api_calls'
  then date_trunc(coalesce(q.period, '${DEFAULT_PERIOD}'), clock_timestamp() at time zone 'UTC') at time zone 'UTC'
  else '-infinity' end`;

/** Whose usage is counted. */
export const OPEN = `state in ('creating', 'active', 'inactive')`;

/** Nothing is taken by a life that is being purged, so that its certificate stays true. */
export const ASKED = `select asked.resource, asked.amount, q.max, ${PERIOD_START} as period_start
  from unnest($2::text[], $3::bigint[]) as asked (resource, amount)
    join tenants t on t.incarnation = $1 and t.${OPEN}
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

/** @returns parallel lists of those that take something */
export function listed(amounts: Amounts): [QuotaResource[], number[]] {
  const entries = Object.entries(amounts).filter(([, amount]) => amount > 0) as [QuotaResource, number][];
  return [entries.map(([resource]) => resource), entries.map(([, amount]) => amount)];
}
