import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleOptions,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import { TASK_QUEUES } from '../domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';

/** Schedules that belong to no tenant. Made by the control worker at its start; one that is there stays as it is. */
export async function ensureSystemSchedules(client: Client, cluster: string): Promise<void> {
  // Hours that are quiet in few places at once; a failed purge must not wait for a fixed time of night.
  await ensure(client, 'retention-reconcile', {
    ...{ workflowType: 'reconcileRetention', input: { cluster }, offset: '3h' },
    note: 'starts retentions and purges that should run and do not',
  });
  await ensure(client, 'isolation', {
    ...{ workflowType: 'verifyIsolation', input: { version: 1 }, offset: '4h' },
    note: 'plants canaries with all tenants and looks who finds whose',
  });
}

interface Daily {
  readonly workflowType: string;
  readonly input: object;
  readonly offset: '3h' | '4h';
  readonly note: string;
}

async function ensure(
  client: Client,
  name: string,
  { workflowType, input, offset, note }: Daily,
): Promise<void> {
  const id = `system/${name}`;
  const options: ScheduleOptions = {
    scheduleId: id,
    spec: { intervals: [{ every: '1 day', offset }], jitter: '30m' },
    // An outage is followed by one run, not by all that were missed.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1h' },
    action: {
      type: 'startWorkflow',
      workflowType,
      workflowId: id,
      taskQueue: TASK_QUEUES.control,
      args: [input],
      typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.operationKind, value: workflowType }],
    },
    state: { note },
  };
  try {
    await client.schedule.create(options);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
