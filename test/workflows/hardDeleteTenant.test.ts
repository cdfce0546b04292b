import { randomUUID } from 'node:crypto';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApplicationActivities, PurgeActivities } from '../../activities/types.js';
import { toOpsError } from '../../src/client/failures.js';
import type { HardDeleteInput } from '../../src/contracts/life.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { PURGE_STORES, type PurgeStore } from '../../src/domain/purge.js';
import type { SchemaChangeRequest } from '../../src/contracts/tenants.js';
import { hardDeleteTenant } from '../../workflows/hardDeleteTenant.js';
import { schemasChanged } from '../../workflows/messages.js';
import { TimeSkipping } from '../support/timeSkipping.js';
import { WorkflowBench } from '../support/workflows.js';

let bench: WorkflowBench;
/** For the one that waits longest. Tests at once would not do there: the clock of each is the others' too. */
let skipping: TimeSkipping;
let workers: Promise<unknown>;
let stopWorkers: () => void;
/** By operation: the tests run at once on one pair of workers, because a purge waits between its looks. */
const worlds = new Map<string, World>();

beforeAll(async () => {
  [bench, skipping] = await Promise.all([WorkflowBench.start(), TimeSkipping.start()]);
  const stopped = new Promise<void>((resolve) => (stopWorkers = resolve));
  const purge = STEPS.map((step) => [
    step,
    (input: { operation: string }) => worlds.get(input.operation)!.run(step, input),
  ]);
  const activities = {
    ...(Object.fromEntries(purge) as PurgeActivities),
    requestSchemaChange: ({ request }) => worlds.get(request.id.split('/')[0]!)!.change(request),
  } satisfies PurgeActivities & Pick<ApplicationActivities, 'requestSchemaChange'>;
  workers = Promise.all([
    bench.withWorkers(activities, () => stopped),
    skipping.withWorker(activities, () => stopped, { deadlineMs: 600_000 }),
  ]);
});
afterAll(async () => {
  stopWorkers?.();
  await workers;
  await Promise.all([bench?.stop(), skipping?.stop()]);
});

type Step = keyof PurgeActivities;
const STEPS = [
  'beginPurge',
  'stopCreation',
  'stopOperations',
  'drainTraces',
  'countStores',
  'schemasToPurge',
  'noteSchemasErased',
  'eraseTraces',
  'eraseSchedules',
  'eraseLedger',
  'eraseConfiguration',
  'readBack',
  'issueCertificate',
  'failPurge',
] as const satisfies readonly Step[];

const ERASERS: Partial<Record<Step, PurgeStore>> = {
  eraseTraces: 'traces',
  eraseSchedules: 'schedules',
  eraseLedger: 'ledger',
  eraseConfiguration: 'configuration',
};
const BASES = ['video_colpali_smol500_mv_frame', 'agent_memories'] as const;
const NAMES = BASES.map((base) => `${base}_acme_corp`);
const OTHER_LIFE = parseIncarnation(randomUUID());

/** A tenant with something in every store, and a journal of what was done to it. */
class World {
  readonly input: HardDeleteInput;
  readonly calls: string[] = [];
  readonly changes: SchemaChangeRequest[] = [];
  /** Things left in each store. */
  readonly left = new Map<PurgeStore, number>(PURGE_STORES.map((store) => [store, 3]));
  /** How often emptying a store does not last: a sender that has not stopped. */
  readonly comesBack = new Map<PurgeStore, number>();
  creating = false;
  /** Called before each step with its name, as in the journal; what it throws fails the step. */
  before: (call: string) => void | Promise<void> = () => {};
  /** Called after a step has had its effect: what it throws is a step that was done and runs again. */
  after: (call: string) => void = () => {};
  /** What `vespaApplication` answers with; undefined: nothing. */
  answer: (request: SchemaChangeRequest) => object | undefined = () => ({ ok: true });

