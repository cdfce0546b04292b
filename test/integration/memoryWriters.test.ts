import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFenceActivities } from '../../activities/fence.js';
import { WriterLost, whileWriting } from '../../src/limits/memoryWriter.js';
import type { Pool, Queryable } from '../../src/registry/database.js';
import { lowerFence, raiseFence } from '../../src/registry/fence.js';
import { endWriter, memoryWritersOf, noteWriter, renewWriter } from '../../src/registry/memoryWriters.js';
import { setTenantState, lockTenant } from '../../src/registry/tenants.js';
import {
  type Life,
  type TestRegistry,
  atOnce,
  makeTenant,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';
import { gate } from '../support/stage.js';

let registry: TestRegistry;
let pool: Pool;
beforeAll(async () => {
  registry = await startTestRegistry();
  pool = registry.pool;
});
afterAll(async () => {
  await registry?.stop();
});

const admit = (life: Life) => (tx: Queryable) => lockTenant(tx, life.tenant, 'remember');
const writing = <T>(life: Life, work: (signal: AbortSignal) => Promise<T>) =>
  whileWriting(pool, admit(life), (_, signal) => work(signal), { renewEveryMs: 50 });
const expire = ({ incarnation }: Life) =>
  pool.query('update memory_writers set expires_at = now() where incarnation = $1', [incarnation]);
/** As a worker calls it. */
const awaitWriters = (life: Life) =>
  new MockActivityEnvironment({ heartbeatTimeoutMs: 20_000 }, { logger: new DefaultLogger('ERROR') }).run(
    () => createFenceActivities({ pool }).awaitWriters({ ...life, operation: newOperation() }),
  );

describe('whoever changes memories', () => {
  test('is waited for by who closes the tenant, and the next one is refused', async () => {
    const life = await makeTenant(pool);
    const key = { ...life, operation: newOperation() };
    const { reached, open, pass } = gate();
    const first = writing(life, pass);
    await reached;
    await raiseFence(pool, key);
    let [waited, begun] = [false, false];
    const waiting = awaitWriters(life).then(() => (waited = true));
    await expect(
      writing(life, async () => {
        begun = true;
      }),
    ).rejects.toMatchObject({
      ...{
        type: 'WrongState',
        message: `tenant ${life.tenant} is closed to changes by operation ${key.operation}`,
      },
    });
    expect([await memoryWritersOf(pool, life.incarnation), waited, begun]).toEqual([1, false, false]);
    open();
    await Promise.all([first, waiting]);
    await lowerFence(pool, key);
    expect(await writing(life, async () => 'written')).toBe('written');
    expect(await memoryWritersOf(pool, life.incarnation)).toBe(0);
  });

  test('never overlaps with a closed tenant, whoever comes first', async () => {
    const lives = await Promise.all(Array.from({ length: 8 }, () => makeTenant(pool)));
    const inside = new Set<string>();
    let overlaps = 0;
    await atOnce(48, async (i) => {
      const life = lives[i % 8]!;
      if (i % 3 > 0)
        return writing(life, async () => {
          if (inside.has(life.tenant)) overlaps++;
          await pool.query('select pg_sleep(0.01)');
          if (inside.has(life.tenant)) overlaps++;
        });
      const key = { ...life, operation: newOperation() };
      await raiseFence(pool, key);
      await awaitWriters(life);
      inside.add(life.tenant);
      await pool.query('select pg_sleep(0.01)');
      inside.delete(life.tenant);
      await lowerFence(pool, key);
    });
    expect(overlaps).toBe(0);
  });

  test('is not waited for when it was killed, and does not come through when it was given up', async () => {
    const life = await makeTenant(pool);
    const holder = newOperation();
    await noteWriter(pool, life.incarnation, holder);
    await expire(life);
    await awaitWriters(life);
    expect(await renewWriter(pool, holder)).toBe(false);
    await expect(
      writing(life, async (signal) => {
        await expire(life);
        // As the renewals find it.
        await new Promise<void>((resolve) =>
          signal.addEventListener('abort', () => resolve(), { once: true }),
        );
      }),
    ).rejects.toThrow(WriterLost);
    await endWriter(pool, life.incarnation, newOperation());
    const { rows } = await pool.query('select 1 from memory_writers where incarnation = $1', [
      life.incarnation,
    ]);
    expect(rows).toEqual([]);
  });

  test('is refused by a tenant that is not active, and leaves no trace of the attempt', async () => {
    const life = await makeTenant(pool);
    await setTenantState(pool, life.incarnation, ['active'], 'inactive', new Date(Date.now() + 1e8));
    await expect(writing(life, async () => {})).rejects.toMatchObject({ type: 'WrongState' });
    const failing = await makeTenant(pool);
    await expect(
      writing(failing, async () => {
        throw new Error('Vespa is away');
      }),
    ).rejects.toThrow('Vespa is away');
    const { rows } = await pool.query('select 1 from memory_writers where incarnation = any($1)', [
      [life.incarnation, failing.incarnation],
    ]);
    expect(rows).toEqual([]);
  });
});
