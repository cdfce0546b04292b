import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { IngestActivities } from '../../activities/types.js';
import { toOpsError } from '../../src/client/failures.js';
import type { IngestVideosInput } from '../../src/contracts/ingest.js';
import { parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { ingestVideos } from '../../workflows/ingestVideos.js';
import { ingestProgress, pauseIngest, resumeIngest, setIngestConcurrency } from '../../workflows/messages.js';
import { turnOf } from '../support/ingestTurns.js';
import { WorkflowBench } from '../support/workflows.js';

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
});
afterAll(() => bench?.stop());

const input = (concurrency: number): IngestVideosInput => ({
  tenant: parseTenantId('acme_corp'),
  operation: parseOperationId(randomUUID()),
  profile: 'video_colpali_smol500_mv_frame',
  source: '/videos',
  concurrency,
  principal: 'tester',
  reason: '',
});

/** A ledger in memory: what each item ended as, how often each was tried, and how many were in work at once. */
function ledger(
  items: number,
  outcome: (item: number) => 'stored' | 'unchanged' | 'failed' | 'broken' = () => 'stored',
  millis = 0,
) {
  const ended = new Map<number, string>();
  const seen = { inWork: 0, most: 0, calls: 0, how: '', paused: false };
  const count = (state: string) => [...ended.values()].filter((s) => s === state).length;
  const activities: IngestActivities = {
    beginIngest: async () => {},
    findChanges: async () => ({ changed: 0 }),
    listVideos: async () => ({ items }),
    ingestVideo: async ({ item }) => {
      seen.calls++;
      seen.most = Math.max(seen.most, ++seen.inWork);
      if (millis > 0) await new Promise((resolve) => setTimeout(resolve, millis));
      seen.inWork--;
      const state = outcome(item);
      if (state === 'broken')
        throw ApplicationFailure.create({ message: `disk of ${item} is on fire`, nonRetryable: true });
      if (ended.has(item))
        throw ApplicationFailure.create({ message: `item ${item} ingested twice`, nonRetryable: true });
      ended.set(item, state);
      return { state, documents: state === 'failed' ? 0 : 10 };
    },
    ingestTurn: turnOf(
      (input) => activities.ingestVideo(input),
      () => !seen.paused,
    ),
    notePaused: async ({ paused }) => void (seen.paused = paused),
    countStored: async () => ({ documents: 0 }),
    failItem: async ({ item, reason }) => void ended.set(item, `failed: ${reason}`),
    finishIngest: async ({ operation, how }) => {
      seen.how = how;
      const failed = [...ended.values()].filter((s) => s.startsWith('failed')).length;
      const videos = { stored: count('stored'), unchanged: count('unchanged'), failed };
      return { operation, videos, documents: 10 * (videos.stored + videos.unchanged) };
    },
    failIngest: async () => {},
  };
  return { ended, seen, activities };
}

const options = (args: IngestVideosInput) => ({
  workflowId: `test/${args.operation}`,
  taskQueue: TASK_QUEUES.control,
  args: [args] as [IngestVideosInput],
  workflowExecutionTimeout: '100s' as const,
});

test('200 videos: every one ends once, in a window, with at most 12 events a video and no payload above 64 KiB', async () => {
  const { ended, seen, activities } = ledger(
    200,
    (item) => (item % 10 === 0 ? 'failed' : item % 10 === 1 ? 'unchanged' : 'stored'),
    5,
  );
  // The first three wait for each other: chance has no part in how many are in work at once.
  const store = activities.ingestVideo.bind(activities);
  const met = Promise.withResolvers<void>();
  let came = 0;
  activities.ingestVideo = async (video) => {
    if (++came === 3) met.resolve();
    await met.promise;
    return store(video);
  };
  const args = input(8);
  const { result, history } = await bench.withWorkers(activities, async (client) => {
    const handle = await client.workflow.start(ingestVideos, options(args));
    return { result: await handle.result(), history: await handle.fetchHistory() };
  });
  expect(result).toEqual({
    operation: args.operation,
    videos: { stored: 160, unchanged: 20, failed: 20 },
    documents: 1800,
  });
  expect(ended.size).toBe(200);
  expect(seen.most).toBeLessThanOrEqual(8);
  expect(seen.most).toBeGreaterThan(2);
  const events = history.events ?? [];
  expect(events.length / 200).toBeLessThanOrEqual(3);
  const largest = Math.max(
    ...events.map((event) => temporal.api.history.v1.HistoryEvent.encode(event).finish().length),
  );
  expect(largest).toBeLessThan(64 * 1024);
});

