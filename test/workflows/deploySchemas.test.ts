import { randomUUID } from 'node:crypto';
import type { WorkflowHandle, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RolloutActivities } from '../../activities/types.js';
import { toOpsError } from '../../src/client/failures.js';
import type { DeploySchemasInput, RolloutState } from '../../src/contracts/rollout.js';
import type { SchemaChangeOutcome } from '../../src/contracts/tenants.js';
import { type OperationId, parseOperationId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { waves } from '../../src/domain/waves.js';
import { deploySchemas } from '../../workflows/deploySchemas.js';
import { schemasChanged } from '../../workflows/messages.js';
import { WorkflowBench } from '../support/workflows.js';

let bench: WorkflowBench;
let workers: Promise<void>;
let stopWorkers: () => void;
/** By operation: the tests run at once on one pair of workers. */
const worlds = new Map<string, World>();
const STEPS = ['beginRollout', 'requestWave', 'settleWave', 'finishRollout', 'failRollout'] as const;
type Step = keyof RolloutActivities;

beforeAll(async () => {
  bench = await WorkflowBench.start();
  const stopped = new Promise<void>((resolve) => (stopWorkers = resolve));
  const run = (step: Step) => (input: { operation: string }) =>
    worlds.get(input.operation)!.run(step, input as never);
  const activities = Object.fromEntries(
    STEPS.map((step) => [step, run(step)]),
  ) as unknown as RolloutActivities;
  workers = bench.withWorkers(activities, () => stopped);
});
afterAll(async () => {
  stopWorkers?.();
  await workers;
  await bench?.stop();
});

type State = 'pending' | 'done' | 'failed' | 'skipped';
type Answer = Omit<SchemaChangeOutcome, 'id'>;

/** The ledger of a rollout, and a `vespaApplication` that answers as the test says. */
class World {
  readonly input: DeploySchemasInput;
  readonly calls: string[] = [];
  readonly items: { wave: number; state: State; reason: string }[];
  /** Whom each wave asked for, in the order of asking. */
  readonly asked = new Map<number, number[]>();
  /** Called before each step; what it throws fails the step. */
  before: (call: string) => void | Promise<void> = () => {};
  /** Called after a step has had its effect. */
  after: (call: string) => void | Promise<void> = () => {};
  /** How an item is answered; undefined: not at all. */
  answer: (item: number) => Answer | undefined = () => ({ ok: true, generation: 7, changed: true });

  constructor(tenants: number, maxFailures = 0) {
    const operation = parseOperationId(randomUUID());
    this.input = {
      operation,
      principal: 'tester',
      reason: '',
      cluster: 'test',
      tenants: 'all',
      bases: null,
      maxFailures,
    };
    this.items = waves(tenants).flatMap((size, i) =>
      Array.from({ length: size }, () => ({ wave: i + 1, state: 'pending' as const, reason: '' })),
    );
    worlds.set(operation, this);
  }

  async start(
    input: DeploySchemasInput | RolloutState = this.input,
  ): Promise<WorkflowHandleWithFirstExecutionRunId<typeof deploySchemas>> {
    return bench.client.workflow.start(deploySchemas, {
      workflowId: `test/${randomUUID()}`,
      taskQueue: TASK_QUEUES.control,
      args: [input],
    });
  }

  /** @returns the result, or the typed failure as a value */
  async execute(input?: DeploySchemasInput | RolloutState) {
    return (await this.start(input)).result().catch((error: unknown) => toOpsError(error));
  }

  async run(step: Step, input: never): Promise<unknown> {
    const call = journal(step, input);
    this.calls.push(call);
    await this.before(call);
    const result: unknown = await this[step](input);
    await this.after(call);
    return result;
  }

  count(state: State): number {
    return this.items.filter((item) => item.state === state).length;
  }

  private async beginRollout() {
    return { tenants: this.items.length, waves: this.items.at(-1)?.wave ?? 0 };
  }

  private async requestWave({ wave, replyTo }: Parameters<RolloutActivities['requestWave']>[0]) {
    const pending = this.pending(wave);
    this.asked.set(wave, pending);
    // Answers come before the step has ended: the workflow must not miss them.
    await this.reply(replyTo, wave, pending);
    return { requested: pending.length };
  }

  private async settleWave({
    wave,
    answered,
    failures,
    last,
  }: Parameters<RolloutActivities['settleWave']>[0]) {
    for (const { item, reason } of failures) this.end(item, 'failed', reason);
    for (const item of last ? this.pending(wave) : [])
      if (answered.includes(item)) this.end(item, 'done', '');
      else this.end(item, 'failed', 'no answer came in time');
    return { failed: this.count('failed') };
  }

  private async finishRollout({
    operation,
    deployments,
    why,
  }: Parameters<RolloutActivities['finishRollout']>[0]) {
    this.items.forEach((_, i) => this.end(i + 1, 'skipped', why));
    const tenants = {
      done: this.count('done'),
      failed: this.count('failed'),
      skipped: this.count('skipped'),
    };
    return { operation, tenants, deployments };
  }

  private async failRollout() {}

  /** As `vespaApplication` does: one signal a request. */
  async reply(replyTo: string, wave: number, items: readonly number[]): Promise<void> {
    const handle = bench.client.workflow.getHandle(replyTo);
    for (let from = 0; from < items.length; from += 20) {
      await Promise.all(
        items.slice(from, from + 20).map(async (item) => {
          const answer = this.answer(item);
          const id = requestId(this.input.operation, wave, item);
          if (answer !== undefined) await handle.signal(schemasChanged, { id, ...answer });
        }),
      );
    }
  }

  private pending(wave: number): number[] {
    return this.items.flatMap((item, i) => (item.wave === wave && item.state === 'pending' ? [i + 1] : []));
  }

  private end(item: number, state: State, reason: string): void {
    if (this.items[item - 1]!.state === 'pending') Object.assign(this.items[item - 1]!, { state, reason });
  }
}

function requestId(operation: OperationId, wave: number, item: number): string {
  return `${operation}/${wave}/${item}`;
}

function journal(step: Step, input: { wave?: number; state?: string; failure?: { code: string } }): string {
  if (step === 'failRollout') return `failRollout ${input.state} ${input.failure!.code}`;
  return input.wave === undefined ? step : `${step} ${input.wave}`;
}

const refused = { ok: false, generation: 0, error: { type: 'Rejected', message: 'unknown field type' } };

describe.concurrent('deploySchemas', () => {
  test.each([
    [0, []],
    [1, [1]],
    [2, [1, 1]],
    [9, [1, 1, 7]],
    [10, [1, 1, 8]],
    [100, [1, 10, 89]],
  ])('%i tenants in waves of %j', async (tenants, sizes) => {
    const world = new World(tenants);
    const result = await world.execute();
    expect(result).toEqual({
      operation: world.input.operation,
      tenants: { done: tenants, failed: 0, skipped: 0 },
      deployments: tenants > 0 ? 1 : 0,
    });
    expect([...world.asked.values()].map((asked) => asked.length)).toEqual(sizes);
    expect(world.calls).toEqual([
      'beginRollout',
      ...sizes.flatMap((_, i) => [`requestWave ${i + 1}`, `settleWave ${i + 1}`]),
      'finishRollout',
    ]);
  });

  test('the first tenant is refused: nobody else is asked, the rest is skipped with the reason', async () => {
    const world = new World(20);
    world.answer = () => refused;
    const handle = await world.start();
    expect(await handle.result()).toMatchObject({ tenants: { done: 0, failed: 1, skipped: 19 } });
    expect([...world.asked.keys()]).toEqual([1]);
    expect(world.items[0]).toMatchObject({ state: 'failed', reason: 'unknown field type' });
    expect(world.items[19]!.reason).toBe('stopped after wave 1: 1 tenant(s) failed');
    expect(await operationState(handle)).toBe('completed_with_failures');
  });

  test('stops when more have failed than allowed, counted over all waves, and not before', async () => {
    const allowed = new World(30, 2);
    allowed.answer = (item) => (item <= 2 ? refused : { ok: true, generation: 3, changed: true });
    expect(await allowed.execute()).toMatchObject({ tenants: { done: 28, failed: 2, skipped: 0 } });
    const tooMany = new World(30, 2);
    tooMany.answer = (item) => (item <= 3 ? refused : { ok: true, generation: 3, changed: true });
    expect(await tooMany.execute()).toMatchObject({ tenants: { done: 1, failed: 3, skipped: 26 } });
  });

  test('one of a hundred is refused: it fails alone, by its reason, and 99 are done', async () => {
    const world = new World(100);
    world.answer = (item) => (item === 77 ? refused : { ok: true, generation: 3, changed: true });
    expect(await world.execute()).toMatchObject({ tenants: { done: 99, failed: 1, skipped: 0 } });
    expect(world.items[76]).toMatchObject({ state: 'failed', reason: 'unknown field type' });
  });

  test('more refusals than one step is told of are all written down, and nobody is called unanswered', async () => {
    const world = new World(300, 1000);
    world.answer = (item) => (item % 2 === 0 ? refused : { ok: true, generation: 3, changed: true });
    expect(await world.execute()).toMatchObject({ tenants: { done: 150, failed: 150, skipped: 0 } });
    expect(new Set(world.items.map(({ reason }) => reason))).toEqual(new Set(['', 'unknown field type']));
    expect(world.calls.filter((call) => call === 'settleWave 3')).toHaveLength(2);
  });

  test('deployments are the distinct packages that were activated for it', async () => {
    const world = new World(30);
    // The first wave one package, the second another, the third two and some that were there already.
    world.answer = (item) =>
      item <= 1
        ? { ok: true, generation: 5, changed: true }
        : item <= 4
          ? { ok: true, generation: 6, changed: true }
          : { ok: true, generation: item % 3 === 0 ? 9 : 8, changed: item % 3 !== 2 };
    expect(await world.execute()).toMatchObject({ deployments: 4 });
    const there = new World(30);
    there.answer = () => ({ ok: true, generation: 9, changed: false });
    expect(await there.execute()).toMatchObject({ deployments: 0, tenants: { done: 30 } });
  });

  // The test's own `expect`: `poll` of the shared one belongs to whichever concurrent test began or ended last.
  test('answers that come after the wave was asked for are waited for', async ({ expect }) => {
    const world = new World(12);
    const { answer } = world;
    world.answer = () => undefined;
    const handle = await world.start();
    await expect.poll(() => world.calls.at(-1)).toBe('requestWave 1');
    world.answer = answer;
    await world.reply(handle.workflowId, 1, [1]);
    expect(await handle.result()).toMatchObject({ tenants: { done: 12 } });
  });

  test('a wave that is asked for twice is answered twice: the second answers are not the next wave’s', async ({
    expect,
  }) => {
    const world = new World(12);
    const { answer } = world;
    world.before = (call) => {
      if (call === 'requestWave 3') world.answer = () => undefined;
    };
    const handle = await world.start();
    await expect.poll(() => world.asked.get(3)).toBeDefined();
    world.answer = answer;
    const rest = world.asked.get(3)!;
    for (const item of rest) {
      await world.reply(handle.workflowId, 2, world.asked.get(2)!);
      await world.reply(handle.workflowId, 3, [item]);
    }
    expect(await handle.result()).toMatchObject({ tenants: { done: 12, failed: 0, skipped: 0 } });
  });

  test('every step may run twice', async () => {
    const world = new World(12);
    const seen = new Set<string>();
    world.after = (call) => {
      if (seen.has(call)) return;
      seen.add(call);
      throw new Error(`${call} was done and not reported`);
    };
    expect(await world.execute()).toMatchObject({
      tenants: { done: 12, failed: 0, skipped: 0 },
      deployments: 1,
    });
  });

  test('a long rollout goes on in further runs', async () => {
    const world = new World(3_000, 5);
    world.answer = (item) =>
      item % 1000 === 0 ? refused : { ok: true, generation: item, changed: item < 4 };
    const handle = await world.start();
    expect(await handle.result()).toMatchObject({
      tenants: { done: 2_997, failed: 3, skipped: 0 },
      deployments: 3,
    });
    const first = bench.client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId);
    expect((await first.describe()).status.name).toBe('CONTINUED_AS_NEW');
    expect(world.calls.filter((call) => call === 'beginRollout')).toHaveLength(1);
  });

  test('a run that continues another begins where that stopped, with its counts', async () => {
    const world = new World(30, 3);
    for (const item of world.items) if (item.wave < 3) Object.assign(item, { state: 'done' });
    Object.assign(world.items[1]!, { state: 'failed' });
    const state: RolloutState = {
      version: 1,
      input: world.input,
      waves: 3,
      next: 3,
      generations: [5, 6],
      failed: 1,
    };
    world.answer = () => ({ ok: true, generation: 6, changed: true });
    expect(await world.execute(state)).toMatchObject({
      tenants: { done: 29, failed: 1, skipped: 0 },
      deployments: 2,
    });
    expect(world.calls).toEqual(['requestWave 3', 'settleWave 3', 'finishRollout']);
  });

  test('a rollout that may not begin leaves no trace', async () => {
    const world = new World(5);
    world.before = () => {
      throw ApplicationFailure.create({ type: 'WrongState', message: 'it is inactive', nonRetryable: true });
    };
    expect(await world.execute()).toMatchObject({ type: 'WrongState', message: 'it is inactive' });
    expect(world.calls).toEqual(['beginRollout']);
  });

  test('a step that fails for good ends the rollout as failed', async () => {
    const world = new World(5);
    world.before = (call) => {
      if (call === 'requestWave 2')
        throw ApplicationFailure.create({ type: 'Conflict', message: 'no', nonRetryable: true });
    };
    const handle = await world.start();
    expect(await handle.result().catch((e: unknown) => toOpsError(e))).toMatchObject({ type: 'Conflict' });
    expect(world.calls.slice(-2)).toEqual(['requestWave 2', 'failRollout failed Conflict']);
    expect(await operationState(handle)).toBe('failed');
  });

  test('cancelled while it waits: the rollout ends as cancelled', async ({ expect }) => {
    const world = new World(5);
    world.answer = () => undefined;
    const handle = await world.start();
    await expect.poll(() => world.calls.at(-1)).toBe('requestWave 1');
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    expect(world.calls.at(-1)).toBe('failRollout cancelled Conflict');
    expect(await operationState(handle)).toBe('cancelled');
  });
});

async function operationState(handle: WorkflowHandle): Promise<unknown> {
  const { typedSearchAttributes } = await handle.describe();
  return typedSearchAttributes.getAll().find(({ key }) => key.name === 'OperationState')?.value;
}
