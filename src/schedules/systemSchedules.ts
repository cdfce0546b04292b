import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleOptions,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import { TASK_QUEUES, scheduleIds } from '../domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';
import { updateSchedule } from './tenantSchedules.js';

interface SystemSchedule {
  /** Of the schedule and its workflows. */
  readonly id: string;
  readonly workflowType: string;
  readonly input?: object;
  readonly when: Pick<ScheduleOptions, 'spec' | 'policies'>;
  readonly note: string;
  /** Also when the schedule is made. */
  readonly now?: boolean;
}

const { system } = scheduleIds;

function systemSchedules(cluster: string): SystemSchedule[] {
  return [
    {
      ...{ id: system.reconcile, workflowType: 'reconcileRetention', input: { cluster }, when: daily(3) },
      note: 'starts retentions and purges that should run and do not',
    },
    {
      ...{ id: system.isolation, workflowType: 'verifyIsolation', input: { version: 1 }, when: daily(4) },
      note: 'plants canaries with all tenants and looks who finds whose',
    },
    {
      ...{ id: system.quotas, workflowType: 'reconcileQuotas', when: daily(5) },
      note: 'sets what is counted of every tenant right by what it has',
      // What there was before it was counted.
      now: true,
    },
    {
      ...{ id: system.health, workflowType: 'checkHealth', input: { tenant: null } },
      // What was missed is of the past: the next look sees how things are.
      when: when({ intervals: [{ every: '15 minutes' }], jitter: '2m' }, '1m'),
      note: 'looks at the installation and at every tenant, and opens and resolves alerts',
    },
  ];
}

/**
 * Schedules that belong to no tenant. Made by the control worker at its start; one that is there gets this version's
 * action, and the right to start it of the credential that the worker has now.
 */
export async function ensureSystemSchedules(client: Client, cluster: string): Promise<void> {
  for (const schedule of systemSchedules(cluster))
    try {
      await client.schedule.create(optionsOf(schedule));
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) throw error;
      await updateSchedule(client, optionsOf(schedule));
    }
}

function optionsOf({ id, workflowType, input, when: times, note, now }: SystemSchedule): ScheduleOptions {
  return {
    scheduleId: id,
    ...times,
    action: {
      type: 'startWorkflow',
      workflowType,
      workflowId: id,
      taskQueue: TASK_QUEUES.control,
      args: input === undefined ? [] : [input],
      typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.operationKind, value: workflowType }],
    },
    state: { note, ...(now ? { triggerImmediately: true } : {}) },
  };
}

/** At an hour, UTC, that is quiet in few places at once; an outage is followed by one run, not by all that were missed. */
function daily(hour: number): SystemSchedule['when'] {
  return when({ intervals: [{ every: '1 day', offset: `${hour}h` }], jitter: '30m' }, '1h');
}

function when(spec: ScheduleOptions['spec'], catchupWindow: '1h' | '1m'): SystemSchedule['when'] {
  return { spec, policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow } };
}
