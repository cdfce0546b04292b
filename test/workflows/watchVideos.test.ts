import { randomUUID } from 'node:crypto';
import { ApplicationFailure, defaultPayloadConverter } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { IngestVideosInput, IngestVideosResult } from '../../src/contracts/ingest.js';
import type { WatchVideosInput } from '../../src/contracts/watches.js';
import { parseIncarnation, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../../src/domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../../src/domain/searchAttributes.js';
import type { TenantState } from '../../src/domain/states.js';
import { parseWatchName } from '../../src/domain/watches.js';
import { watchVideos } from '../../workflows/watchVideos.js';
import { turnOf } from '../support/ingestTurns.js';
import { type FakeActivities, WorkflowBench } from '../support/workflows.js';

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
});
afterAll(async () => {
  await bench?.stop();
});

const watch: WatchVideosInput = {
  version: 1,
  tenant: parseTenantId('acme_corp'),
  incarnation: parseIncarnation(randomUUID()),
  name: parseWatchName('inbox'),
  source: '/data/inbox',
  profile: 'video_colpali_smol500_mv_frame',
  concurrency: 3,
  settleSeconds: 30,
  every: '15m',
};
const refused = (type: string, message: string) =>
  ApplicationFailure.create({ type, message, nonRetryable: true, category: 'BENIGN' });

/** A tenant, a source, and an ingest of it that only counts. */
function world(options: {
  readonly state?: TenantState;
  readonly changed?: number;
  readonly failed?: number;
  readonly find?: ApplicationFailure;
  readonly begin?: ApplicationFailure;
}) {
  const { state = 'active', changed = 0, failed = 0 } = options;
  const begun: IngestVideosInput[] = [];
  const looks: unknown[] = [];
  const activities: FakeActivities = {
    readRetention: async () => ({ state, purgeAt: null }),
    findChanges: async (input) => {
      looks.push(input);
      if (options.find) throw options.find;
      return { changed };
    },
    beginIngest: async (input) => {
      if (options.begin) throw options.begin;
      begun.push(input);
    },
    listVideos: async () => ({ items: changed }),
    ingestTurn: turnOf(async ({ item }) => ({
      state: item <= failed ? 'failed' : 'stored',
      documents: item <= failed ? 0 : 5,
    })),
    countStored: async () => ({ documents: 0 }),
    finishIngest: async ({ operation }): Promise<IngestVideosResult> => ({
      operation,
      videos: { stored: changed - failed, unchanged: 0, failed },
      documents: 5 * (changed - failed),
    }),
    failIngest: async () => {},
  };
  return { activities, begun, looks };
}

async function round(activities: FakeActivities) {
  return bench.withWorkers(activities, async (client) => {
    const handle = await client.workflow.start(watchVideos, {
      workflowId: `test/watch/${randomUUID()}`,
      taskQueue: TASK_QUEUES.control,
      args: [watch],
    });
    const result = await handle.result().catch((error: unknown) => error as Error);
    const { memo, typedSearchAttributes } = await handle.describe();
    const noted = typedSearchAttributes.get(SEARCH_ATTRIBUTES.operationState);
    const { events = [] } = await handle.fetchHistory();
    return { result, memo, noted, events: events ?? [], handle };
  });
}

