import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { OptimizationInput, OptimizeTenantInput } from '../../src/contracts/optimization.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, scheduleIds } from '../../src/domain/naming.js';
import { OPTIMIZATION_WORKFLOWS } from '../../src/domain/optimization.js';
import { SEARCH_ATTRIBUTES } from '../../src/domain/searchAttributes.js';
import { optimizationState } from '../../src/registry/optimization.js';
import { schedulesOf } from '../../src/registry/tenantSchedules.js';
import {
  ensureOptimizationSchedules,
  removeOptimizationSchedules,
} from '../../src/schedules/optimizationSchedules.js';
import { deleteTenantSchedules, pauseTenantSchedules } from '../../src/schedules/tenantSchedules.js';
import { evaluateSpans, retrainRouting } from '../../workflows/optimization.js';
import { optimizeTenant } from '../../workflows/optimizeTenant.js';
import { type Life, type TestRegistry, makeTenant, startTestRegistry } from '../support/registry.js';
import { type FakeActivities, WorkflowBench } from '../support/workflows.js';

let bench: WorkflowBench;
let registry: TestRegistry;
beforeAll(async () => {
  [registry, bench] = await Promise.all([startTestRegistry(), WorkflowBench.start()]);
});
afterAll(async () => {
  await bench?.stop();
  await registry?.stop();
});

const tenant = parseTenantId('acme_corp');
const incarnation = parseIncarnation(randomUUID());
const byHand: OptimizeTenantInput = {
  ...{ tenant, incarnation, operation: parseOperationId(randomUUID()), principal: 'tests', reason: '' },
};
const scheduled: OptimizationInput = { version: 1, tenant, incarnation, what: 'evaluate' };
const refused = (type: string, message: string) =>
  ApplicationFailure.create({ type, message, nonRetryable: true, category: 'BENIGN' });

function world(replaced: FakeActivities = {}) {
  const did: string[] = [];
  const activities: FakeActivities = {
    beginOptimize: async () => {},
    evaluateSpans: async () => {
      did.push('evaluate');
      return { outcome: 'done', count: 12 };
    },
    annotateSpans: async () => {
      did.push('annotate');
      return { outcome: 'done', count: 3, failed: 1, forPeople: 4, why: 'the judge did not answer' };
    },
    retrainRouting: async ({ now }) => {
      did.push(`retrain ${now ? 'now' : 'when due'}`);
      return {
        ...{ outcome: 'done', count: 1, retrained: true, applied: true, version: 5 },
        ...{ before: 0.6, after: 0.8, why: 'better by 0.200' },
      };
    },
    finishOptimize: async ({ counts }) => {
      did.push(`finished ${JSON.stringify(counts)}`);
    },
    failOptimize: async ({ state, failure }) => {
      did.push(`${state}: ${failure.code}`);
    },
    ...replaced,
  };
  return { did, activities };
}

async function run(
  activities: FakeActivities,
  workflow: (input: never) => Promise<object>,
  input: object,
): Promise<{ result: unknown; noted: string | undefined; memo: unknown }> {
  return bench.withWorkers(activities, async (client) => {
    const workflowId = `test/optimization/${randomUUID()}`;
    const handle = await client.workflow.start(workflow as (input: object) => Promise<object>, {
      ...{ workflowId, taskQueue: TASK_QUEUES.control, args: [input] },
    });
    const result: unknown = await handle.result().catch((error: unknown) => error);
    const { typedSearchAttributes, memo } = await handle.describe();
    return { result, memo, noted: typedSearchAttributes.get(SEARCH_ATTRIBUTES.operationState) };
  });
}

describe('optimizeTenant', () => {
  test('evaluates, labels and retrains, one after the other, and says what came of each', async () => {
    const { activities, did } = world();
    const { result, noted } = await run(activities, optimizeTenant, byHand);
    expect(result).toEqual({
      ...{ tenant, operation: byHand.operation, evaluated: 12, annotated: 3, retrained: true, applied: true },
      ...{ version: 5, before: 0.6, after: 0.8, judge: 'the judge did not answer', why: 'better by 0.200' },
    });
    expect(did).toEqual([
      ...['evaluate', 'annotate', 'retrain now'],
      'finished {"evaluated":12,"annotated":3,"retrained":1,"applied":1}',
    ]);
    expect(noted).toBe('completed');
  });

  test('refused or failed it ends its operation with that, and learns from nothing it did not read', async () => {
    const off = refused('WrongState', 'the routing of tenant acme_corp is not optimized');
    const refusing = world({ beginOptimize: () => Promise.reject(off) });
    const { result, noted } = await run(refusing.activities, optimizeTenant, byHand);
    expect(result).toMatchObject({ cause: { type: 'WrongState', message: off.message } });
    expect([noted, refusing.did]).toEqual(['failed', ['failed: WrongState']]);

    const broken = world({ annotateSpans: () => Promise.reject(refused('NotFound', 'no project')) });
    expect((await run(broken.activities, optimizeTenant, byHand)).noted).toBe('failed');
    expect(broken.did).toEqual(['evaluate', 'failed: NotFound']);
  });
});