  constructor(
    input: Partial<HardDeleteInput> = {},
    private readonly server: { readonly client: Client } = bench,
  ) {
    this.input = {
      tenant: parseTenantId('acme_corp'),
      incarnation: parseIncarnation(randomUUID()),
      operation: parseOperationId(randomUUID()),
      principal: 'tester',
      reason: 'contract ended',
      trigger: 'requested',
      cluster: 'test',
      secondLookSeconds: 1,
      rehearsal: null,
      ...input,
    };
    worlds.set(this.input.operation, this);
  }

  /** The next run for the same tenant, with what is there now. */
  again(): World {
    const next = new World({ ...this.input, operation: parseOperationId(randomUUID()) });
    for (const [store, count] of this.left) next.left.set(store, count);
    return next;
  }

  async start(): Promise<WorkflowHandle<typeof hardDeleteTenant>> {
    return this.server.client.workflow.start(hardDeleteTenant, {
      workflowId: `test/${randomUUID()}`,
      taskQueue: TASK_QUEUES.control,
      args: [this.input],
    });
  }

  /** @returns the result, or the typed failure as a value */
  async execute() {
    return (await this.start()).result().catch((error: unknown) => toOpsError(error));
  }

  async run(step: Step, input: object): Promise<unknown> {
    const call =
      'look' in input && step === 'readBack'
        ? `readBack ${String(input.look)}`
        : 'failure' in input && step === 'failPurge'
          ? `failPurge ${JSON.stringify(input.failure)}`
          : step;
    this.calls.push(call);
    await this.before(call);
    const answer = this.effect(step);
    this.after(call);
    return answer;
  }

  async change(request: SchemaChangeRequest): Promise<void> {
    this.calls.push('removeSchemas');
    await this.before('removeSchemas');
    this.changes.push(request);
    const answer = this.answer(request);
    if (answer === undefined) return;
    if ('ok' in answer && answer.ok === true)
      for (const store of ['documents', 'memory', 'schemas'] as const) this.empty(store);
    const outcome = { id: request.id, ok: true, generation: 7, ...answer };
    await this.server.client.workflow.getHandle(request.replyTo!).signal(schemasChanged, outcome);
    this.after('removeSchemas');
  }

  private effect(step: Step): unknown {
    const store = ERASERS[step];
    if (store !== undefined) this.empty(store);
    switch (step) {
      case 'beginPurge': {
        const state = this.creating ? 'creating' : 'purging';
        return { state };
      }
      case 'stopCreation':
        this.creating = false;
        return undefined;
      case 'stopOperations':
        return { stopped: 2, terminated: 1 };
      case 'countStores':
        return { things: this.left.size, total: 21 };
      case 'schemasToPurge':
        return {
          lives: [
            { incarnation: OTHER_LIFE, bases: [], names: [] },
            { incarnation: this.input.incarnation, bases: BASES, names: NAMES },
          ],
        };
      case 'readBack':
        return {
          residuals: [...this.left]
            .filter(([, count]) => count > 0)
            .map(([store, count]) => ({ store, name: `its ${store}`, count })),
        };
      case 'issueCertificate': {
        const { tenant, incarnation, operation } = this.input;
        return { tenant, incarnation, state: 'purged', operation, certificateSha256: 'ab'.repeat(32) };
      }
      default:
        return undefined;
    }
  }

  private empty(store: PurgeStore): void {
    const times = this.comesBack.get(store) ?? 0;
    this.comesBack.set(store, times - 1);
    this.left.set(store, times > 0 ? 1 : 0);
  }
}

const forGood = (message: string) =>
  ApplicationFailure.create({
    type: 'Rejected',
    message,
    nonRetryable: true,
    details: [{ hint: 'do this' }],
  });

const REMOVE_SCHEMAS = ['schemasToPurge', 'removeSchemas', 'noteSchemasErased'];
const PREPARE = ['stopOperations', 'drainTraces', 'countStores'];
const ERASE = [...REMOVE_SCHEMAS, 'eraseTraces', 'eraseSchedules', 'eraseLedger', 'eraseConfiguration'];
const PROVE = ['readBack first', 'readBack second', 'issueCertificate'];
const FORWARD = ['beginPurge', ...PREPARE, ...ERASE, ...PROVE];

