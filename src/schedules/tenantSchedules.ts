import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleDescription,
  type ScheduleHandle,
  ScheduleNotFoundError,
  type ScheduleOptions,
} from '@temporalio/client';
import { delegationFor } from '../access/temporalClient.js';
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
 * whose a schedule is, and a schedule without one would outlive its tenant. One that is paused stays so.
 *
 * @returns whether it was there already
 * @throws OpsError `WrongState` unless the life is active or being created, `Conflict` when the id is another life's
 */
export async function ensureTenantSchedule(
  pool: Pool,
  client: Client,
  life: TenantLife,
  kind: string,
  options: ScheduleOptions,
): Promise<'made' | 'updated'> {
  const isNew = await transaction(pool, (tx) => noteSchedule(tx, life, options.scheduleId, kind));
  try {
    await client.schedule.create(options);
    return 'made';
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) {
      // Refused by the server: a row for it would name what never was.
      if (isNew && !(await scheduleExists(client, options.scheduleId)))
        await forgetSchedule(pool, options.scheduleId);
      throw error;
    }
    await updateSchedule(client, options);
    return 'updated';
  }
}

/** As it is to be, with the right to start its new action. One that is paused stays so. */
export async function updateSchedule(client: Client, options: ScheduleOptions): Promise<void> {
  const delegate = await delegationFor(client, options);
  await client.schedule.getHandle(options.scheduleId).update((previous) => {
    delegate(previous);
    return {
      ...previous,
      spec: options.spec,
      action: options.action,
      ...(options.policies ? { policies: { ...previous.policies, ...options.policies } } : {}),
      // The note of a paused one says who paused it.
      state: previous.state.paused
        ? previous.state
        : { ...previous.state, ...(options.state?.note ? { note: options.state.note } : {}) },
    };
  });
}

/** Takes one schedule away; the row goes when the schedule is gone. */
export async function deleteTenantSchedule(pool: Pool, client: Client, scheduleId: string): Promise<void> {
  try {
    await client.schedule.getHandle(scheduleId).delete();
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
  }
  await forgetSchedule(pool, scheduleId);
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
  for (const { scheduleId } of await schedulesOf(pool, lives))
    await deleteTenantSchedule(pool, client, scheduleId);
}

export async function scheduleExists(client: Client, scheduleId: string): Promise<boolean> {
  return (await describe(client.schedule.getHandle(scheduleId))) !== undefined;
}

/** @returns undefined when there is no such schedule */
export async function describeSchedule(
  client: Client,
  scheduleId: string,
): Promise<ScheduleDescription | undefined> {
  return describe(client.schedule.getHandle(scheduleId));
}

async function describe(handle: ScheduleHandle): Promise<ScheduleDescription | undefined> {
  try {
    return await handle.describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}
