import type { Alert } from './alerts.js';
import type { Queryable } from './database.js';
import { storableText } from './storable.js';

export type AlertEventKind = 'opened' | 'raised' | 'resolved';

/** Something to be told of an alert, claimed for one try. */
export interface AlertEvent extends Pick<
  Alert,
  'severity' | 'tenant' | 'incarnation' | 'check' | 'message' | 'fix' | 'openedAt' | 'resolvedAt'
> {
  readonly id: string;
  readonly alert: string;
  readonly event: AlertEventKind;
  /** This one included. */
  readonly tries: number;
}

/** A try that is not heard of again after this long is another one's: its worker was killed. */
const LEASE_SECONDS = 60;
const FIRST_PAUSE_SECONDS = 5;
const MAX_PAUSE_SECONDS = 900;

/** In the transaction of the change that it tells of. */
export async function noteEvent(tx: Queryable, alert: string, event: AlertEventKind): Promise<void> {
  await tx.query('insert into alert_events (alert, event) values ($1, $2)', [alert, event]);
}

/**
 * Drops what was to be told of an alert that is over, unless somebody may have heard of it already.
 *
 * @returns whether somebody may have
 */
export async function dropUntold(tx: Queryable, alert: string): Promise<boolean> {
  // Claims wait for this, and then no longer find them.
  await tx.query(
    `update alert_events set state = 'dropped', ended_at = now()
     where alert = $1 and state = 'pending' and tries = 0`,
    [alert],
  );
  const { rows } = await tx.query(`select 1 from alert_events where alert = $1 and tries > 0 limit 1`, [
    alert,
  ]);
  return rows.length > 0;
}

/**
 * The next event that is due, for one try: oldest first, of each alert in order, and none of a silenced one but that it is
 * over.
 */
export async function claimEvent(db: Queryable): Promise<AlertEvent | undefined> {
  const { rows } = await db.query<AlertEvent>(
    `with next as (
       select e.id from alert_events e join alerts a on a.id = e.alert
       where e.state = 'pending' and e.next_try_at <= now()
         and (e.event = 'resolved' or coalesce(a.silenced_until <= now(), true))
         and not exists (select 1 from alert_events f where f.alert = e.alert and f.seq < e.seq and f.state = 'pending')
       order by e.seq limit 1 for update of e skip locked
     ), claimed as (
       update alert_events e set tries = tries + 1, next_try_at = now() + make_interval(secs => $1)
       from next where e.id = next.id and e.state = 'pending' returning e.id, e.alert, e.event, e.tries
     )
     select c.id, c.alert, c.event, c.tries, a.severity, a.tenant, a.incarnation, a.check_name as "check", a.message, a.fix,
       to_json(a.opened_at)#>>'{}' as "openedAt", to_json(a.resolved_at)#>>'{}' as "resolvedAt"
     from claimed c join alerts a on a.id = c.alert`,
    [LEASE_SECONDS],
  );
  return rows[0];
}

export async function endEvent(db: Queryable, id: string, state: 'sent' | 'dropped'): Promise<void> {
  await db.query(
    `update alert_events set state = $2, ended_at = now(), last_error = null where id = $1 and state = 'pending'`,
    [id, state],
  );
}

/** It is tried again, later each time. */
export async function failEvent(
  db: Queryable,
  { id, tries }: Pick<AlertEvent, 'id' | 'tries'>,
  why: string,
): Promise<void> {
  const pause = Math.min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** Math.min(tries - 1, 20));
  await db.query(
    `update alert_events set next_try_at = now() + make_interval(secs => $2), last_error = $3
     where id = $1 and state = 'pending' and tries = $4`,
    [id, pause, storableText(why).slice(0, 500), tries],
  );
}

/** What is still to be told, silenced alerts left out, and in how many seconds the first of it is due. */
export async function pendingEvents(
  db: Queryable,
): Promise<{ readonly pending: number; readonly dueInSeconds: number }> {
  const { rows } = await db.query<{ pending: number; dueInSeconds: number }>(
    `select count(*)::int as pending,
       coalesce(greatest(0, ceil(extract(epoch from min(next_try_at) - now()))), 0)::int as "dueInSeconds"
     from alert_events e join alerts a on a.id = e.alert
     where state = 'pending' and (event = 'resolved' or coalesce(silenced_until <= now(), true))`,
  );
  return rows[0]!;
}