describe.concurrent('hardDeleteTenant', () => {
  test('stops, counts, takes away, proves twice, and its result is the certificate', async () => {
    const world = new World();
    const { tenant, incarnation, operation } = world.input;
    expect(await world.execute()).toEqual({
      tenant,
      incarnation,
      state: 'purged',
      operation,
      certificateSha256: 'ab'.repeat(32),
    });
    expect(world.calls).toEqual(FORWARD);
  });

  test('asks the Vespa application for exactly what the registry names, and not for a life without schemas', async () => {
    const world = new World();
    await world.execute();
    expect(world.changes).toEqual([
      {
        id: `${world.input.operation}/remove/1/0`,
        tenant: 'acme_corp',
        incarnation: world.input.incarnation,
        add: [],
        remove: BASES,
        removeNames: NAMES,
        replyTo: expect.stringMatching(/^test\//),
      },
    ]);
  });

  test('a creation under way is stopped before anything else', async () => {
    const world = new World();
    world.creating = true;
    expect(await world.execute()).toMatchObject({ state: 'purged' });
    expect(world.calls).toEqual(['beginPurge', 'stopCreation', ...FORWARD]);
  });

  test('the second look comes after the wait that was asked for', async () => {
    const world = new World({ secondLookSeconds: 3 });
    const handle = await world.start();
    await handle.result();
    const { events } = await handle.fetchHistory();
    const timers = events!.flatMap((e) => e.timerStartedEventAttributes?.startToFireTimeout?.seconds ?? []);
    expect(timers.map(Number)).toEqual([3]);
  });

  test.each([
    ['documents', REMOVE_SCHEMAS],
    ['memory', REMOVE_SCHEMAS],
    ['schemas', REMOVE_SCHEMAS],
    ['traces', ['eraseTraces']],
    ['schedules', ['eraseSchedules']],
    ['ledger', ['eraseLedger']],
    ['configuration', ['eraseConfiguration']],
  ] as const)('%s that are still there are taken away again, and nothing else', async (store, steps) => {
    const world = new World();
    world.comesBack.set(store, 1);
    expect(await world.execute()).toMatchObject({ state: 'purged' });
    expect(world.calls).toEqual(['beginPurge', ...PREPARE, ...ERASE, 'readBack first', ...steps, ...PROVE]);
  });

  test('what turns up at the second look is taken away, and both looks are taken again', async () => {
    const world = new World();
    world.before = (call) => {
      if (call === 'readBack second' && count(world, call) === 1) world.left.set('traces', 1);
    };
    expect(await world.execute()).toMatchObject({ state: 'purged' });
    expect(world.calls).toEqual([...FORWARD.slice(0, -1), 'eraseTraces', ...PROVE]);
  });

  test('every removal of schemas waits for an answer of its own', async () => {
    const world = new World();
    const back = (call: string) => void (call.startsWith('readBack') && world.left.set('schemas', 1));
    world.before = (call) => {
      if (count(world, call) === 1) back(call);
    };
    expect(await world.execute()).toMatchObject({ state: 'purged' });
    expect(world.changes).toHaveLength(3);
    expect(new Set(world.changes.map(({ id }) => id)).size).toBe(3);
  });

  test('a store that is never empty: after five rounds no certificate, and the failure names it', async () => {
    const world = new World({}, skipping);
    world.comesBack.set('traces', Infinity);
    expect(await world.execute()).toMatchObject({
      type: 'VerificationFailed',
      message: 'no certificate: not empty after 5 rounds: traces its traces (1)',
      hint: expect.stringContaining('cvops tenant delete acme_corp --hard'),
    });
    expect(count(world, 'readBack first')).toBe(5);
    expect(count(world, 'eraseTraces')).toBe(5);
    expect(world.calls).not.toContain('readBack second');
    expect(world.calls).not.toContain('issueCertificate');
    expect(world.calls.at(-1)).toMatch(/^failPurge \{"code":"VerificationFailed"/);
  });

  test('every step may run twice', async () => {
    const world = new World();
    world.creating = true;
    const seen = new Set<string>();
    world.after = (call) => {
      if (seen.has(call)) return;
      seen.add(call);
      throw new Error(`${call} was done and not reported`);
    };
    expect(await world.execute()).toMatchObject({ state: 'purged' });
    for (const call of FORWARD) expect(count(world, call), call).toBeGreaterThanOrEqual(2);
  });

  test.each([
    'stopOperations',
    'drainTraces',
    'countStores',
    'schemasToPurge',
    'removeSchemas',
    'noteSchemasErased',
    'eraseTraces',
    'eraseSchedules',
    'eraseLedger',
    'eraseConfiguration',
    'readBack first',
    'readBack second',
    'issueCertificate',
  ])(
    '%s fails for good: nothing after it, the typed failure kept, and the next run goes on',
    async (step) => {
      const world = new World();
      world.before = (call) => {
        if (call === step) throw forGood(`${step} is broken`);
      };
      const handle = await world.start();
      expect(await handle.result().catch((e: unknown) => toOpsError(e))).toMatchObject({
        type: 'Rejected',
        message: `${step} is broken`,
        hint: 'do this',
      });
      const done = FORWARD.slice(0, FORWARD.indexOf(step) + 1);
      const failure = { code: 'Rejected', message: `${step} is broken`, hint: 'do this' };
      expect(world.calls).toEqual([...done, `failPurge ${JSON.stringify(failure)}`]);
      expect(await operationState(handle)).toBe('failed');

      const next = world.again();
      expect(await next.execute()).toMatchObject({ state: 'purged', operation: next.input.operation });
      expect(next.calls).toEqual(FORWARD);
    },
  );

  test('a purge that may not begin leaves no trace', async () => {
    const world = new World();
    world.before = () => {
      throw forGood('somebody reactivated it');
    };
    expect(await world.execute()).toMatchObject({ type: 'Rejected', message: 'somebody reactivated it' });
    expect(world.calls).toEqual(['beginPurge']);
  });

  test('the Vespa application refuses: its word is the failure, and nothing more is taken away', async () => {
    const world = new World();
    world.answer = () => ({
      ok: false,
      error: { type: 'Rejected', message: 'the package would lose others' },
    });
    expect(await world.execute()).toMatchObject({
      type: 'Rejected',
      message: 'the package would lose others',
    });
    expect(world.calls.slice(-2)).toEqual([
      'removeSchemas',
      'failPurge {"code":"Rejected","message":"the package would lose others"}',
    ]);
  });

  test('cancelled in a step: the step ends, the tenant stays purging, the run is cancelled', async () => {
    const world = new World();
    const inStep = gate();
    world.before = (call) => (call === 'eraseTraces' ? inStep.pass() : undefined);
    const handle = await world.start();
    await inStep.reached;
    await handle.cancel();
    inStep.open();
    await expect(handle.result()).rejects.toThrow();
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    expect(await operationState(handle)).toBe('cancelled');
    expect(world.calls.slice(world.calls.indexOf('eraseTraces') + 1)).toEqual([
      'failPurge {"code":"Conflict","message":"cancelled; what is deleted is gone, and the tenant stays purging"}',
    ]);
  });

  test('cancelled while a creation is stopped: cancelled, not failed, and nothing was begun', async () => {
    const world = new World();
    world.creating = true;
    const inStep = gate();
    world.before = (call) => (call === 'stopCreation' ? inStep.pass() : undefined);
    const handle = await world.start();
    await inStep.reached;
    await handle.cancel();
    inStep.open();
    await expect(handle.result()).rejects.toThrow();
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    expect(world.calls).toEqual(['beginPurge', 'stopCreation']);
  });
});

function count(world: World, call: string): number {
  return world.calls.filter((c) => c === call).length;
}

async function operationState(handle: WorkflowHandle): Promise<unknown> {
  const { typedSearchAttributes } = await handle.describe();
  return typedSearchAttributes.getAll().find(({ key }) => key.name === 'OperationState')?.value;
}

/** Where a step waits until the test lets it go on. */
function gate() {
  let arrive!: () => void;
  let open!: () => void;
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { reached, open, pass: () => (arrive(), opened) };
}
