import { QUARANTINE_DAYS } from '../domain/retention.js';
import type { Incarnation, OperationId } from '../domain/ids.js';
import type { TenantState } from '../domain/states.js';
import type { Queryable } from './database.js';

/**
 * The moves around a retention, each one compare-and-set on the tenant's row. The row alone decides who wins: a
 * reactivation and a purge that come at the same moment cannot both succeed, whatever the workflows believe. `now` is
 * the workflow's time, so that a step that runs again decides as it did.
 */

/** `active → inactive`. @returns false from any other state */
export async function deactivate(db: Queryable, incarnation: Incarnation, purgeAt: Date): Promise<boolean> {
  const { rowCount } = await db.query(
    `update tenants set state = 'inactive', purge_at = $2, deactivated_at = now(), updated_at = now()
     where incarnation = $1 and state = 'active'`,
    [incarnation, purgeAt],
  );
  return rowCount === 1;
}

/** `inactive → active`, before the end of the retention, of a life that is whole. @returns false otherwise */
export async function reactivate(db: Queryable, incarnation: Incarnation, now: Date): Promise<boolean> {
  const { rowCount } = await db.query(
    `update tenants set state = 'active', purge_at = null, deactivated_at = null, updated_at = now()
     where incarnation = $1 and state = 'inactive' and purge_at > $2 and unfinished_restore is null`,
    [incarnation, now],
  );
  return rowCount === 1;
}

/** Moves the end of a retention that has not ended. @returns the new end, or undefined */
export async function extendRetention(
  db: Queryable,
  incarnation: Incarnation,
  days: number,
  now: Date,
): Promise<Date | undefined> {
  const { rows } = await db.query<{ purge_at: Date }>(
    `update tenants set purge_at = purge_at + make_interval(hours => 24 * $2::int), updated_at = now()
     where incarnation = $1 and state = 'inactive' and purge_at > $3 returning purge_at`,
    [incarnation, days, now],
  );
  return rows[0]?.purge_at;
}

/**
 * `… → purging`, noting the operation that does it; in `purging` already, the operation takes over.
 *
 * @param expiredBy the purge is for an ended retention: only one that ended by then
 * @returns false when the life is in none of the states, or its retention was extended
 */
export async function beginPurging(
  db: Queryable,
  incarnation: Incarnation,
  operation: OperationId,
  from: readonly TenantState[],
  expiredBy?: Date,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update tenants set state = 'purging', purge_at = null, purge_operation = $2, updated_at = now()
     where incarnation = $1 and (state = 'purging' or (state = any($3) and ($4::timestamptz is null or purge_at <= $4)))`,
    [incarnation, operation, from, expiredBy ?? null],
  );
  return rowCount === 1;
}

/** `purging → purged` for a life and the failed creations that went with it; the name stays taken for a while. */
export async function endLives(db: Queryable, lives: readonly Incarnation[]): Promise<void> {
  await db.query(
    `update tenants set state = 'purged', purged_at = now(), updated_at = now(),
       quarantine_until = now() + make_interval(days => $2)
     where incarnation = any($1) and state in ('purging', 'creation_failed')`,
    [lives, QUARANTINE_DAYS],
  );
}

/** @returns whether this call is the first to give it */
export async function noteNotice(
  db: Queryable,
  incarnation: Incarnation,
  purgeAt: Date,
  days: number,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `insert into retention_notices (incarnation, purge_at, days) values ($1, $2, $3) on conflict do nothing`,
    [incarnation, purgeAt, days],
  );
  return rowCount === 1;
}
