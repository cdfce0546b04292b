import { DEFAULT_PERIOD, type QuotaPeriod, QUOTA_RESOURCES, type QuotaState } from '../domain/quotas.js';
import type { Incarnation } from '../domain/ids.js';
import type { Queryable } from '../registry/database.js';

/** All resources of a life, limited or not, as they are now. */
export async function quotaStates(db: Queryable, incarnation: Incarnation): Promise<QuotaState[]> {
  const { rows } = await db.query<QuotaState>(
    `with periods as (
       select known.resource, q.max,
         case when known.resource = 'api_calls' then coalesce(q.period, $3) end as period
       from unnest($2::text[]) with ordinality as known (resource, place)
         left join quotas q on q.incarnation = $1 and q.resource = known.resource
     ), starts as (
       select *, coalesce(date_trunc(period, clock_timestamp() at time zone 'UTC') at time zone 'UTC', '-infinity') as start
       from periods
     )
     select s.resource, s.max, s.period, coalesce(u.used, 0) as used, coalesce(u.reserved, 0) as reserved,
       to_char((start at time zone 'UTC') + ('1 ' || period)::interval, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "resetsAt"
     from starts s left join quota_usage u
       on u.incarnation = $1 and u.resource = s.resource and u.period_start = s.start`,
    [incarnation, QUOTA_RESOURCES, DEFAULT_PERIOD satisfies QuotaPeriod],
  );
  return QUOTA_RESOURCES.map((resource) => rows.find((row) => row.resource === resource)!);
}
