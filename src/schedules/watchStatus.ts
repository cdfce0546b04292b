import type { Client } from '@temporalio/client';
import type { TenantId } from '../domain/ids.js';
import { scheduleIds } from '../domain/naming.js';
import type { ProfileName } from '../domain/profiles.js';
import type { WatchName } from '../domain/watches.js';
import { type ScheduleStatus, scheduleStatus } from './scheduleStatus.js';
import { describeSchedule } from './tenantSchedules.js';
import { watchOf } from './watchSchedules.js';

export interface WatchStatus extends ScheduleStatus {
  readonly tenant: TenantId;
  readonly name: string;
  readonly source: string | null;
  readonly profile: ProfileName | null;
  /** `15m`, or a cron expression. */
  readonly every: string | null;
}

/** How the watch of a registry's row stands. */
export async function watchStatus(
  client: Client,
  {
    tenant,
    scheduleId,
  }: {
    readonly tenant: TenantId;
    readonly scheduleId: string;
  },
): Promise<WatchStatus> {
  const description = await describeSchedule(client, scheduleId);
  const status = await scheduleStatus(client, description);
  if (description === undefined) {
    const name = scheduleId.slice(scheduleIds.watch(tenant, '' as WatchName).length);
    return { tenant, name, source: null, profile: null, every: null, ...status };
  }
  const { name, source, profile, every } = watchOf(description);
  return { tenant, name, source, profile, every, ...status };
}
