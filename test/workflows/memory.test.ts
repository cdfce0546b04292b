import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { toOpsError } from '../../src/client/failures.js';
import { type TenantId, parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { freshTenant } from '../support/cvops.js';
import {
  type Answers,
  Play,
  Stage,
  cancelIn,
  currentDetails,
  forGood,
  operationState,
} from '../support/stage.js';

const incarnation = parseIncarnation(randomUUID());
const DAY = 86_400;
const retention = { olderThan: 90 * DAY, kinds: { chat: 30 * DAY } };
const defaults = {
  raiseFence: () => ({ from: '2026-11-28T15:45:00+00:00' }),
  awaitWriters: () => undefined,
  renewFence: () => ({ held: true }),
  lowerFence: () => undefined,
  beginClearMemory: () => ({ incarnation }),
  clearMemory: () => ({ removed: 7 }),
  finishClearMemory: (input: { removed: number }) => ({ counted: input.removed }),
  beginPruneMemory: () => ({ incarnation }),
  removeOldMemories: () => ({ removed: 5 }),
  finishPruneMemory: () => undefined,
  beginImportMemory: () => ({ incarnation }),
  checkMemoryFile: () => ({ memories: 3, sha256: 'f'.repeat(64) }),
  importMemories: () => ({ memories: 3 }),
  finishImportMemory: (input: { memories: number }) => ({ counted: input.memories }),
  failMemory: () => undefined,
} satisfies Answers;

const stage = new Stage(Object.keys(defaults));
beforeAll(() => stage.start());
afterAll(() => stage.stop());

async function start(type: string, tenant: TenantId, args: object, own: Answers) {
  const play = new Play(defaults, own);
  stage.plays.set(tenant, play);
  if ('file' in args) stage.plays.set(args.file as string, play);
  const workflowId = `test/${randomUUID()}`;
  const handle = await stage.client.workflow.start(type, {
    ...{ workflowId, taskQueue: TASK_QUEUES.control, args: [args] },
  });
  const ended = () => handle.result().catch((error: unknown) => toOpsError(error));
  return { play, handle, ended, workflowId, tenant };
}

function byHand(type: 'clearMemory' | 'pruneMemory' | 'importMemory', own: Answers = {}) {
  const tenant = parseTenantId(freshTenant('memory'));
  const operation = parseOperationId(randomUUID());
  const more = {
    clearMemory: {},
    pruneMemory: { retention },
    importMemory: { file: `/data/${operation}.jsonl` },
  };
  return start(type, tenant, { tenant, operation, principal: 'tester', reason: '', ...more[type] }, own);
}

function bySchedule(own: Answers = {}) {
  const tenant = parseTenantId(freshTenant('memory'));
  return start('pruneMemory', tenant, { version: 1, tenant, incarnation, every: '1d', retention }, own);
}

const refused = (type: string, message: string) => () => {
  throw ApplicationFailure.create({ type, message, nonRetryable: true, category: 'BENIGN' });
};

describe.concurrent('clearMemory', () => {
  const WHOLE = [
    'beginClearMemory',
    'raiseFence',
    'awaitWriters',
    'clearMemory',
    'finishClearMemory',
    'lowerFence',
  ];

  test('closes the tenant, waits for changes under way, removes, and opens it', async ({ expect }) => {
    const { play, handle, ended } = await byHand('clearMemory');
    expect(await ended()).toEqual({ counted: 7 });
    expect([play.calls, await operationState(handle)]).toEqual([WHOLE, 'completed']);
    expect(await currentDetails(handle)).toContain('- [x] remove: 7 memories, none is left');
  });

  test('refused at its start, it has nothing to undo', async ({ expect }) => {
    const { play, ended } = await byHand('clearMemory', {
      beginClearMemory: refused('WrongState', 'it is inactive'),
    });
    expect(await ended()).toMatchObject({ type: 'WrongState', message: 'it is inactive' });
    expect(play.calls).toEqual(['beginClearMemory']);
  });

  test.for(['raiseFence', 'clearMemory', 'finishClearMemory'])(
    'when %s fails for good the tenant is open again, and the operation has failed',
    async (step, { expect }) => {
      const { play, handle, ended } = await byHand('clearMemory', {
        [step]: () => {
          throw forGood('some are left');
        },
      });
      expect(await ended()).toMatchObject({ type: 'Rejected', message: 'some are left', hint: 'do this' });
      const ends = ['lowerFence', 'failMemory failed Rejected: some are left'];
      expect(play.calls).toEqual([...WHOLE.slice(0, WHOLE.indexOf(step) + 1), ...ends]);
      expect(await operationState(handle)).toBe('failed');
    },
  );

  test('cancelled while it removes, it opens the tenant and ends as cancelled', async ({ expect }) => {
    const { play, handle, ended } = await byHand('clearMemory');
    await cancelIn(handle, play, 'clearMemory');
    expect(await ended()).toBeInstanceOf(Error);
    expect(play.calls.slice(-2)).toEqual([
      'lowerFence',
      'failMemory cancelled Conflict: the clearing was cancelled; what it removed is gone',
    ]);
    expect(await operationState(handle)).toBe('cancelled');
  });
});

describe.concurrent('pruneMemory', () => {
  const WHOLE = ['beginPruneMemory', 'removeOldMemories', 'finishPruneMemory'];

  test('removes what is too old as of its beginning', async ({ expect }) => {
    const seen: { now: number; retention: object }[] = [];
    const from = Date.now();
    const { play, handle, ended, workflowId, tenant } = await byHand('pruneMemory', {
      beginPruneMemory: (input: object) => {
        expect(input).toMatchObject({ workflowId, principal: 'tester' });
        return { incarnation };
      },
      removeOldMemories: (input: (typeof seen)[number]) => {
        seen.push(input);
        return { removed: 5 };
      },
    });
    expect(await ended()).toMatchObject({ tenant, outcome: 'done', removed: 5 });
    expect([play.calls, await operationState(handle)]).toEqual([WHOLE, 'completed']);
    expect(seen).toEqual([expect.objectContaining({ retention, tenant, incarnation })]);
    expect(seen[0]!.now).toBeGreaterThanOrEqual(from);
    expect(await currentDetails(handle)).toContain('done, 5 removed\n\n- older than 90d; chat: 30d');
  });

  test('by a schedule is an operation of its own, which its memo names', async ({ expect }) => {
    let begun = '';
    const { play, handle, ended } = await bySchedule({
      beginPruneMemory: ({ operation }: { operation: string }) => {
        begun = parseOperationId(operation);
        return { incarnation };
      },
    });
    expect(await ended()).toMatchObject({ outcome: 'done', removed: 5, operation: begun });
    expect([play.calls, (await handle.describe()).memo]).toEqual([WHOLE, { operation: begun }]);
  });

  test('by a schedule is skipped while the tenant is closed, and by hand is refused', async ({ expect }) => {
    const own = { beginPruneMemory: refused('WrongState', 'it is closed') };
    const [run, asked] = [await bySchedule(own), await byHand('pruneMemory', own)];
    expect(await run.ended()).toEqual({
      tenant: run.tenant,
      outcome: 'skipped',
      removed: 0,
      why: 'it is closed',
    });
    expect(await operationState(run.handle)).toBe('skipped');
    expect((await run.handle.describe()).memo).toEqual({ why: 'it is closed' });
    expect(await asked.ended()).toMatchObject({ type: 'WrongState', message: 'it is closed' });
    for (const { play } of [run, asked]) expect(play.calls).toEqual(['beginPruneMemory']);
  });

  test('that cannot go on has failed, by a schedule too', async ({ expect }) => {
    const { play, handle, ended } = await bySchedule({
      removeOldMemories: () => {
        throw forGood('no');
      },
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'no' });
    expect(play.calls.at(-1)).toBe('failMemory failed Rejected: no');
    expect(await operationState(handle)).toBe('failed');
  });
});

describe.concurrent('importMemory', () => {
  test('reads the whole file before it stores any of it', async ({ expect }) => {
    const { play, handle, ended } = await byHand('importMemory');
    expect(await ended()).toEqual({ counted: 3 });
    expect(play.calls).toEqual([
      'beginImportMemory',
      'checkMemoryFile',
      'importMemories',
      'finishImportMemory',
    ]);
    expect(await operationState(handle)).toBe('completed');
  });

  test('stores nothing of a file that is not whole', async ({ expect }) => {
    const { play, ended } = await byHand('importMemory', {
      checkMemoryFile: refused('VerificationFailed', 'its end is missing'),
    });
    expect(await ended()).toMatchObject({ type: 'VerificationFailed' });
    expect(play.calls).toEqual([
      ...['beginImportMemory', 'checkMemoryFile'],
      'failMemory failed VerificationFailed: its end is missing',
    ]);
  });

  test('cancelled while it stores, it waits for that and ends as cancelled', async ({ expect }) => {
    const { play, handle, ended } = await byHand('importMemory');
    await cancelIn(handle, play, 'importMemories');
    expect(await ended()).toBeInstanceOf(Error);
    expect(play.calls.at(-1)).toContain('failMemory cancelled');
  });
});
