import type { WorkflowHandleWithStartDetails } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toOpsError } from '../../src/client/failures.js';
import type { RetentionInput, RetentionRequest, Running } from '../../src/contracts/life.js';
import { OpsError } from '../../src/domain/errors.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../../src/domain/naming.js';
import { DAY_MS } from '../../src/domain/retention.js';
import {
  deactivated,
  extendRetention,
  purgeNow,
  reactivate,
  retentionStatus,
  wake,
} from '../../workflows/messages.js';
import { softDeleteTenant } from '../../workflows/softDeleteTenant.js';
import { newOperation } from '../support/registry.js';
import { type Row, RetentionWorld } from '../support/retentionWorld.js';
import { TimeSkipping } from '../support/timeSkipping.js';

const MINUTE_MS = 60_000;

let bench: TimeSkipping;
let world: RetentionWorld;
let row: Row;
beforeEach(async () => {
  // The clock is the server's: a workflow that one test left open would hold it still for the next.
  bench = await TimeSkipping.start();
  world = new RetentionWorld();
  row = world.add(parseTenantId('acme_corp'), 'active');
});
afterEach(() => bench?.stop());

type Handle = WorkflowHandleWithStartDetails<typeof softDeleteTenant>;

function input(retentionDays: number, running: Running = 'drain'): RetentionInput {
  const { tenant, incarnation } = row;
  const asked = { operation: newOperation(), principal: 'tester', reason: 'left' };
  return { version: 1, tenant, incarnation, cluster: 'test', begin: { ...asked, retentionDays, running } };
}

function start(args: RetentionInput): Promise<Handle> {
  return bench.client.workflow.start(softDeleteTenant, {
    workflowId: workflowIds.retention(args.tenant),
    taskQueue: TASK_QUEUES.control,
    args: [args],
  });
}

/** Inactive for so many days; @returns when by the registry it ends. */
async function deactivate(days: number, running?: Running): Promise<{ handle: Handle; end: number }> {
  const handle = await start(input(days, running));
  const { purgeAt } = await handle.executeUpdate(deactivated);
  return { handle, end: Date.parse(purgeAt!) };
}

const request = (): RetentionRequest => ({
  tenant: row.tenant,
  incarnation: row.incarnation,
  operation: newOperation(),
  principal: 'tester',
  reason: 'asked',
});

const refusal = (work: Promise<unknown>) => work.then(() => undefined, toOpsError);
const attempts = () => world.did('beginPurge').map(({ at }) => at);
const operationState = async (handle: Handle) =>
  (await bench.client.workflow.getHandle(handle.workflowId).describe()).searchAttributes['OperationState'];

function expectPurgedAt(end: number): void {
  expect(row.state).toBe('purged');
  expect(attempts()).toHaveLength(1);
  expect(attempts()[0]).toBeGreaterThanOrEqual(end);
  expect(attempts()[0]).toBeLessThan(end + 5 * MINUTE_MS);
}

describe('the wait', () => {
  test('ends in a purge after 90 days, with three notices, and every run of it is small and a day old at most', async () => {
    await bench.withWorker(world.activities(), async () => {
      const before = await bench.now();
      const { handle, end } = await deactivate(90);
      expect(end - 90 * DAY_MS).toBeGreaterThanOrEqual(before);
      expect(end - 90 * DAY_MS).toBeLessThan(before + MINUTE_MS);
      const result = await handle.result();
      expect(result).toMatchObject({ state: 'purged', purgeAt: null, running: 0 });
      expect(world.operations.get(result.purge as never)).toBe('completed');
      expect(await operationState(handle)).toEqual(['completed']);
      expectPurgedAt(end);
      expect(world.notices()).toEqual([30, 7, 1].map((days) => ({ days, left: days })));

      const runs = new Set(world.did('readRetention').map(({ runId }) => runId));
      expect(runs.size).toBeGreaterThanOrEqual(90);
      for (const runId of runs) {
        const { events } = await bench.client.workflow.getHandle(handle.workflowId, runId).fetchHistory();
        expect(events!.length).toBeLessThan(60);
        const [first, last] = [events![0]!, events!.at(-1)!];
        expect(Number(last.eventTime!.seconds) - Number(first.eventTime!.seconds)).toBeLessThan(86_400 + 300);
        const carried = last.workflowExecutionContinuedAsNewEventAttributes?.input?.payloads?.[0]?.data;
        if (carried) expect(carried.length).toBeLessThan(2048);
      }
    });
  });

  test.each([
    [5, [1]],
    [1, []],
  ])('a retention of %i day(s) gives the notices %j', async (days, notices) => {
    await bench.withWorker(world.activities(), async () => {
      const { handle, end } = await deactivate(days);
      await handle.result();
      expectPurgedAt(end);
      expect(world.notices().map((notice) => notice.days)).toEqual(notices);
    });
  });

  test('replays from its history at every step of it', async () => {
    await bench.withWorker(
      world.activities(),
      async () => {
        const { handle, end } = await deactivate(3);
        await handle.executeUpdate(extendRetention, { args: [{ ...request(), days: 6 }] });
        await handle.result();
        expectPurgedAt(end + 6 * DAY_MS);
        expect(world.did('beginRetention')).toHaveLength(1);
        expect(world.notices().map(({ days }) => days)).toEqual([7, 1]);
      },
      { maxCachedWorkflows: 0 },
    );
  });

  test('takes up a tenant that is inactive already, from the registry alone', async () => {
    const end = (await bench.now()) + 8 * DAY_MS;
    Object.assign(row, { state: 'inactive', purgeAt: end });
    const { tenant, incarnation } = row;
    await bench.withWorker(world.activities(), async () => {
      await (await start({ version: 1, tenant, incarnation, cluster: 'test' })).result();
      expectPurgedAt(end);
      expect(world.notices().map(({ days }) => days)).toEqual([7, 1]);
    });
  });

  test('looks again when woken: a date moved in the registry counts, not the one it slept for', async () => {
    await bench.withWorker(world.activities(), async () => {
      const { handle, end } = await deactivate(90);
      row.purgeAt = end - 89 * DAY_MS;
      await handle.signal(wake);
      await handle.result();
      expectPurgedAt(end - 89 * DAY_MS);
    });
  });

  // That it also goes on in the next run is shown on a real server: this one refuses to continue what was cancelled.
  test('a cancellation request does not end it, and it still answers', async () => {
    await bench.withWorker(world.activities(), async () => {
      const { handle, end } = await deactivate(2);
      await handle.cancel();
      const { purgeAt } = await handle.executeUpdate(extendRetention, { args: [{ ...request(), days: 1 }] });
      expect(Date.parse(purgeAt!)).toBe(end + DAY_MS);
      expect(await handle.query(retentionStatus)).toMatchObject({ state: 'inactive', purgeAt });
      await handle.executeUpdate(reactivate, { args: [request()] });
      expect(await handle.result()).toMatchObject({ state: 'active' });
    });
  });
});

