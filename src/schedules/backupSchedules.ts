import { type ScheduleDescription, type ScheduleOptions, ScheduleOverlapPolicy } from '@temporalio/client';
import type { ScheduledBackupInput } from '../contracts/backupKeeping.js';
import { TASK_QUEUES, scheduleIds, workflowIds } from '../domain/naming.js';
import { workflowMarks } from '../domain/operationMarks.js';
import { type WatchTimes, jitterSeconds } from '../domain/watches.js';
import { scheduledInput } from './scheduledInput.js';
import { whenOf } from './when.js';

/** `kind` of the registry's row, and the workflow type. */
export const SCHEDULED_BACKUP = 'scheduledBackup';

/** A Temporal Schedule that backs up, verifies, prunes or drills. What it is lies in its action's argument, as a watch's. */
export function backupSchedule(input: ScheduledBackupInput, times: WatchTimes): ScheduleOptions {
  const { tenant, what } = input;
  return {
    scheduleId: scheduleIds.scheduled(tenant, what),
    spec: { ...whenOf(tenant, what, times), jitter: jitterSeconds(times) * 1000 },
    // One that still runs is not joined by another. A night's backup that an outage swallowed is worth making up for,
    // once: of those that were missed the first runs and the others find it running.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 day', pauseOnFailure: false },
    action: {
      type: 'startWorkflow',
      workflowType: SCHEDULED_BACKUP,
      taskQueue: TASK_QUEUES.control,
      args: [input],
      memo: { principal: `schedule:${what}`, reason: `scheduled ${what}, ${input.every}` },
      ...workflowMarks({
        kind: SCHEDULED_BACKUP,
        workflowId: workflowIds.scheduled(tenant, what),
        tenant,
        summary: `scheduled ${what} of ${tenant}`,
        priority: 3,
      }),
    },
    memo: { tenant, what },
    state: { note: noteOf(input) },
  };
}

function noteOf(input: ScheduledBackupInput): string {
  const { tenant } = input;
  switch (input.what) {
    case 'backup':
      return `backs up ${tenant}, ${input.consistency}`;
    case 'verify':
      return `verifies the newest backup of ${tenant}${input.samples === 1 ? '' : `, a ${input.samples}th of it in turns`}`;
    case 'prune':
      return `prunes the backups of ${tenant}: ${JSON.stringify(input.policy)}`;
    case 'drill':
      return `restores the newest backup of ${tenant} into a throw-away tenant`;
  }
}

/** What {@link backupSchedule} put into a schedule. @throws OpsError `WrongState` as {@link scheduledInput} */
export function scheduledBackupOf(description: ScheduleDescription): ScheduledBackupInput {
  return scheduledInput(description, SCHEDULED_BACKUP, 'is no backup schedule of this version');
}
