import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApplicationActivities } from '../../activities/types.js';
import type { SchemaChangeRequest } from '../../src/contracts/tenants.js';
import { parseIncarnation, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { changeSchemas } from '../../workflows/messages.js';
import { vespaApplication } from '../../workflows/vespaApplication.js';
import { WorkflowBench } from '../support/workflows.js';

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
});
afterAll(() => bench?.stop());

const request = (tenant: string): SchemaChangeRequest => ({
  id: `${tenant}/add`,
  tenant: parseTenantId(tenant),
  incarnation: parseIncarnation(randomUUID()),
  add: ['video_colpali_smol500_mv_frame'],
  remove: [],
});

const initial = { version: 1, cluster: 'test', waiting: [], deploys: 0, requests: 0, generation: 0 } as const;

function deployer(
  batches: string[][],
  refuse: (tenant: string) => boolean = () => false,
): ApplicationActivities['deployBatch'] {
  return async ({ requests }) => {
    batches.push(requests.map((r) => r.tenant!));
    await new Promise((resolve) => setTimeout(resolve, 500));
    const outcomes = requests.map((r) =>
      refuse(r.tenant!)
        ? { id: r.id, ok: false, generation: 0, error: { type: 'Rejected', message: `bad ${r.tenant!}` } }
        : { id: r.id, ok: true, generation: 7 },
    );
    return { outcomes, generation: 7, deploys: 1 };
  };
}

test('requests that arrive during a deploy are deployed as one, and each asker gets its own answer', async () => {
  const batches: string[][] = [];
  await bench.withWorkers(
    { deployBatch: deployer(batches, (tenant) => tenant === 'bad_one') },
    async (client) => {
      const handle = await client.workflow.start(vespaApplication, {
        workflowId: randomUUID(),
        taskQueue: TASK_QUEUES.control,
        args: [initial],
      });
      const first = handle.executeUpdate(changeSchemas, { args: [request('first')] });
      await expect.poll(() => batches.length).toBe(1);
      const others = await Promise.all(
        ['aa', 'bad_one', 'cc', 'dd'].map((t) => handle.executeUpdate(changeSchemas, { args: [request(t)] })),
      );
      expect((await first).ok).toBe(true);
      expect(others.map((o) => o.ok)).toEqual([true, false, true, true]);
      expect(others[1]!.error).toEqual({ type: 'Rejected', message: 'bad bad_one' });
      await handle.terminate();
    },
  );
  expect(batches.length).toBe(2);
  expect(batches[1]!.toSorted()).toEqual(['aa', 'bad_one', 'cc', 'dd']);
});

test('the same request asked twice is deployed once', async () => {
  const batches: string[][] = [];
  await bench.withWorkers({ deployBatch: deployer(batches) }, async (client) => {
    const handle = await client.workflow.start(vespaApplication, {
      workflowId: randomUUID(),
      taskQueue: TASK_QUEUES.control,
      args: [initial],
    });
    const asked = request('twice');
    const [a, b] = await Promise.all([
      handle.executeUpdate(changeSchemas, { args: [asked] }),
      handle.executeUpdate(changeSchemas, { args: [asked] }),
    ]);
    expect([a.ok, b.ok]).toEqual([true, true]);
    await handle.terminate();
  });
  expect(batches).toEqual([['twice']]);
});

test('a deploy given up fails its requests and the next ones still go', async () => {
  let calls = 0;
  const good = deployer([]);
  const { ApplicationFailure } = await import('@temporalio/common');
  await bench.withWorkers(
    {
      deployBatch: async (input) => {
        if (calls++ === 0)
          throw ApplicationFailure.create({
            type: 'Rejected',
            message: 'no such cluster',
            nonRetryable: true,
          });
        return good(input);
      },
    },
    async (client) => {
      const handle = await client.workflow.start(vespaApplication, {
        workflowId: randomUUID(),
        taskQueue: TASK_QUEUES.control,
        args: [initial],
      });
      const first = await handle.executeUpdate(changeSchemas, { args: [request('one')] });
      expect(first).toMatchObject({ ok: false, error: { type: 'Rejected', message: 'no such cluster' } });
      const second = await handle.executeUpdate(changeSchemas, { args: [request('two')] });
      expect(second.ok).toBe(true);
      await handle.terminate();
    },
  );
});