describe('a deactivation', () => {
  test.each(['drain', 'cancel'] as const)(
    '(%s) is over when the last running operation has ended',
    async (how) => {
      world.running = 2;
      await bench.withWorker(world.activities(), async () => {
        const { handle, end } = await deactivate(2, how);
        expect(await handle.query(retentionStatus)).toMatchObject({ state: 'inactive', running: 2 });
        await bench.sleepUntil(end - 2 * DAY_MS + 10 * MINUTE_MS);
        expect(world.did('endDeactivation')).toHaveLength(0);
        const asked = world.did('stopRunning');
        expect(asked.length).toBeGreaterThan(2);
        expect(new Set(asked.map(({ detail }) => detail))).toEqual(new Set([how]));
        world.running = 0;
        await bench.env.sleep('1m');
        await expect.poll(() => world.did('endDeactivation')).toHaveLength(1);
        await handle.result();
        expectPurgedAt(end);
        expect(world.did('endDeactivation')).toHaveLength(1);
      });
    },
  );

  test('that the registry refuses fails its caller with the typed error, and the workflow', async () => {
    row.state = 'purging';
    await bench.withWorker(world.activities(), async () => {
      const handle = await start(input(90));
      const expected = expect.objectContaining({ type: 'WrongState' }) as unknown;
      expect(await refusal(handle.executeUpdate(deactivated))).toEqual(expected);
      expect(await refusal(handle.result())).toEqual(expected);
      expect(world.did('pauseSchedules')).toHaveLength(0);
    });
  });
});

