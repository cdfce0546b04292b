import { type WorkflowHandleWithStartDetails } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../../src/domain/naming.js';
import { extendRetention, retentionStatus, wake } from '../../workflows/messages.js';
import { softDeleteTenant } from '../../workflows/softDeleteTenant.js';
import { newOperation } from '../support/registry.js';
import { type Row, RetentionWorld } from '../support/retentionWorld.js';
import { WorkflowBench } from '../support/workflows.js';

/** What the time-skipping server cannot show: it refuses to continue a cancelled run, and loses tasks with a worker. */
let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
});
afterAll(() => bench?.stop());

type Handle = WorkflowHandleWithStartDetails<typeof softDeleteTenant>;

async function startWaiting({ tenant, incarnation }: Row): Promise<Handle> {
  const handle = await bench.client.workflow.start(softDeleteTenant, {
    workflowId: workflowIds.retention(tenant),
    taskQueue: TASK_QUEUES.control,
    args: [{ version: 1, tenant, incarnation, cluster: 'test' }],
  });
  await expect.poll(async () => (await handle.query(retentionStatus)).purgeAt).not.toBeNull();
  return handle;
}

test('a cancelled retention answers, goes on in its next run, and begins the purge when it is due', async () => {
  const world = new RetentionWorld();
  const row = world.add(parseTenantId('acme_corp'), 'inactive', Date.now() + 3_600_000);
  await bench.withWorkers(world.activities(), async () => {
    const handle = await startWaiting(row);
    await handle.cancel();
    const { tenant, incarnation } = row;
    const asked = { tenant, incarnation, operation: newOperation(), principal: 'tester', reason: '' };
    await handle.executeUpdate(extendRetention, { args: [{ ...asked, days: 1 }] });
    // Its timer ends, and with it the run.
    row.purgeAt = Date.now() + 1_000;
    await handle.signal(wake);
    await expect.poll(() => row.state).toBe('purging');
    const runs = new Set(world.did('readRetention').map(({ runId }) => runId));
    expect(runs.size).toBe(2);
  });
});

test('a retention that ends while no worker runs is purged by the next worker', async () => {
  const world = new RetentionWorld();
  const row = world.add(parseTenantId('globex_inc'), 'inactive', Date.now() + 2_000);
  await bench.withWorkers(world.activities(), () => startWaiting(row));
  await expect.poll(() => Date.now()).toBeGreaterThan(row.purgeAt!);
  expect(row.state).toBe('inactive');
  await bench.withWorkers(world.activities(), () => expect.poll(() => row.state).toBe('purging'));
});
