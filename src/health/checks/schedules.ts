import type { ScheduleDescription } from '@temporalio/client';
import type { Finding } from '../../domain/health/checks.js';
import type { TenantId } from '../../domain/ids.js';
import { OPTIMIZATION_KIND } from '../../schedules/optimizationSchedules.js';
import { SCHEDULED_BACKUP } from '../../schedules/backupSchedules.js';
import { SCHEDULED_PRUNE } from '../../schedules/memorySchedules.js';
import { describeSchedule } from '../../schedules/tenantSchedules.js';
import { WATCH_KIND } from '../../schedules/watchSchedules.js';
import { type TenantSchedule, schedulesOf } from '../../registry/tenantSchedules.js';
import { type Check, unlessActive } from './check.js';

/** Every schedule that the registry has is there, and none is paused but by a person. */
export const schedulesCheck: Check = {
  name: 'schedules',
  needs: ['temporal'],
  skip: unlessActive,
  // A reactivation resumes them one after the other.
  settledOnly: true,
  async run({ resources, row, temporal }) {
    const rows = await schedulesOf(resources.pool, [row.incarnation]);
    if (rows.length === 0) return [];
    const client = await temporal();
    const found = await Promise.all(
      rows.map(async (schedule) =>
        lookAt(row.tenant, schedule, await describeSchedule(client, schedule.scheduleId)),
      ),
    );
    return found.flat();
  },
};

function lookAt(
  tenant: TenantId,
  { scheduleId, kind, pausedForRetention }: TenantSchedule,
  description: ScheduleDescription | undefined,
): Finding[] {
  if (description === undefined)
    return [
      {
        subject: scheduleId,
        severity: 'warning',
        message: `schedule ${scheduleId} is noted in the registry and Temporal has none`,
        fix: remaking(tenant, kind),
      },
    ];
  const { paused, note = '' } = description.state;
  if (!paused) return [];
  const fix = `temporal schedule toggle --schedule-id ${scheduleId} --unpause`;
  return [
    pausedForRetention
      ? {
          subject: scheduleId,
          severity: 'warning',
          message: `schedule ${scheduleId} was paused for a retention that is over`,
          fix,
        }
      : {
          subject: scheduleId,
          severity: 'info',
          message: `schedule ${scheduleId} is paused${note === '' ? '' : `: ${note}`}`.slice(0, 500),
          fix,
        },
  ];
}

/** What it was set to was lost with it. */
function remaking(tenant: TenantId, kind: string): string {
  switch (kind) {
    case SCHEDULED_BACKUP:
      return `cvops backup schedule ${tenant}`;
    case SCHEDULED_PRUNE:
      return `cvops memory schedule set ${tenant} --older-than AGE`;
    case OPTIMIZATION_KIND:
      return `cvops optimize enable ${tenant}`;
    case WATCH_KIND:
      return `cvops watch add ${tenant} SOURCE --profile PROFILE`;
    default:
      return `cvops tenant show ${tenant}`;
  }
}
