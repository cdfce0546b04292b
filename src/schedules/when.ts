import type { ScheduleSpec } from '@temporalio/client';
import { type Scheduled, scheduleOffset } from '../domain/backupSchedules.js';
import type { TenantId } from '../domain/ids.js';
import type { WatchTimes } from '../domain/watches.js';

/** When a tenant's schedule runs; intervals begin at a time of the tenant's own. */
export function whenOf(tenant: TenantId, what: Scheduled | 'memory', times: WatchTimes): ScheduleSpec {
  if ('cron' in times) return { cronExpressions: [times.cron] };
  const { everySeconds } = times;
  const offset = scheduleOffset(tenant, what, everySeconds) * 1000;
  return { intervals: [{ every: everySeconds * 1000, offset }] };
}
