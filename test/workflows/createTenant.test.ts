import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApplicationActivities, TenantActivities } from '../../activities/types.js';
import { toOpsError } from '../../src/client/failures.js';
import type { CreateTenantInput } from '../../src/contracts/tenants.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { TEMPLATES } from '../../src/domain/templates.js';
import { createTenant } from '../../workflows/createTenant.js';
import { schemasChanged } from '../../workflows/messages.js';
import { WorkflowBench } from '../support/workflows.js';

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
});
afterAll(() => bench?.stop());

type Step = keyof TenantActivities | 'requestSchemaChange';

/** A world that does every step and writes down which; `broken` fails its step for good. */
function world(broken?: Step) {
  const calls: string[] = [];
  const did = async <T>(step: Step, answer: T, as: string = step): Promise<T> => {
    calls.push(as);
    if (step === broken && !as.endsWith('remove'))
      throw ApplicationFailure.create({ type: 'Rejected', message: `${step} is broken`, nonRetryable: true });
    return answer;
  };
  const activities: TenantActivities & Pick<ApplicationActivities, 'requestSchemaChange'> = {
    beginCreate: () =>
      did('beginCreate', {
        bases: ['video_colpali_smol500_mv_frame', 'agent_memories'],
        memoryEnabled: true,
      }),
    writeInitialConfig: () => did('writeInitialConfig', undefined),
    removeConfig: () => did('removeConfig', undefined),
    reserveSchemas: () => did('reserveSchemas', undefined),
    schemasToRemove: () => did('schemasToRemove', ['video_colpali_smol500_mv_frame', 'agent_memories']),
    releaseSchemas: () => did('releaseSchemas', undefined),
    ensurePhoenixProject: () => did('ensurePhoenixProject', undefined),
    deletePhoenixProject: () => did('deletePhoenixProject', undefined),
    proveMemory: () => did('proveMemory', undefined),
    verifyTenant: () => did('verifyTenant', undefined),
    activate: ({ restore, ...key }) => {
      const state = restore ? 'inactive' : 'active';
      return did('activate', { ...key, state, schemas: ['s'], phoenixProject: 'p' });
    },
    failCreate: ({ failure, state }) =>
      did('failCreate', undefined, `failCreate ${state} ${failure.code}: ${failure.message}`),
    requestSchemaChange: async ({ request }) => {
      await did(
        'requestSchemaChange',
        undefined,
        `requestSchemaChange ${request.add.length > 0 ? 'add' : 'remove'}`,
      );
      const client = bench.client.workflow.getHandle(request.replyTo!);
      await client.signal(schemasChanged, { id: request.id, ok: true, generation: 1 });
    },
  };
  return { calls, activities };
}

const input = (more: Partial<CreateTenantInput>): CreateTenantInput => ({
  tenant: parseTenantId('acme_corp'),
  incarnation: parseIncarnation(randomUUID()),
  operation: parseOperationId(randomUUID()),
  template: 'enterprise',
  values: TEMPLATES['enterprise']!,
  profiles: ['video_colpali_smol500_mv_frame'],
  cluster: 'test',
  principal: 'tester',
  reason: '',
  ...more,
});

const run = (activities: ReturnType<typeof world>['activities'], more: Partial<CreateTenantInput> = {}) =>
  bench.withWorkers(activities, (client) =>
    client.workflow
      .execute(createTenant, {
        workflowId: `test/${randomUUID()}`,
        taskQueue: TASK_QUEUES.control,
        args: [input(more)],
        workflowExecutionTimeout: '60s',
      })
      .catch((e: unknown) => toOpsError(e)),
  );

const FORWARD = [
  'beginCreate',
  'writeInitialConfig',
  'reserveSchemas',
  'requestSchemaChange add',
  'ensurePhoenixProject',
  'proveMemory',
  'verifyTenant',
  'activate',
];

test('does every step in order and ends active', async () => {
  const { calls, activities } = world();
  expect(await run(activities)).toMatchObject({ state: 'active', schemas: ['s'] });
  expect(calls).toEqual(FORWARD);
});

test('closed, for a restore: the same steps, and it ends inactive', async () => {
  const { calls, activities } = world();
  expect(await run(activities, { restore: parseOperationId(randomUUID()) })).toMatchObject({
    state: 'inactive',
  });
  expect(calls).toEqual(FORWARD);
});

describe('a final failure is compensated in reverse', () => {
  const undoConfig = ['removeConfig'];
  const undoSchemas = ['schemasToRemove', 'requestSchemaChange remove', 'releaseSchemas', ...undoConfig];
  const undoPhoenix = ['deletePhoenixProject', ...undoSchemas];
  const cases: [Step, number, string[]][] = [
    ['writeInitialConfig', 2, undoConfig],
    ['reserveSchemas', 3, undoSchemas],
    ['requestSchemaChange', 4, undoSchemas],
    ['ensurePhoenixProject', 5, undoPhoenix],
    ['proveMemory', 6, undoPhoenix],
    ['verifyTenant', 7, undoPhoenix],
    ['activate', 8, undoPhoenix],
  ];
  test.each(cases)('at %s', async (broken, done, undone) => {
    const { calls, activities } = world(broken);
    expect(await run(activities)).toMatchObject({ type: 'Rejected', message: `${broken} is broken` });
    expect(calls).toEqual([
      ...FORWARD.slice(0, done),
      ...undone,
      `failCreate failed Rejected: ${broken} is broken`,
    ]);
  });
});

test('a tenant that exists is refused with nothing to undo', async () => {
  const { calls, activities } = world('beginCreate');
  expect(await run(activities)).toMatchObject({ type: 'Rejected' });
  expect(calls).toEqual(['beginCreate']);
});

test('a cancelled creation is undone and the tenant is left creation_failed', async () => {
  const { calls, activities } = world();
  let release: (() => void) | undefined;
  activities.verifyTenant = () => new Promise((resolve) => (release = resolve));
  await bench.withWorkers(activities, async (client) => {
    const handle = await client.workflow.start(createTenant, {
      workflowId: `test/${randomUUID()}`,
      taskQueue: TASK_QUEUES.control,
      args: [input({})],
    });
    await expect.poll(() => release).toBeDefined();
    await handle.cancel();
    // The step in work is let end: undoing while it runs would race with it.
    release!();
    await expect
      .poll(() => calls.at(-1), { timeout: 90_000 })
      .toBe('failCreate cancelled Conflict: the creation was cancelled');
    await expect(handle.result()).rejects.toThrow();
  });
});
