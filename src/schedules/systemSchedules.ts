import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleOptions,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import { TASK_QUEUES, scheduleIds } from '../domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';

/** Schedules that belong to no tenant. Made by the control worker at its start; one that is there stays as it is. */
export async function ensureSystemSchedules(client: Client, cluster: string): Promise<void> {
  for (const schedule of [reconcile(cluster), health()])
    try {
      await client.schedule.create(schedule);
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    }
}

function reconcile(cluster: string): ScheduleOptions {
  return {
    scheduleId: scheduleIds.system.reconcile,
    // Daily, at an hour that is quiet in few places at once; a failed purge must not wait for a fixed time of night.
    spec: { intervals: [{ every: '1 day', offset: '3h' }], jitter: '30m' },
    // An outage is followed by one run, not by all that were missed.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1h' },
    action: {
      type: 'startWorkflow',
      workflowType: 'reconcileRetention',
      workflowId: 'system/retention-reconcile',
      taskQueue: TASK_QUEUES.control,
      args: [{ cluster }],
      typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.operationKind, value: 'reconcileRetention' }],
    },
    state: { note: 'starts retentions and purges that should run and do not' },
  };
}

function health(): ScheduleOptions {
  return {
    scheduleId: scheduleIds.system.health,
    spec: { intervals: [{ every: '15 minutes' }], jitter: '2m' },
    // What was missed is of the past: the next look sees how things are.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1m' },
    action: {
      type: 'startWorkflow',
      workflowType: 'checkHealth',
      workflowId: 'system/health',
      taskQueue: TASK_QUEUES.control,
      args: [{ tenant: null }],
      typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.operationKind, value: 'checkHealth' }],
    },
    state: { note: 'looks at the installation and at every tenant, and opens and resolves alerts' },
  };
}
