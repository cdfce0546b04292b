import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleOptions,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import { TASK_QUEUES } from '../domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';
import { updateSchedule } from './tenantSchedules.js';

/**
 * Schedules that belong to no tenant. Made by the control worker at its start; one that is there gets this version's
 * action, and the right to start it of the credential that the worker has now.
 */
export async function ensureSystemSchedules(client: Client, cluster: string): Promise<void> {
  const schedule: ScheduleOptions = {
    scheduleId: 'system/retention-reconcile',
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
  try {
    await client.schedule.create(schedule);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await updateSchedule(client, schedule);
  }
}
