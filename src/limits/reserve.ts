import { SYSTEM_CONFIG } from '../domain/config/keys.js';
import { OpsError } from '../domain/errors.js';
import type { Incarnation } from '../domain/ids.js';
import type { Queryable } from '../registry/database.js';

/** Requests of one kind are counted apart: an ingest takes nothing from the tenant's searches. */
export type RateKind = 'feed' | 'search' | 'memory';

export interface RateKey {
  readonly incarnation: Incarnation;
  readonly kind: RateKind;
}

/** `count` places in time, `1 / perSecond` apart. */
export interface Reservation {
  readonly count: number;
  /** The tenant's `max_qps`. */
  readonly perSecond: number;
  /** Milliseconds from the answer to the first place; negative when it is past. */
  readonly waitMs: number;
}

/** A reservation is at most this much of the tenant's second, so that many processes take turns quickly. */
export const LEASE_SECONDS = 0.25;
/** How far back the first place of a tenant that was idle may lie: its burst. */
const LAG_SECONDS = 0.25;

/**
 * The system configuration is read with every reservation: a change counts from the next one on. A bucket that is ahead
 * by minutes was filled under a clock that was set back since, or by a server that failed: it begins anew. `$6` is how
 * many are wanted, `$7` how soon.
 */
const LIMITS = `select (value->>'max_qps')::int as qps
    from config_versions join tenants using (incarnation)
    where incarnation = $1 and tenants.state in ('active', 'inactive') and scope = $2 and service = $3 and key = $4
    order by version desc limit 1`;
const RESERVE = `
  with limits as (${LIMITS}), lease as (
    select qps, n, make_interval(secs => ceil(n * 1e6 / qps)::float / 1e6) as step
    from limits, lateral (select greatest(1, least($6::int, floor(qps * ${LEASE_SECONDS})::int)) as n) as size
  )
  insert into rate_buckets as bucket (incarnation, kind, next_at)
  select $1, $5, clock_timestamp() - interval '${LAG_SECONDS} s' + step from lease
  on conflict (incarnation, kind) do update set next_at = (select step from lease) + case
    when bucket.next_at > clock_timestamp() + interval '5 minutes' then clock_timestamp()
    else greatest(bucket.next_at, clock_timestamp() - interval '${LAG_SECONDS} s')
  end
  where $7::float8 is null or bucket.next_at > clock_timestamp() + interval '5 minutes'
    or bucket.next_at <= clock_timestamp() + make_interval(secs => $7::float8 / 1000)
  returning (select n from lease) as count, (select qps from lease) as "perSecond",
    extract(epoch from next_at - (select step from lease) - clock_timestamp())::float8 * 1000 as "waitMs"`;

/** No place is free that soon. None was taken: those who are turned away do not push the next ones back. */
export class NoTurn extends Error {
  override readonly name = 'NoTurn';

  constructor(readonly perSecond?: number) {
    super('no turn is free that soon');
  }
}

/**
 * Reserves up to `wanted` places behind all that were reserved before, whoever has them: first come, first served over
 * all processes. One statement, by the database's clock alone.
 *
 * @param withinMs the first of them must come this soon; any time when left out
 * @throws NoTurn; OpsError `WrongState` for a life that is over, or has no configuration
 */
export async function reserve(
  db: Queryable,
  key: RateKey,
  wanted: number,
  withinMs?: number,
): Promise<Reservation> {
  const { scope, service, key: name } = SYSTEM_CONFIG;
  const places = [key.incarnation, scope, service, name];
  const { rows } = await db.query<Reservation>(RESERVE, [
    ...[...places, key.kind, Math.max(1, Math.floor(wanted)), withinMs ?? null],
  ]);
  if (rows[0]) return rows[0];
  const limits = await db.query<{ qps: number }>(LIMITS, places);
  if (limits.rows[0] && withinMs !== undefined) throw new NoTurn(limits.rows[0].qps);
  throw new OpsError('WrongState', 'the tenant is not open any more', 'see cvops tenant show');
}
