import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createRolloutActivities } from '../../activities/rollout.js';
import type { RolloutActivities } from '../../activities/types.js';
import type { DeploySchemasInput } from '../../src/contracts/rollout.js';
import type { BaseSchema } from '../../src/domain/profiles.js';
import { listAudit, verifyAudit } from '../../src/registry/audit.js';
import type { Pool } from '../../src/registry/database.js';
import { getOperation } from '../../src/registry/operations.js';
import { deactivate } from '../../src/registry/retention.js';
import { rolloutItems } from '../../src/registry/rollout.js';
import { markDeployed, reserveSchemas, schemasOf } from '../../src/registry/schemas.js';
import { setTenantState } from '../../src/registry/tenants.js';
import { PurgeStandIns } from '../support/purgeStandIns.js';
import {
  type Life,
  type TestRegistry,
  makeTenant,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';

const FRAMES = 'video_colpali_smol500_mv_frame';
const CHUNKS = 'video_colqwen_omni_mv_chunk_30s';
// Expected failures are what some of these tests are about.
const logger = new DefaultLogger('ERROR');

let registry: TestRegistry;
let pool: Pool;
let outside: PurgeStandIns;
let activities: RolloutActivities;
beforeAll(async () => {
  registry = await startTestRegistry();
  pool = registry.pool;
});
afterAll(() => registry?.stop());
beforeEach(async () => {
  outside = await PurgeStandIns.start();
  activities = createRolloutActivities({
    pool,
    client: outside.temporal.client,
    configServer: outside.stores(pool).configServer,
  });
  return () => outside.stop();
});

/** Runs an activity as a worker does, twice: the second attempt must find its work done. */
async function twice<T>(step: () => Promise<T>): Promise<T> {
  const run = () => new MockActivityEnvironment({}, { logger }).run<[], T, () => Promise<T>>(() => step());
  await run();
  return run();
}

function rollout(tenants: DeploySchemasInput['tenants'], bases: BaseSchema[] | null): DeploySchemasInput {
  const common = { principal: 'tests', reason: 'a new field', cluster: 'test', maxFailures: 0 };
  return { ...common, operation: newOperation(), tenants, bases };
}
const waveOf = ({ operation, bases }: DeploySchemasInput, wave: number) =>
  ({ operation, cluster: 'test', bases, wave, replyTo: 'rollout' }) as const;
/** Who was asked for what, once each. */
const asked = () =>
  new Set(outside.temporal.requests.map(({ id, tenant, add }) => `${id} ${tenant} ${add.join()}`));

async function withSchemas(bases: BaseSchema[] = [FRAMES], tenant?: string): Promise<Life> {
  const life = await makeTenant(pool, tenant);
  await reserveSchemas(pool, life.tenant, life.incarnation, bases);
  await markDeployed(pool, life.incarnation, bases, 1);
  return life;
}
const inactive = async () => {
  const life = await withSchemas();
  await deactivate(pool, life.incarnation, new Date(Date.now() + 60_000));
  return life;
};

test('all: every active tenant in the order of ids, the first alone, each asked for what it has', async () => {
  const lives = [];
  for (const name of ['roll_c', 'roll_a', 'roll_b']) lives.push(await withSchemas([FRAMES, CHUNKS], name));
  await inactive();
  const input = rollout('all', null);
  expect(await twice(() => activities.beginRollout(input))).toEqual({ tenants: 3, waves: 3 });
  expect((await rolloutItems(pool, input.operation)).map(({ tenant, wave }) => [tenant, wave])).toEqual([
    ['roll_a', 1],
    ['roll_b', 2],
    ['roll_c', 3],
  ]);
  expect(await twice(() => activities.requestWave(waveOf(input, 1)))).toEqual({ requested: 1 });
  expect(asked()).toEqual(new Set([`${input.operation}/1/1 roll_a ${FRAMES},${CHUNKS}`]));
  for (const { incarnation } of lives) await setTenantState(pool, incarnation, ['active'], 'purging');
});

test('a named tenant that is not active refuses all of it, and nothing is written', async () => {
  const [there, away] = [await withSchemas(), await inactive()];
  const input = rollout([there.tenant, away.tenant], null);
  await expect(twice(() => activities.beginRollout(input))).rejects.toMatchObject({ type: 'WrongState' });
  await expect(getOperation(pool, input.operation)).rejects.toMatchObject({ type: 'NotFound' });
});

test('a schema that is new to a tenant is claimed; a name that is somebody else’s fails it alone', async () => {
  // As if another base and id made the same physical name.
  const [first, second] = [await withSchemas(), await withSchemas()];
  await pool.query(`update tenant_schemas set schema_name = $1, java_hash = 1 where incarnation = $2`, [
    `${CHUNKS}_${second.tenant}`,
    first.incarnation,
  ]);
  const input = rollout([first.tenant, second.tenant, first.tenant], [CHUNKS]);
  expect(await twice(() => activities.beginRollout(input))).toEqual({ tenants: 2, waves: 2 });
  expect(await twice(() => activities.requestWave(waveOf(input, 1)))).toEqual({ requested: 1 });
  expect(await twice(() => activities.requestWave(waveOf(input, 2)))).toEqual({ requested: 0 });
  expect((await schemasOf(pool, first.incarnation)).map(({ baseSchema }) => baseSchema)).toContain(CHUNKS);
  expect(await rolloutItems(pool, input.operation)).toMatchObject([
    { tenant: first.tenant, state: 'pending' },
    { tenant: second.tenant, state: 'failed', reason: expect.stringContaining('is taken by a tenant') },
  ]);
});

test('who goes away meanwhile, has nothing, or lives anew is skipped, and says why', async () => {
  const lives = [await withSchemas(), await withSchemas(), await makeTenant(pool), await withSchemas()];
  const input = rollout(
    lives.map(({ tenant }) => tenant),
    null,
  );
  await twice(() => activities.beginRollout(input));
  await deactivate(pool, lives[0]!.incarnation, new Date(Date.now() + 60_000));
  await setTenantState(pool, lives[1]!.incarnation, ['active'], 'creation_failed');
  await makeTenant(pool, lives[1]!.tenant);
  for (const wave of [1, 2, 3]) await twice(() => activities.requestWave(waveOf(input, wave)));
  expect((await rolloutItems(pool, input.operation)).map(({ state, reason }) => [state, reason])).toEqual([
    ['skipped', expect.stringContaining('is inactive')],
    ['skipped', 'it was re-created meanwhile'],
    ['skipped', 'it has no schemas'],
    ['pending', null],
  ]);
  expect([...asked()]).toEqual([`${input.operation}/3/4 ${lives[3]!.tenant} ${FRAMES}`]);
});

test('every tenant ends once: done with its schemas, failed with its reason, or skipped; counted from the rows', async () => {
  const lives = [];
  for (let i = 0; i < 6; i++) lives.push(await withSchemas());
  const input = rollout(
    lives.map(({ tenant }) => tenant),
    null,
  );
  const { operation } = input;
  const settle = (
    wave: number,
    answered: number[],
    failures: { item: number; reason: string }[],
    last: boolean,
  ) => twice(() => activities.settleWave({ operation, wave, answered, failures, last }));
  await twice(() => activities.beginRollout(input));
  for (const wave of [1, 2]) await twice(() => activities.requestWave(waveOf(input, wave)));
  expect(await settle(1, [1], [], true)).toEqual({ failed: 0 });
  // A page of failures that is not the last ends nobody else.
  expect(await settle(2, [], [{ item: 2, reason: 'unknown field type' }], false)).toEqual({ failed: 1 });
  expect(await settle(3, [3, 4], [], false)).toEqual({ failed: 1 });
  expect((await rolloutItems(pool, operation, 3)).every(({ state }) => state === 'pending')).toBe(true);
  expect(await settle(3, [3, 4], [], true)).toEqual({ failed: 3 });
  const finish = { operation, deployments: 2, why: 'stopped after wave 3' };
  expect(await twice(() => activities.finishRollout(finish))).toEqual({
    operation,
    tenants: { done: 3, failed: 3, skipped: 0 },
    deployments: 2,
  });
  expect(await rolloutItems(pool, operation)).toMatchObject([
    { state: 'done', reason: null, schemas: [`${FRAMES}_${lives[0]!.tenant}`] },
    { state: 'failed', reason: 'unknown field type', schemas: [] },
    { state: 'done' },
    { state: 'done' },
    { state: 'failed', reason: 'no answer came in time' },
    { state: 'failed', reason: 'no answer came in time' },
  ]);
  expect(await getOperation(pool, operation)).toMatchObject({
    state: 'completed_with_failures',
    tenant: null,
    counts: { done: 3, failed: 3, skipped: 0, deployments: 2 },
  });
  await audited(operation, ['started', 'completed_with_failures']);
});

test('what was not reached is skipped with the reason', async () => {
  const lives = [await withSchemas(), await withSchemas(), await withSchemas()];
  const input = rollout(
    lives.map(({ tenant }) => tenant),
    null,
  );
  const { operation } = input;
  await twice(() => activities.beginRollout(input));
  const failures = [{ item: 1, reason: 'no' }];
  await twice(() => activities.settleWave({ operation, wave: 1, answered: [], failures, last: true }));
  const why = 'stopped after wave 1: 1 tenant(s) failed';
  const { tenants } = await twice(() => activities.finishRollout({ operation, deployments: 0, why }));
  expect(tenants).toEqual({ done: 0, failed: 1, skipped: 2 });
  expect((await rolloutItems(pool, operation)).map(({ reason }) => reason)).toEqual(['no', why, why]);
});

test('a rollout that is cancelled leaves nobody pending', async () => {
  const { tenant } = await withSchemas();
  const input = rollout([tenant], null);
  const { operation } = input;
  await twice(() => activities.beginRollout(input));
  const failure = { code: 'Conflict', message: 'the rollout was cancelled' } as const;
  await twice(() => activities.failRollout({ operation, state: 'cancelled', failure }));
  expect(await rolloutItems(pool, operation)).toMatchObject([
    { state: 'skipped', reason: 'the rollout was cancelled' },
  ]);
  expect(await getOperation(pool, operation)).toMatchObject({ state: 'cancelled', error: failure });
  await audited(operation, ['started', 'cancelled']);
});

test('the audit chain of all this is whole', async () => {
  expect((await verifyAudit(pool)).brokenAt).toBeUndefined();
});

async function audited(operation: string, outcomes: string[]): Promise<void> {
  const entries = (await listAudit(pool, { limit: 1000 })).filter((entry) => entry.operation === operation);
  expect(entries.map(({ outcome }) => outcome).toReversed()).toEqual(outcomes);
}
