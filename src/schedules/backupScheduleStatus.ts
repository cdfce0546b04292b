import type { Client } from '@temporalio/client';
import type { ScheduledBackupInput } from '../contracts/backupKeeping.js';
import { SCHEDULED, type Scheduled } from '../domain/backupSchedules.js';
import type { TenantId } from '../domain/ids.js';
import { scheduleIds } from '../domain/naming.js';
import { scheduledBackupOf } from './backupSchedules.js';
import { type ScheduleStatus, scheduleStatus } from './scheduleStatus.js';
import { describeSchedule } from './tenantSchedules.js';

export interface BackupScheduleStatus extends ScheduleStatus {
  readonly tenant: TenantId;
  readonly what: Scheduled;
  /** `1d`, or a cron expression; null when Temporal has lost it. */
  readonly every: string | null;
  /** What else it was given: consistency, samples or policy. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** How the backup schedule of a registry's row stands. */
export async function backupScheduleStatus(
  client: Client,
  { tenant, scheduleId }: { readonly tenant: TenantId; readonly scheduleId: string },
): Promise<BackupScheduleStatus> {
  const description = await describeSchedule(client, scheduleId);
  const status = await scheduleStatus(client, description);
  if (description === undefined) {
    const what = SCHEDULED.find((each) => scheduleIds.scheduled(tenant, each) === scheduleId)!;
    return { tenant, what, every: null, options: {}, ...status };
  }
  const input = scheduledBackupOf(description);
  return { tenant, what: input.what, every: input.every, options: optionsOf(input), ...status };
}

function optionsOf(input: ScheduledBackupInput): BackupScheduleStatus['options'] {
  switch (input.what) {
    case 'backup':
      return { consistency: input.consistency };
    case 'verify':
      return { samples: input.samples };
    case 'prune':
      return { policy: input.policy };
    case 'drill':
      return {};
  }
}
