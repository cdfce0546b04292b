import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleHandle,
  ScheduleNotFoundError,
  type ScheduleOptions,
} from '@temporalio/client';
import type { Incarnation } from '../domain/ids.js';
import { type Pool, transaction } from '../registry/database.js';
import {
  forgetSchedule,
  noteSchedule,
  schedulesOf,
  setPausedForRetention,
} from '../registry/tenantSchedules.js';
import type { TenantLife } from '../registry/tenants.js';

const PAUSED_NOTE = 'the tenant is inactive';

/**
 * Makes, or brings up to date, a schedule of a tenant. The registry's row comes first: it is the only thing that says
 * whose a schedule is, and a schedule without one would outlive its tenant.
 *
 * @throws OpsError `WrongState` unless the life is active or being created, `Conflict` when the id is another life's
 */
export async function ensureTenantSchedule(
  pool: Pool,
  client: Client,
  life: TenantLife,
  kind: string,
  options: ScheduleOptions,
): Promise<void> {
  await transaction(pool, (tx) => noteSchedule(tx, life, options.scheduleId, kind));
  try {
    await client.schedule.create(options);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule.getHandle(options.scheduleId).update((previous) => ({
      ...previous,
      spec: options.spec,
      action: options.action,
      ...(options.policies ? { policies: { ...previous.policies, ...options.policies } } : {}),
    }));
  }
}

/** Pauses what runs; what a person has paused stays theirs. May run twice. @returns how many are paused now */
export async function pauseTenantSchedules(
  pool: Pool,
  client: Client,
  incarnation: Incarnation,
): Promise<number> {
  const schedules = await schedulesOf(pool, [incarnation]);
  for (const { scheduleId, pausedForRetention } of schedules) {
    const handle = client.schedule.getHandle(scheduleId);
    const description = await describe(handle);
    if (description === undefined || (description.state.paused && !pausedForRetention)) continue;
    // Noted first: killed in between, the next run pauses what the row says is ours to resume.
    await setPausedForRetention(pool, scheduleId, true);
    await handle.pause(PAUSED_NOTE);
  }
  return schedules.length;
}

/** Resumes exactly what the deactivation paused. May run twice. */
export async function resumeTenantSchedules(
  pool: Pool,
  client: Client,
  incarnation: Incarnation,
): Promise<number> {
  const paused = (await schedulesOf(pool, [incarnation])).filter((s) => s.pausedForRetention);
  for (const { scheduleId } of paused) {
    const handle = client.schedule.getHandle(scheduleId);
    if ((await describe(handle)) !== undefined) await handle.unpause('the tenant is active again');
    await setPausedForRetention(pool, scheduleId, false);
  }
  return paused.length;
}

/** Deletes every schedule of these lives; the row goes when the schedule is gone. */
export async function deleteTenantSchedules(
  pool: Pool,
  client: Client,
  lives: readonly Incarnation[],
): Promise<void> {
  for (const { scheduleId } of await schedulesOf(pool, lives)) {
    try {
      await client.schedule.getHandle(scheduleId).delete();
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    }
    await forgetSchedule(pool, scheduleId);
  }
}

export async function scheduleExists(client: Client, scheduleId: string): Promise<boolean> {
  return (await describe(client.schedule.getHandle(scheduleId))) !== undefined;
}

async function describe(
  handle: ScheduleHandle,
): Promise<Awaited<ReturnType<ScheduleHandle['describe']>> | undefined> {
  try {
    return await handle.describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}
