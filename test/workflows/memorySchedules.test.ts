import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MemoryScheduleClient } from '../../src/client/memorySchedules.js';
import { scheduleOffset } from '../../src/domain/backupSchedules.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { parseRetention } from '../../src/domain/memory.js';
import { scheduleIds } from '../../src/domain/naming.js';
import { listAudit } from '../../src/registry/audit.js';
import { beginPurging, endLives } from '../../src/registry/retention.js';
import { schedulesOf } from '../../src/registry/tenantSchedules.js';
import {
  deleteTenantSchedules,
  pauseTenantSchedules,
  resumeTenantSchedules,
} from '../../src/schedules/tenantSchedules.js';
import { ConnectedBench } from '../support/connectedBench.js';
import {
  type Life,
  type TestRegistry,
  makeTenant,
  makeTenantWithMemory,
  newOperation,
} from '../support/registry.js';
import type { WorkflowBench } from '../support/workflows.js';

const DAY = 86_400;
const retention = parseRetention('90d', ['chat=30d']);
const times = { everySeconds: DAY };
let registry: TestRegistry;
let bench: WorkflowBench;
let connected: ConnectedBench;
let schedules: MemoryScheduleClient;
beforeAll(async () => {
  connected = await ConnectedBench.start();
  ({ registry, bench } = connected);
  schedules = new MemoryScheduleClient(connected.connections);
});
afterAll(() => connected?.[Symbol.asyncDispose]());

const refusedAs = (type: string, message: string) =>
  ApplicationFailure.create({ type, message, nonRetryable: true, category: 'BENIGN' });
const set = ({ tenant }: Pick<Life, 'tenant'>, more: object = {}) =>
  schedules.set({ tenant, retention, times, reason: 'contract', ...more });
const handleOf = ({ tenant }: Life) => bench.client.schedule.getHandle(scheduleIds.memory(tenant));

describe('a memory schedule', () => {
  test('is made with its whole retention, replaced by the next, and shown', async () => {
    const life = await makeTenantWithMemory(registry.pool);
    const { tenant } = life;
    expect(await schedules.plan({ tenant, retention, times, reason: '' })).toMatchObject({ did: 'made' });
    expect(await schedules.list(tenant)).toEqual([]);
    expect(await set(life)).toMatchObject({ did: 'made', every: '1d', retention });
    const { spec, policies, state } = await handleOf(life).describe();
    const offset = scheduleOffset(tenant, 'memory', DAY) * 1000;
    expect(spec).toMatchObject({ intervals: [{ every: DAY * 1000, offset }] });
    expect(policies).toMatchObject({ overlap: 'SKIP', pauseOnFailure: false });
    expect(state.note).toBe(`prunes the memory of ${tenant}: older than 90d; chat: 30d`);
    const narrower = parseRetention(undefined, ['chat=7d']);
    expect(await set(life, { retention: narrower, times: { cron: '0 3 * * *' } })).toMatchObject({
      did: 'updated',
    });
    const [shown, ...others] = await schedules.list(tenant);
    expect([shown, others]).toMatchObject([
      { tenant, every: '0 3 * * *', retention: narrower, paused: false, last: null },
      [],
    ]);
    const audited = await listAudit(registry.pool, { tenant, limit: 10 });
    expect(audited.map(({ verb, outcome }) => [verb, outcome])).toEqual([
      ['memory-schedule', 'completed'],
      ['memory-schedule', 'started'],
      ['memory-schedule', 'completed'],
      ['memory-schedule', 'started'],
    ]);
    expect(audited[0]).toMatchObject({
      principal: 'tests',
      reason: 'contract',
      detail: { retention: narrower },
    });
  });

  test('is refused without an age, and of a tenant that is not there, not active, or without memory', async () => {
    const life = await makeTenantWithMemory(registry.pool);
    await expect(set(life, { retention: { kinds: {} } })).rejects.toMatchObject({ type: 'InvalidInput' });
    await expect(set({ tenant: parseTenantId('nobody_at_all') })).rejects.toMatchObject({ type: 'NotFound' });
    const without = await makeTenant(registry.pool);
    await registry.pool.query('update tenants set memory_enabled = false where tenant = $1', [
      without.tenant,
    ]);
    await expect(set(without)).rejects.toMatchObject({
      ...{ type: 'WrongState', message: `tenant ${without.tenant} has no memory: it was created without` },
      hint: expect.stringContaining('memory_enabled=true') as string,
    });
    await beginPurging(registry.pool, life.incarnation, newOperation(), ['active']);
    await expect(set(life)).rejects.toMatchObject({ type: 'WrongState' });
    expect(await schedulesOf(registry.pool, [life.incarnation, without.incarnation])).toEqual([]);
  });

  test('is taken away once', async () => {
    const life = await makeTenantWithMemory(registry.pool);
    await set(life);
    await schedules.remove(life.tenant, '', true);
    expect(await schedules.list(life.tenant)).toHaveLength(1);
    await schedules.remove(life.tenant, '');
    expect(await schedules.list(life.tenant)).toEqual([]);
    await expect(schedules.remove(life.tenant, '')).rejects.toMatchObject({ type: 'NotFound' });
    await expect(handleOf(life).describe()).rejects.toThrow();
  });

  test('is paused, resumed and deleted with its tenant; the next life has none', async () => {
    const { pool } = registry;
    const life = await makeTenantWithMemory(pool);
    const paused = async () => (await schedules.list(life.tenant)).map((each) => each.paused);
    await set(life);
    await pauseTenantSchedules(pool, bench.client, life.incarnation);
    expect(await paused()).toEqual([true]);
    await resumeTenantSchedules(pool, bench.client, life.incarnation);
    expect(await paused()).toEqual([false]);
    await beginPurging(pool, life.incarnation, newOperation(), ['active']);
    await deleteTenantSchedules(pool, bench.client, [life.incarnation]);
    await endLives(pool, [life.incarnation]);
    await makeTenant(pool, life.tenant);
    expect(await schedules.list(life.tenant)).toEqual([]);
  });

  test('runs as an operation that its status names, and says when it was skipped', async () => {
    const life = await makeTenantWithMemory(registry.pool);
    const { tenant, incarnation } = life;
    let open = true;
    const activities = {
      beginPruneMemory: async (input: object) => {
        expect(input).toMatchObject({ tenant, incarnation, retention });
        if (!open) throw refusedAs('WrongState', 'it is closed');
        return { incarnation };
      },
      removeOldMemories: async () => ({ removed: 4 }),
      finishPruneMemory: async () => {},
    };
    await set(life, { times: { everySeconds: 30 * DAY } });
    const last = async () => (await schedules.list(tenant))[0]!.last;
    await bench.withWorkers(activities, async () => {
      await handleOf(life).trigger();
      await expect.poll(last).toMatchObject({ state: 'completed', operation: expect.any(String) as string });
      open = false;
      const { at } = (await last())!;
      await expect
        .poll(async () => {
          // The server names a run by its second and drops the second one of it.
          await handleOf(life).trigger();
          return last();
        })
        .toMatchObject({
          state: 'skipped',
          why: 'it is closed',
          at: expect.not.stringContaining(at) as string,
        });
    });
  });
});