describe('a round of a watch', () => {
  test('that finds nothing ends at once, without an operation', async () => {
    const { activities, begun, looks } = world({ changed: 0 });
    const { result, noted, memo, events } = await round(activities);
    expect(result).toEqual({ outcome: 'unchanged', changed: 0 });
    expect(noted).toBe('unchanged');
    expect(memo).toEqual({});
    expect(begun).toEqual([]);
    const { tenant, incarnation, source, profile, settleSeconds } = watch;
    expect(looks).toEqual([{ tenant, incarnation, source, profile, unattended: { settleSeconds } }]);
    // A watch of every minute keeps half a million of these.
    expect(events.length).toBeLessThan(25);
  });

  test('that finds something runs an ingest of it as any operation is run, and waits for it', async () => {
    const { activities, begun } = world({ changed: 3, failed: 1 });
    const { result, noted, memo, events } = await round(activities);
    const { operation } = begun[0]!;
    expect(result).toEqual({
      ...{ outcome: 'ingested', changed: 3, operation, documents: 10 },
      videos: { stored: 2, unchanged: 0, failed: 1 },
    });
    expect(noted).toBe('completed_with_failures');
    expect(memo).toEqual({ operation });
    const { tenant, incarnation, source, profile, settleSeconds, concurrency } = watch;
    const by = { principal: 'schedule:inbox', reason: 'watch inbox: new or changed videos' };
    expect(begun).toEqual([
      {
        tenant,
        incarnation,
        operation,
        source,
        profile,
        concurrency,
        ...by,
        onlyChanged: true,
        unattended: { settleSeconds },
      },
    ]);

    const started = events.find(
      (e) => e.startChildWorkflowExecutionInitiatedEventAttributes,
    )!.startChildWorkflowExecutionInitiatedEventAttributes!;
    expect(started.workflowId).toBe(workflowIds.ingest(tenant, operation));
    expect(started.taskQueue!.name).toBe(TASK_QUEUES.control);
    expect(started.priority).toMatchObject({ priorityKey: 4, fairnessKey: tenant });
    const decoded = (fields: NonNullable<NonNullable<typeof started.memo>['fields']>) =>
      Object.fromEntries(
        Object.entries(fields).map(([key, payload]) => [key, defaultPayloadConverter.fromPayload(payload)]),
      );
    expect(decoded(started.memo!.fields!)).toEqual({ operation, ...by });
    expect(decoded(started.searchAttributes!.indexedFields!)).toEqual({
      TenantId: tenant,
      OperationKind: 'ingestVideos',
      OperationState: 'running',
    });
  });

  test.each(['inactive', 'purged'] as const)(
    'of a life that is %s does not even look, and says why',
    async (state) => {
      const { activities, begun, looks } = world({ state, changed: 3 });
      const { result, noted, memo } = await round(activities);
      expect(result).toEqual({
        outcome: 'skipped',
        changed: 0,
        why: expect.stringContaining(state) as string,
      });
      expect([noted, looks, begun]).toEqual(['skipped', [], []]);
      expect(memo).toEqual({ why: `this life of tenant acme_corp is ${state}` });
    },
  );

  test('whose tenant is closed or re-created between the look and the ingest is skipped too', async () => {
    const begin = refused('WrongState', 'tenant acme_corp was re-created: the ingest is for a former life');
    const { activities } = world({ changed: 3, begin });
    const { result, noted } = await round(activities);
    expect(result).toEqual({ outcome: 'skipped', changed: 0, why: begin.message });
    expect(noted).toBe('skipped');
  });

  test('whose source cannot be read fails, typed, with the reason where the list shows it', async () => {
    const { activities, begun } = world({ find: refused('InvalidInput', 'no such folder: "/data/inbox"') });
    const { result, noted, memo } = await round(activities);
    expect(result).toMatchObject({
      cause: { type: 'InvalidInput', message: 'no such folder: "/data/inbox"' },
    });
    expect([noted, begun]).toEqual(['failed', []]);
    expect(memo).toEqual({ why: 'no such folder: "/data/inbox"' });
  });

  test('that is cancelled cancels its ingest and ends after it', async () => {
    const { activities, begun } = world({ changed: 1 });
    const [working, cancelled] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let ended = false;
    const slow: FakeActivities = {
      ...activities,
      listVideos: async () => {
        working.resolve();
        await cancelled.promise;
        return { items: 0 };
      },
      finishIngest: async ({ operation, how }) => {
        ended = how === 'cancelled';
        return { operation, videos: { stored: 0, unchanged: 0, failed: 0 }, documents: 0 };
      },
    };
    await bench.withWorkers(slow, async (client) => {
      const handle = await client.workflow.start(watchVideos, {
        workflowId: `test/watch/${randomUUID()}`,
        taskQueue: TASK_QUEUES.control,
        args: [watch],
      });
      await working.promise;
      await handle.cancel();
      const child = client.workflow.getHandle(workflowIds.ingest(watch.tenant, begun[0]!.operation));
      await expect
        .poll(async () => (await child.fetchHistory()).events, { interval: 50 })
        .toContainEqual(
          expect.objectContaining({ workflowExecutionCancelRequestedEventAttributes: expect.anything() }),
        );
      cancelled.resolve();
      await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
      expect(ended).toBe(true);
      expect((await child.describe()).status.name).toBe('CANCELLED');
      const { typedSearchAttributes } = await handle.describe();
      expect(typedSearchAttributes.get(SEARCH_ATTRIBUTES.operationState)).toBe('cancelled');
    });
  });
});