describe('an answer', () => {
  test('reactivate: active, schedules resumed once, and the wait is over', async () => {
    await bench.withWorker(world.activities(), async () => {
      const { handle } = await deactivate(90);
      const asked = request();
      const status = await handle.executeUpdate(reactivate, { args: [asked] });
      expect(status).toMatchObject({ state: 'active', purgeAt: null, purge: null });
      expect(await handle.result()).toEqual(status);
      expect(row).toMatchObject({ state: 'active', purgeAt: null });
      expect(world.operations.get(asked.operation)).toBe('completed');
      expect(world.did('resumeSchedules')).toHaveLength(1);
      expect(attempts()).toEqual([]);
    });
  });

  test('reactivate while operations drain ends the deactivation too', async () => {
    world.running = 1;
    await bench.withWorker(world.activities(), async () => {
      const { handle } = await deactivate(90);
      await handle.executeUpdate(reactivate, { args: [request()] });
      expect(await handle.result()).toMatchObject({ state: 'active' });
      expect(world.did('endDeactivation')).toHaveLength(1);
    });
  });

  test('reactivate during a notice that is hard to give is not forgotten', async () => {
    let release: (() => void) | undefined;
    const giveNotice = () => new Promise<void>((resolve) => (release = resolve));
    await bench.withWorker(world.activities({ giveNotice }), async () => {
      const { handle, end } = await deactivate(8);
      await bench.sleepUntil(end - 7 * DAY_MS);
      await expect.poll(() => release).toBeDefined();
      await handle.executeUpdate(reactivate, { args: [request()] });
      release!();
      expect(await handle.result()).toMatchObject({ state: 'active' });
      // Not the clock: with nothing left to wait for it jumps on.
      const { closeTime } = await handle.describe();
      expect(closeTime!.getTime()).toBeLessThan(end - 7 * DAY_MS + 5 * MINUTE_MS);
    });
  });

  test('extendRetention: later by so many days, with notices anew', async () => {
    await bench.withWorker(world.activities(), async () => {
      const { handle, end } = await deactivate(10);
      await bench.sleepUntil(end - 5 * DAY_MS);
      expect(world.notices()).toEqual([{ days: 7, left: 7 }]);
      const { purgeAt } = await handle.executeUpdate(extendRetention, { args: [{ ...request(), days: 40 }] });
      expect(Date.parse(purgeAt!)).toBe(end + 40 * DAY_MS);
      await handle.result();
      expectPurgedAt(end + 40 * DAY_MS);
      expect(world.notices().slice(1)).toEqual([30, 7, 1].map((days) => ({ days, left: days })));
    });
  });

  test('purgeNow: at once, by the operation that asked', async () => {
    await bench.withWorker(world.activities(), async () => {
      const { handle, end } = await deactivate(90);
      const asked = request();
      expect(await handle.executeUpdate(purgeNow, { args: [asked] })).toMatchObject({
        purge: asked.operation,
      });
      expect(await handle.result()).toMatchObject({ state: 'purged', purge: asked.operation });
      expect(attempts()).toHaveLength(1);
      expect(attempts()[0]).toBeLessThan(end - 89 * DAY_MS);
    });
  });

  test('purgeNow is served although another answer is held up while the run would end', async () => {
    let down = true;
    let tries = 0;
    const extend: unknown = async () => {
      tries++;
      if (down) throw new Error('the registry is down');
      throw new OpsError('WrongState', 'too late');
    };
    await bench.withWorker(world.activities({ extendRetention: extend as never }), async () => {
      const { handle, end } = await deactivate(90);
      // Not at once: the call is given up after a day, and tried again and again until then.
      await bench.sleepUntil(end - 89.05 * DAY_MS);
      const held = refusal(handle.executeUpdate(extendRetention, { args: [{ ...request(), days: 1 }] }));
      await expect.poll(() => tries).toBeGreaterThan(0);
      // The day's hop is over: the run waits for the answer before it begins anew.
      await bench.sleepUntil(end - 89 * DAY_MS + MINUTE_MS);
      const asked = request();
      expect(await handle.executeUpdate(purgeNow, { args: [asked] })).toMatchObject({
        purge: asked.operation,
      });
      down = false;
      expect(await handle.result()).toMatchObject({ state: 'purged' });
      expect(await held).toMatchObject({ type: 'WrongState' });
    });
  });
});

describe('a purge', () => {
  const no = (type: string, message: string) =>
    ApplicationFailure.create({ type, message, nonRetryable: true });

  test('that failed half-way ends the retention as failed: the reconciler takes it from there', async () => {
    const drainTraces = async () => {
      throw no('Unavailable', 'Phoenix is gone');
    };
    await bench.withWorker(world.activities({ drainTraces }), async () => {
      const { handle } = await deactivate(1);
      expect(await handle.result()).toMatchObject({ state: 'purging' });
      expect(await operationState(handle)).toEqual(['failed']);
      expect(world.did('failPurge').map(({ detail }) => detail)).toMatchObject([{ code: 'Unavailable' }]);
    });
  });

  test('that could not begin is tried again, each time after twice as long', async () => {
    let left = 9;
    const beginPurge: unknown = async (args: Parameters<RetentionWorld['beginPurging']>[0]) => {
      world.note('beginPurge', args.tenant);
      if (left-- > 0) throw no('InvalidInput', 'no key to sign with');
      world.beginPurging(args);
      return { state: 'purging' };
    };
    await bench.withWorker(world.activities({ beginPurge: beginPurge as never }), async () => {
      const { handle, end } = await deactivate(1);
      expect(await handle.result()).toMatchObject({ state: 'purged' });
      const times = attempts();
      const pauses = times.slice(1).map((at, i) => Math.round((at - times[i]!) / MINUTE_MS));
      expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
      expect(times[0]! - end).toBeLessThan(5 * MINUTE_MS);
      expect(await operationState(handle)).toEqual(['completed']);
    });
  });

  test('that comes a moment after a reactivation is refused, and the retention has not failed', async () => {
    const beginPurge: unknown = async (args: Parameters<RetentionWorld['beginPurging']>[0]) => {
      Object.assign(row, { state: 'active', purgeAt: null });
      world.beginPurging(args);
    };
    await bench.withWorker(world.activities({ beginPurge: beginPurge as never }), async () => {
      const { handle } = await deactivate(1);
      expect(await handle.result()).toMatchObject({ state: 'active', purge: null });
      expect(await operationState(handle)).toEqual(['completed']);
    });
  });
});
