import { type Client, ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import { TASK_QUEUES } from '../domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';

interface SystemSchedule {
  /** Of the schedule and its workflows. */
  readonly id: `system/${string}`;
  readonly workflowType: string;
  readonly args: unknown[];
  /** Hours after midnight UTC. */
  readonly hour: number;
  readonly note: string;
  /** Also when the schedule is made. */
  readonly now?: boolean;
}

/** Schedules that belong to no tenant. Made by the control worker at its start; one that is there stays as it is. */
export async function ensureSystemSchedules(client: Client, cluster: string): Promise<void> {
  await ensure(client, {
    id: 'system/retention-reconcile',
    workflowType: 'reconcileRetention',
    args: [{ cluster }],
    hour: 3,
    note: 'starts retentions and purges that should run and do not',
  });
  await ensure(client, {
    id: 'system/quota-reconcile',
    workflowType: 'reconcileQuotas',
    args: [],
    hour: 4,
    note: 'sets what is counted of every tenant right by what it has',
    // What there was before it was counted.
    now: true,
  });
}

async function ensure(
  client: Client,
  { id, workflowType, args, hour, note, now }: SystemSchedule,
): Promise<void> {
  try {
    await client.schedule.create({
      scheduleId: id,
      // Daily, at an hour that is quiet in few places at once; a failed purge must not wait for a fixed time of night.
      spec: { intervals: [{ every: '1 day', offset: `${hour}h` }], jitter: '30m' },
      // An outage is followed by one run, not by all that were missed.
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1h' },
      action: {
        type: 'startWorkflow',
        workflowType,
        workflowId: id,
        taskQueue: TASK_QUEUES.control,
        args,
        typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.operationKind, value: workflowType }],
      },
      state: { note, ...(now ? { triggerImmediately: true } : {}) },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
