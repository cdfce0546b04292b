import { setTimeout as delay } from 'node:timers/promises';
import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { typedFailures } from '../../activities/failures.js';
import { createPurgeActivities } from '../../activities/purge.js';
import { createRetentionActivities } from '../../activities/retention.js';
import { toOpsError } from '../../src/client/failures.js';
import { OpsError } from '../../src/domain/errors.js';
import { TASK_QUEUES, workflowIds } from '../../src/domain/naming.js';
import { closeOperation } from '../../src/registry/operationLog.js';
import { deactivate, endLives } from '../../src/registry/retention.js';
import { noteSchedule, setPausedForRetention } from '../../src/registry/tenantSchedules.js';
import { type TenantLife, getLife } from '../../src/registry/tenants.js';
import { reactivate } from '../../workflows/messages.js';
import { softDeleteTenant } from '../../workflows/softDeleteTenant.js';
import { quickPurgeBundle } from '../support/bundles.js';
import { type TestRegistry, makeTenant, newOperation, startTestRegistry } from '../support/registry.js';
import { WorkflowBench } from '../support/workflows.js';

const INTERLEAVINGS = Number(process.env['RACES'] ?? 1000);
/** A thousand take two minutes or less on two cores; others may be busy on them too. */
const DEADLINE_MS = 300_000;
const AT_ONCE = 40;
/**
 * How far each end moves the moment that is raced for: a busy machine hands a request over late, and the two must meet
 * there as well. So many ms at most before the end of the retention, for all wait by then.
 */
const STEP_MS = 15;
const EARLIEST_MS = -1_500;
/** From a tenant's first step to the end of its retention: enough that all of them wait when it comes. */
const LEAD_MS = 2_000;

/** A real server: the time-skipping one loses a task whose timer fires while it is worked on. */
let bench: WorkflowBench;
let client: Client;
let registry: TestRegistry;
beforeAll(async () => {
  [bench, registry] = await Promise.all([WorkflowBench.start(), startTestRegistry()]);
  client = bench.client;
});
afterAll(() => Promise.all([bench?.stop(), registry?.stop()]));

/** How often a schedule was resumed; there is no other use of Temporal's client in these activities. */
const resumed = new Map<string, number>();
const schedules = {
  schedule: {
    getHandle: (id: string) => ({
      describe: async () => ({ state: { paused: true } }),
      unpause: async () => void resumed.set(id, (resumed.get(id) ?? 0) + 1),
    }),
  },
} as unknown as Client;

/** The registry's real moves; of the purge, those that begin and end it. */
function activities(): object {
  const { pool } = registry;
  const purge = createPurgeActivities({ pool, signer: { check: async () => undefined } } as never);
  return typedFailures({
    ...createRetentionActivities({ pool, client: schedules, webhook: undefined }),
    beginPurge: (input: Parameters<typeof purge.beginPurge>[0]) => purge.beginPurge(input),
    async issueCertificate({ incarnation, operation }: Parameters<typeof purge.issueCertificate>[0]) {
      await endLives(pool, [incarnation]);
      await closeOperation(pool, operation, 'delete', { state: 'completed' });
    },
  });
}

/** An inactive tenant with one schedule that the deactivation paused. */
async function inactiveTenant(forMs: number): Promise<TenantLife & { readonly purgeAt: number }> {
  const { tenant, incarnation } = await makeTenant(registry.pool);
  await noteSchedule(registry.pool, { tenant, incarnation }, `schedule/${tenant}`, 'test');
  await setPausedForRetention(registry.pool, `schedule/${tenant}`, true);
  const purgeAt = Date.now() + forMs;
  expect(await deactivate(registry.pool, incarnation, new Date(purgeAt))).toBe(true);
  return { tenant, incarnation, purgeAt };
}