describe('a scheduled run', () => {
  test('does its part and waits its days; skipped or failed it says why', async () => {
    const { activities, did } = world();
    expect(await run(activities, evaluateSpans, scheduled)).toMatchObject({
      ...{ result: { outcome: 'done', count: 12 }, noted: 'completed' },
    });
    await run(activities, retrainRouting, { ...scheduled, what: 'retrain' });
    expect(did).toEqual(['evaluate', 'retrain when due']);

    const why = 'optimization_enabled is false in the system configuration';
    const off = world({ evaluateSpans: async () => ({ outcome: 'skipped', count: 0, why }) });
    expect(await run(off.activities, evaluateSpans, scheduled)).toMatchObject({
      ...{ result: { outcome: 'skipped', why }, noted: 'skipped', memo: { why } },
    });
    // Closed while it ran.
    const closed = world({ evaluateSpans: () => Promise.reject(refused('WrongState', 'it is inactive')) });
    expect((await run(closed.activities, evaluateSpans, scheduled)).noted).toBe('skipped');
    const broken = world({ evaluateSpans: () => Promise.reject(refused('NotFound', 'no such life')) });
    expect(await run(broken.activities, evaluateSpans, scheduled)).toMatchObject({
      ...{ noted: 'failed', memo: { why: 'no such life' }, result: { cause: { type: 'NotFound' } } },
    });
  });
});

describe('schedules', () => {
  const idsOf = async (life: Life) =>
    (await schedulesOf(registry.pool, [life.incarnation])).map(({ scheduleId }) => scheduleId);

  test('of a hundred tenants never start more than five in any ten seconds', async () => {
    const { pool } = registry;
    const lives: Life[] = [];
    for (let i = 0; i < 100; i++) lives.push(await makeTenant(pool, `spread${i}`));
    const waiting = lives.values();
    const one = async () => {
      for (const life of waiting) await ensureOptimizationSchedules(pool, bench.client, life);
    };
    await Promise.all(Array.from({ length: 8 }, one));
    // The list has each schedule's next five starts, jitter and all, as the server has worked them out.
    const starts = await vi.waitFor(
      async () => {
        const found: { readonly type: string | undefined; readonly next: readonly Date[] }[] = [];
        for await (const { scheduleId, action, info } of bench.client.schedule.list())
          if (scheduleId.startsWith('tenant/spread'))
            found.push({ type: action?.workflowType, next: info.nextActionTimes });
        expect(found.filter(({ next }) => next.length > 0)).toHaveLength(300);
        return found;
      },
      { timeout: 60_000, interval: 500 },
    );
    expect(new Set(starts.map(({ type }) => type))).toEqual(new Set(Object.values(OPTIMIZATION_WORKFLOWS)));
    // As far ahead as the ones that start most often tell.
    const known = Math.min(...starts.map(({ next }) => next.at(-1)!.getTime()));
    const near = starts
      .flatMap(({ next }) => next.map((at) => at.getTime()))
      .filter((at) => at <= known)
      .toSorted((a, b) => a - b);
    expect(near.length).toBeGreaterThan(500);
    const inTenSeconds = near.map((from) => near.filter((at) => at >= from && at < from + 10_000).length);
    expect(Math.max(...inTenSeconds)).toBeLessThanOrEqual(5);
    const slots = await Promise.all(
      lives.map(async (life) => (await optimizationState(pool, life.incarnation)).slot),
    );
    expect(new Set(slots)).toEqual(new Set(Array.from({ length: 100 }, (_, i) => i)));

    // A place that is given up is the next one's, and a second ensure keeps its own.
    await removeOptimizationSchedules(pool, bench.client, lives[3]!);
    expect(await idsOf(lives[3]!)).toEqual([]);
    const next = await makeTenant(pool, 'spread_next');
    await ensureOptimizationSchedules(pool, bench.client, next);
    await ensureOptimizationSchedules(pool, bench.client, next);
    expect((await optimizationState(pool, next.incarnation)).slot).toBe(slots[3]);
  });

  test('pause with their tenant and go with it', async () => {
    const { pool } = registry;
    const life = await makeTenant(pool, 'paused_one');
    await ensureOptimizationSchedules(pool, bench.client, life);
    await pauseTenantSchedules(pool, bench.client, life.incarnation);
    const id = scheduleIds.optimization(life.tenant, 'evaluate');
    expect((await bench.client.schedule.getHandle(id).describe()).state.paused).toBe(true);
    await deleteTenantSchedules(pool, bench.client, [life.incarnation]);
    await expect(bench.client.schedule.getHandle(id).describe()).rejects.toThrow();
    expect(await idsOf(life)).toEqual([]);
  });
});
