import {
  type Client,
  type ScheduleDescription,
  type ScheduleOptions,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import type { ScheduledPruneInput } from '../contracts/memory.js';
import type { TenantId } from '../domain/ids.js';
import { type MemoryRetention, spokenRetention } from '../domain/memory.js';
import { TASK_QUEUES, scheduleIds, workflowIds } from '../domain/naming.js';
import { workflowMarks } from '../domain/operationMarks.js';
import { type WatchTimes, jitterSeconds } from '../domain/watches.js';
import { type ScheduleStatus, scheduleStatus } from './scheduleStatus.js';
import { scheduledInput } from './scheduledInput.js';
import { describeSchedule } from './tenantSchedules.js';
import { whenOf } from './when.js';

/** `kind` of the registry's row, and the workflow type. */
export const SCHEDULED_PRUNE = 'pruneMemory';

/** A Temporal Schedule that prunes a tenant's memories. What it is lies in its action's argument, as a watch's. */
export function memorySchedule(input: ScheduledPruneInput, times: WatchTimes): ScheduleOptions {
  const { tenant } = input;
  return {
    scheduleId: scheduleIds.memory(tenant),
    spec: { ...whenOf(tenant, 'memory', times), jitter: jitterSeconds(times) * 1000 },
    // What an outage swallowed the next run removes as well.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute', pauseOnFailure: false },
    action: {
      type: 'startWorkflow',
      workflowType: SCHEDULED_PRUNE,
      taskQueue: TASK_QUEUES.control,
      args: [input],
      memo: { principal: 'schedule:memory', reason: `scheduled prune of memories, ${input.every}` },
      ...workflowMarks({
        kind: SCHEDULED_PRUNE,
        workflowId: workflowIds.pruneMemory(tenant),
        tenant,
        summary: `scheduled prune of the memory of ${tenant}`,
        priority: 4,
      }),
    },
    memo: { tenant },
    state: { note: `prunes the memory of ${tenant}: ${spokenRetention(input.retention)}`.slice(0, 500) },
  };
}

/** What {@link memorySchedule} put into a schedule. @throws OpsError `WrongState` as {@link scheduledInput} */
export function scheduledPruneOf(description: ScheduleDescription): ScheduledPruneInput {
  return scheduledInput(description, SCHEDULED_PRUNE, 'prunes no memory in this version');
}

export interface MemoryScheduleStatus extends ScheduleStatus {
  readonly tenant: TenantId;
  /** `1d`, or a cron expression; null when Temporal has lost it. */
  readonly every: string | null;
  readonly retention: MemoryRetention | null;
}

/** How the schedule of a registry's row stands. */
export async function memoryScheduleStatus(
  client: Client,
  { tenant, scheduleId }: { readonly tenant: TenantId; readonly scheduleId: string },
): Promise<MemoryScheduleStatus> {
  const description = await describeSchedule(client, scheduleId);
  const status = await scheduleStatus(client, description);
  if (description === undefined) return { tenant, every: null, retention: null, ...status };
  const { every, retention } = scheduledPruneOf(description);
  return { tenant, every, retention, ...status };
}
