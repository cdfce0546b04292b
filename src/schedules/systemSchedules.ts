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
  // Hours that are quiet in few places at once; a failed purge must not wait for a fixed time of night.
  await ensure(client, scheduleIds.system.reconcile, {
    ...{ workflowType: 'reconcileRetention', input: { cluster }, ...daily('3h') },
    note: 'starts retentions and purges that should run and do not',
  });
  await ensure(client, scheduleIds.system.isolation, {
    ...{ workflowType: 'verifyIsolation', input: { version: 1 }, ...daily('4h') },
    note: 'plants canaries with all tenants and looks who finds whose',
  });
  await ensure(client, scheduleIds.system.health, {
    ...{ workflowType: 'checkHealth', input: { tenant: null } },
    spec: { intervals: [{ every: '15 minutes' }], jitter: '2m' },
    // What was missed is of the past: the next look sees how things are.
    catchupWindow: '1m',
    note: 'looks at the installation and at every tenant, and opens and resolves alerts',
  });
}

interface SystemSchedule {
  readonly workflowType: string;
  readonly input: object;
  readonly spec: ScheduleOptions['spec'];
  readonly catchupWindow: '1m' | '1h';
  readonly note: string;
}

function daily(offset: '3h' | '4h'): Pick<SystemSchedule, 'spec' | 'catchupWindow'> {
  // An outage is followed by one run, not by all that were missed.
  return { spec: { intervals: [{ every: '1 day', offset }], jitter: '30m' }, catchupWindow: '1h' };
}

async function ensure(
  client: Client,
  id: string,
  { workflowType, input, spec, catchupWindow, note }: SystemSchedule,
): Promise<void> {
  const options: ScheduleOptions = {
    ...{ scheduleId: id, spec },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow },
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