test('more videos than one run may hold: continues as new and counts them all', async () => {
  const videos = 1500;
  const { ended, seen, activities } = ledger(videos);
  // As beside another ingest: every turn ends after a video and hands the others back.
  seen.paused = true;
  const args = input(50);
  const result = await bench.withWorkers(activities, async (client) => {
    const handle = await client.workflow.start(ingestVideos, options(args));
    const answer = await handle.result();
    const first = client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId);
    const length = (await first.describe()).historyLength;
    expect(length).toBeLessThanOrEqual(5000);
    expect((await first.describe()).status.name).toBe('CONTINUED_AS_NEW');
    return answer;
  });
  expect(result.videos).toEqual({ stored: videos, unchanged: 0, failed: 0 });
  expect(ended.size).toBe(videos);
});

test.each([
  { videos: 5, turn: 'alone' },
  { videos: 60, turn: 'among others, which it does not take with it' },
])(
  'a video whose activity is given up, $turn: failed in the ledger, and the others go on',
  async ({ videos }) => {
    const { ended, activities } = ledger(videos, (item) => (item === 3 ? 'broken' : 'stored'));
    const result = await bench.withWorkers(activities, (client) =>
      client.workflow.execute(ingestVideos, options(input(2))),
    );
    expect(result.videos).toEqual({ stored: videos - 1, unchanged: 0, failed: 1 });
    expect(ended.get(3)).toBe('failed: disk of 3 is on fire');
  },
);

test('a folder that cannot be listed fails the operation with its reason', async () => {
  const { activities } = ledger(0);
  let recorded = '';
  activities.listVideos = () =>
    Promise.reject(
      ApplicationFailure.create({ type: 'InvalidInput', message: 'no such folder', nonRetryable: true }),
    );
  activities.failIngest = async ({ failure }) => void (recorded = `${failure.code}: ${failure.message}`);
  const error: unknown = await bench.withWorkers(activities, (client) =>
    client.workflow.execute(ingestVideos, options(input(2))).catch((e: unknown) => toOpsError(e)),
  );
  expect(error).toMatchObject({ type: 'InvalidInput', message: 'no such folder' });
  expect(recorded).toBe('InvalidInput: no such folder');
});

test('pause stops new videos, resume goes on, concurrency changes while running, nonsense is refused', async () => {
  const { seen, activities } = ledger(60, () => 'stored', 30);
  await bench.withWorkers(activities, async (client) => {
    const handle = await client.workflow.start(ingestVideos, options(input(2)));
    await expect.poll(() => seen.calls).toBeGreaterThan(4);
    expect((await handle.executeUpdate(pauseIngest)).phase).toBe('paused');
    await expect.poll(async () => (await handle.query(ingestProgress)).inFlight).toBe(0);
    const atPause = seen.calls;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(seen.calls).toBe(atPause);
    await expect(
      handle.executeUpdate(setIngestConcurrency, { args: [{ concurrency: 0 }] }),
    ).rejects.toThrow();
    expect(
      (await handle.executeUpdate(setIngestConcurrency, { args: [{ concurrency: 6 }] })).concurrency,
    ).toBe(6);
    await handle.executeUpdate(resumeIngest);
    expect((await handle.result()).videos.stored).toBe(60);
  });
  expect(seen.most).toBe(6);
});

