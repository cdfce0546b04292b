import {
  type ScheduleDescription,
  type ScheduleOptions,
  ScheduleOverlapPolicy,
  type ScheduleSpec,
} from '@temporalio/client';
import type { WatchVideosInput } from '../contracts/watches.js';
import { TASK_QUEUES, scheduleIds, workflowIds } from '../domain/naming.js';
import { workflowMarks } from '../domain/operationMarks.js';
import { type WatchTimes, jitterSeconds } from '../domain/watches.js';
import { scheduledInput } from './scheduledInput.js';

/** `kind` of the registry's row, and the workflow type. */
export const WATCH_KIND = 'watchVideos';

/**
 * The Temporal Schedule of a watch. Its action's argument is all that the watch is: an update replaces it, while a
 * schedule's memo can only be set when it is made, so the memo has what never changes.
 */
export function watchSchedule(watch: WatchVideosInput, times: WatchTimes): ScheduleOptions {
  const { tenant, name, source, profile } = watch;
  const { everySeconds, cron } = { everySeconds: undefined, cron: undefined, ...times };
  const spec: ScheduleSpec = {
    ...(cron === undefined ? { intervals: [{ every: everySeconds * 1000 }] } : { cronExpressions: [cron] }),
    jitter: jitterSeconds(times) * 1000,
  };
  return {
    scheduleId: scheduleIds.watch(tenant, name),
    spec,
    // A round that still runs is not joined by another; an outage is followed by one round, not by all it missed.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1h', pauseOnFailure: false },
    action: {
      type: 'startWorkflow',
      workflowType: WATCH_KIND,
      taskQueue: TASK_QUEUES.control,
      args: [watch],
      memo: { principal: `schedule:${name}`, reason: `watch ${name}` },
      ...workflowMarks({
        kind: WATCH_KIND,
        workflowId: workflowIds.watch(tenant, name),
        tenant,
        summary: `watch ${name}: new and changed videos for ${tenant}`,
        // A look is short, and what it finds is the bulk work.
        priority: 3,
      }),
    },
    memo: { tenant, watch: name },
    state: { note: `ingests what is new or changed in ${source} into ${tenant} (${profile})`.slice(0, 500) },
  };
}

/** What {@link watchSchedule} put into a schedule. @throws OpsError `WrongState` as {@link scheduledInput} */
export function watchOf(description: ScheduleDescription): WatchVideosInput {
  return scheduledInput(description, WATCH_KIND, 'is no watch of this version');
}