function waiting({ tenant, incarnation }: TenantLife) {
  return {
    workflowId: workflowIds.retention(tenant),
    taskQueue: TASK_QUEUES.control,
    args: [{ version: 1, tenant, incarnation, cluster: 'test' }] as Parameters<typeof softDeleteTenant>,
  };
}

const request = ({ tenant, incarnation }: TenantLife) => ({
  tenant,
  incarnation,
  operation: newOperation(),
  principal: 'tester',
  reason: 'asked',
});

/** As the client does it: a retention that has ended is taken up again and answers from the registry. */
async function askToReactivate(life: TenantLife): Promise<unknown> {
  const startWorkflowOperation = new WithStartWorkflowOperation(softDeleteTenant, {
    ...waiting(life),
    workflowIdConflictPolicy: 'USE_EXISTING',
  });
  return client.workflow
    .executeUpdateWithStart(reactivate, { args: [request(life)], startWorkflowOperation })
    .catch(toOpsError);
}

async function operationsOf({ incarnation }: TenantLife): Promise<string[]> {
  const { rows } = await registry.pool.query<{ shown: string }>(
    `select kind || ' ' || state as shown from operations where incarnation = $1 and kind <> 'createTenant'`,
    [incarnation],
  );
  return rows.map(({ shown }) => shown);
}

/** One tenant, reactivated at so many ms from the end of its retention. @returns everything that there is to see after */
async function race(offsetMs: number) {
  const life = await inactiveTenant(LEAD_MS);
  await client.workflow.start(softDeleteTenant, waiting(life));
  await delay(Math.max(0, life.purgeAt + offsetMs - Date.now()));
  const answer = await askToReactivate(life);
  const { state: seen } = await client.workflow
    .getHandle<typeof softDeleteTenant>(workflowIds.retention(life.tenant))
    .result();
  const { state } = await getLife(registry.pool, life);
  return {
    state,
    seen,
    answer:
      answer instanceof OpsError ? answer.type : ((answer as { state?: string }).state ?? String(answer)),
    operations: await operationsOf(life),
    resumed: resumed.get(`schedule/${life.tenant}`) ?? 0,
  };
}

const ACTIVE = {
  state: 'active',
  seen: 'active',
  answer: 'active',
  operations: ['reactivateTenant completed'],
  resumed: 1,
};
const PURGED = {
  state: 'purged',
  seen: 'purged',
  answer: 'WrongState',
  operations: ['hardDeleteTenant completed'],
  resumed: 0,
};

test(
  `reactivated within a second of the moment that decides, ${INTERLEAVINGS} tenants end wholly active or wholly purged`,
  async () => {
    const offsets = fc.sample(
      fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: -60, max: 60 })),
      { numRuns: INTERLEAVINGS, seed: 4 },
    );
    const ends = { active: 0, purged: 0 };
    const left = [...offsets];
    let moment = 0;
    const lane = async (): Promise<void> => {
      for (let offset = left.pop(); offset !== undefined; offset = left.pop()) {
        const end = await race(moment + offset);
        const won = end.state === 'active';
        expect(end, `${moment + offset} ms from the end`).toEqual(won ? ACTIVE : PURGED);
        ends[won ? 'active' : 'purged']++;
        moment = Math.max(EARLIEST_MS, moment + (won ? STEP_MS : -STEP_MS));
      }
    };
    const worker = await Worker.create({
      connection: bench.env.nativeConnection,
      taskQueue: TASK_QUEUES.control,
      activities: activities(),
      workflowBundle: await quickPurgeBundle(),
      workflowFailureErrorTypes: { '*': ['Error'] },
    });
    await worker.runUntil(() => Promise.all(Array.from({ length: AT_ONCE }, lane)));
    expect(ends.active + ends.purged).toBe(INTERLEAVINGS);
    expect(ends.active).toBeGreaterThan(INTERLEAVINGS / 10);
    expect(ends.purged).toBeGreaterThan(INTERLEAVINGS / 10);
  },
  DEADLINE_MS + 10_000,
);
