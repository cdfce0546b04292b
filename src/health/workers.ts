import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { Finding } from '../domain/health/checks.js';
import { TASK_QUEUES } from '../domain/naming.js';
import { type TaskQueueName, describeRun, isPolled, isRunning } from '../operations/runs.js';
import type { Pool } from '../registry/database.js';
import { type OperationRow, listOperations } from '../registry/operations.js';

const STARTED = proto.temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_STARTED;
const WITHOUT: Readonly<Record<TaskQueueName, string>> = {
  control: 'operations stand still',
  data: 'ingests, backups, restores and imports stand still',
};
/** Operations that are asked for work in hand: where more run there are many workers. */
const MAX_ASKED = 200;

/** Each kind of worker asks Temporal for work, or has its hands full of it. */
export async function checkWorkers(client: Client, pool: Pool): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const queue of Object.keys(TASK_QUEUES) as TaskQueueName[]) {
    if (await isPolled(client, queue)) continue;
    const running =
      queue === 'data' ? await listOperations(pool, { state: 'running', limit: MAX_ASKED }) : [];
    if (await haveWorkInHand(client, running)) continue;
    const message = `no ${queue} worker asks Temporal for work: ${WITHOUT[queue]}`;
    found.push({ subject: TASK_QUEUES[queue], severity: 'critical', message, fix: 'cvops status' });
  }
  return found;
}

/**
 * Whether a data worker is at work on one of these: one whose slots are all taken asks for nothing more. An activity stays
 * in the hands of a worker that died for no longer than its heartbeat's timeout, less than a minute.
 */
export async function haveWorkInHand(
  client: Client,
  operations: readonly Pick<OperationRow, 'workflowId'>[],
): Promise<boolean> {
  for (const { workflowId } of operations) {
    const run = await describeRun(client, workflowId);
    // One that was terminated keeps its activities as they were, for good.
    if (run === undefined || !isRunning(run)) continue;
    const activities = run.raw.pendingActivities ?? [];
    const ofData = activities.filter((each) => each.activityOptions?.taskQueue?.name === TASK_QUEUES.data);
    if (ofData.some(({ state }) => state === STARTED)) return true;
  }
  return false;
}
