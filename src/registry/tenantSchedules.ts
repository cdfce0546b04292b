import { OpsError } from '../domain/errors.js';
import type { Incarnation, TenantId } from '../domain/ids.js';
import { requireState } from '../domain/states.js';
import type { Queryable } from './database.js';
import { type TenantLife, getLife } from './tenants.js';

export interface TenantSchedule {
  readonly scheduleId: string;
  readonly kind: string;
  readonly pausedForRetention: boolean;
}

/**
 * Notes whose a Temporal Schedule is, before it is made: one that no row names would never be found again.
 *
 * @param tx holds the tenant's row until it ends: a purge finds this row, or the schedule is refused
 * @returns whether the row is new
 * @throws OpsError `NotFound`; `WrongState` unless the life is active or being created; `Conflict` when the id is another
 *   life's
 */
export async function noteSchedule(
  tx: Queryable,
  life: TenantLife,
  scheduleId: string,
  kind: string,
): Promise<boolean> {
  const { tenant, incarnation } = life;
  await tx.query('select 1 from tenants where incarnation = $1 for share', [incarnation]);
  const { state, purgeAt } = await getLife(tx, life);
  if (state !== 'creating') requireState('schedule', tenant, state, purgeAt);
  const { rows } = await tx.query<{ isNew: boolean }>(
    `insert into tenant_schedules (schedule_id, incarnation, kind) values ($1, $2, $3)
     on conflict (schedule_id) do update set kind = excluded.kind where tenant_schedules.incarnation = excluded.incarnation
     returning (xmax = 0) as "isNew"`,
    [scheduleId, incarnation, kind],
  );
  if (rows[0] === undefined)
    throw new OpsError('Conflict', `schedule ${scheduleId} belongs to another tenant or life`);
  return rows[0].isNew;
}

/** Of all tenants, or one, in order of the tenant; of lives that have not ended. */
export async function schedulesOfKind(
  db: Queryable,
  kind: string,
  tenant: TenantId | undefined,
): Promise<(TenantSchedule & { readonly tenant: TenantId; readonly incarnation: Incarnation })[]> {
  const { rows } = await db.query<TenantSchedule & { tenant: TenantId; incarnation: Incarnation }>(
    `select schedule_id as "scheduleId", kind, paused_for_retention as "pausedForRetention", t.tenant, t.incarnation
     from tenant_schedules s join tenants t using (incarnation)
     where kind = $1 and ($2::text is null or t.tenant = $2) and t.state <> 'purged' order by t.tenant, schedule_id`,
    [kind, tenant ?? null],
  );
  return rows;
}

export async function schedulesOf(
  db: Queryable,
  lives: readonly Incarnation[],
): Promise<(TenantSchedule & { readonly incarnation: Incarnation })[]> {
  const { rows } = await db.query<TenantSchedule & { incarnation: Incarnation }>(
    `select schedule_id as "scheduleId", kind, paused_for_retention as "pausedForRetention", incarnation
     from tenant_schedules where incarnation = any($1) order by schedule_id`,
    [lives],
  );
  return rows;
}

export async function setPausedForRetention(
  db: Queryable,
  scheduleId: string,
  paused: boolean,
): Promise<void> {
  await db.query('update tenant_schedules set paused_for_retention = $2 where schedule_id = $1', [
    scheduleId,
    paused,
  ]);
}

export async function forgetSchedule(db: Queryable, scheduleId: string): Promise<void> {
  await db.query('delete from tenant_schedules where schedule_id = $1', [scheduleId]);
}