test('cancel lets the videos in work end, counts them, and closes the operation as cancelled', async () => {
  const { ended, seen, activities } = ledger(1000, () => 'stored', 50);
  await bench.withWorkers(activities, async (client) => {
    const handle = await client.workflow.start(ingestVideos, options(input(4)));
    await expect.poll(() => seen.calls).toBeGreaterThan(8);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    expect((await handle.describe()).status.name).toBe('CANCELLED');
  });
  expect(seen.how).toBe('cancelled');
  expect(seen.inWork).toBe(0);
  expect(ended.size).toBeLessThan(100);
});

const refused = (type: string) =>
  ApplicationFailure.create({ type, message: `${type} of the test`, nonRetryable: true });

test('Vespa takes no writes: the run parks as a whole, tries one, and no video is lost or failed', async () => {
  const { ended, seen, activities } = ledger(12);
  const store = activities.ingestVideo.bind(activities);
  let blocked = true;
  let refusals = 0;
  activities.ingestVideo = async (input) => {
    if (!blocked) return store(input);
    refusals++;
    throw refused('FeedBlocked');
  };
  await bench.withWorkers(activities, async (client) => {
    const handle = await client.workflow.start(ingestVideos, options(input(3)));
    await expect.poll(async () => (await handle.query(ingestProgress)).phase).toBe('feed_blocked');
    await expect.poll(async () => (await handle.query(ingestProgress)).inFlight).toBe(0);
    // Those that were in work when it began, and nobody after them.
    expect(refusals).toBeLessThanOrEqual(3);
    const parked = await handle.query(ingestProgress);
    expect(parked.blocked?.why).toBe('FeedBlocked of the test');
    expect(parked.blocked?.retryInSeconds).toBeGreaterThan(0);
    const before = refusals;
    // An operator who tries at once, too early: one video finds out.
    await handle.executeUpdate(resumeIngest);
    await expect.poll(() => refusals).toBe(before + 1);
    blocked = false;
    await handle.executeUpdate(resumeIngest);
    expect((await handle.result()).videos).toEqual({ stored: 12, unchanged: 0, failed: 0 });
  });
  expect(ended.size).toBe(12);
  expect(seen.most).toBeLessThanOrEqual(3);
});

test('a video that Vespa never answers is failed after five tries, and does not hold up the others', async () => {
  const { ended, activities } = ledger(6);
  const store = activities.ingestVideo.bind(activities);
  const tries = new Map<number, number>();
  activities.ingestVideo = async (input) => {
    tries.set(input.item, (tries.get(input.item) ?? 0) + 1);
    if (input.item === 2) throw refused('VespaSilent');
    return store(input);
  };
  await bench.withWorkers(activities, async (client) => {
    const handle = await client.workflow.start(ingestVideos, options(input(2)));
    const done = handle.result();
    let ending = false;
    void done.finally(() => (ending = true)).catch(() => undefined);
    // The parks between the tries are minutes: an operator's word ends each.
    while (!ending) await handle.executeUpdate(resumeIngest).catch(() => undefined);
    expect((await done).videos).toEqual({ stored: 5, unchanged: 0, failed: 1 });
  });
  expect(tries.get(2)).toBe(5);
  expect(ended.get(2)).toMatch(/VespaSilent of the test/);
});

test('a count in Vespa that falls short fails the run: never done with a loss', async () => {
  const { activities } = ledger(3);
  let recorded = '';
  activities.countStored = () =>
    Promise.reject(
      ApplicationFailure.create({ type: 'Unavailable', message: 'Vespa holds 29 of 30', nonRetryable: true }),
    );
  activities.failIngest = async ({ failure }) => void (recorded = failure.message);
  const error: unknown = await bench.withWorkers(activities, (client) =>
    client.workflow.execute(ingestVideos, options(input(2))).catch((e: unknown) => toOpsError(e)),
  );
  expect(error).toMatchObject({ type: 'Unavailable', message: 'Vespa holds 29 of 30' });
  expect(recorded).toBe('Vespa holds 29 of 30');
});
