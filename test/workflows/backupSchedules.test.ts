import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BackupScheduleClient, type BackupScheduleRequest } from '../../src/client/backupSchedules.js';
import { scheduleOffset } from '../../src/domain/backupSchedules.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { scheduleIds } from '../../src/domain/naming.js';
import { listAudit } from '../../src/registry/audit.js';
import { beginPurging, endLives } from '../../src/registry/retention.js';
import { schedulesOf } from '../../src/registry/tenantSchedules.js';
import {
  deleteTenantSchedules,
  pauseTenantSchedules,
  resumeTenantSchedules,
} from '../../src/schedules/tenantSchedules.js';
import { bundleOf } from '../support/bundles.js';
import { ConnectedBench } from '../support/connectedBench.js';
import { type Life, type TestRegistry, makeTenant, newOperation } from '../support/registry.js';
import type { FakeActivities, WorkflowBench } from '../support/workflows.js';

const DAY = 86_400;
let registry: TestRegistry;
let bench: WorkflowBench;
let connected: ConnectedBench;
let schedules: BackupScheduleClient;
beforeAll(async () => {
  connected = await ConnectedBench.start();
  ({ registry, bench } = connected);
  schedules = new BackupScheduleClient(connected.connections);
});
afterAll(() => connected?.[Symbol.asyncDispose]());

const set = ({ tenant }: Life, request: Omit<BackupScheduleRequest, 'tenant' | 'reason'>) =>
  schedules.set({ ...request, tenant, reason: 'contract' });
const handleOf = ({ tenant }: Life, what: 'backup' | 'verify' | 'prune' | 'drill') =>
  bench.client.schedule.getHandle(scheduleIds.scheduled(tenant, what));
const all = {
  backup: { times: { everySeconds: DAY }, consistency: 'fenced' },
  verify: { times: { everySeconds: 7 * DAY }, samples: 4 },
  prune: { policy: { daily: 7 } },
  drill: { times: { cron: '0 3 1 * *' } },
} as const;

describe('backup schedules', () => {
  test('are made daily and settled when nothing is said, at a time of day that is the tenant’s own', async () => {
    const [life, other] = [await makeTenant(registry.pool), await makeTenant(registry.pool)];
    for (const each of [life, other])
      expect(await set(each, {})).toMatchObject([
        { what: 'backup', every: '1d', consistency: 'settled', did: 'made' },
      ]);
    const { spec, policies, memo, state } = await handleOf(life, 'backup').describe();
    const offset = scheduleOffset(life.tenant, 'backup', DAY);
    expect(spec).toMatchObject({
      intervals: [{ every: DAY * 1000, offset: offset * 1000 }],
      jitter: 300_000,
    });
    expect(policies).toMatchObject({ overlap: 'SKIP', catchupWindow: DAY * 1000, pauseOnFailure: false });
    expect(memo).toEqual({ tenant: life.tenant, what: 'backup' });
    expect(state.note).toBe(`backs up ${life.tenant}, settled`);
    expect(scheduleOffset(other.tenant, 'backup', DAY)).not.toBe(offset);
  });

  test('change only in what is said, and are listed', async () => {
    const life = await makeTenant(registry.pool);
    const { tenant } = life;
    expect(await schedules.plan({ ...all, tenant, reason: '' })).toHaveLength(4);
    expect(await schedules.list(tenant)).toEqual([]);
    expect((await set(life, all)).map(({ what, did }) => [what, did])).toEqual([
      ...[['backup', 'made'] as const, ['verify', 'made'] as const, ['prune', 'made'] as const],
      ['drill', 'made'],
    ]);
    expect(await set(life, {})).toEqual([]);
    expect(
      await set(life, { backup: { times: { everySeconds: 6 * 3600 } }, verify: { samples: 2 } }),
    ).toEqual([
      expect.objectContaining({ what: 'backup', every: '6h', consistency: 'fenced', did: 'updated' }),
      expect.objectContaining({ what: 'verify', every: '7d', samples: 2, did: 'updated' }),
    ]);
    const listed = await schedules.list(tenant);
    expect(listed.map(({ what, every, options }) => [what, every, options])).toEqual([
      ['backup', '6h', { consistency: 'fenced' }],
      ['drill', '0 3 1 * *', {}],
      ['prune', '1d', { policy: { daily: 7 } }],
      ['verify', '7d', { samples: 2 }],
    ]);
    for (const { next, last, paused } of listed)
      expect([Date.parse(next!) > Date.now(), last, paused]).toEqual([true, null, false]);
    const audited = await listAudit(registry.pool, { tenant, limit: 20 });
    const outcomes = audited.filter(({ verb }) => verb === 'backup-schedule').map(({ outcome }) => outcome);
    // Each of six changes begins with an entry, and ends with one.
    for (const each of ['started', 'completed'])
      expect(outcomes.filter((outcome) => outcome === each)).toHaveLength(6);
    expect(audited[0]).toMatchObject({ principal: 'tests', reason: 'contract' });
  });

  test('are refused without an interval, without a rule, and for a tenant that is not there or not active', async () => {
    const life = await makeTenant(registry.pool);
    await expect(set(life, { verify: { samples: 3 } })).rejects.toMatchObject({
      ...{ type: 'InvalidInput', hint: 'say so with --verify-every' },
    });
    await expect(set(life, { prune: { policy: {} } })).rejects.toMatchObject({ type: 'InvalidInput' });
    await expect(set(life, { prune: { policy: { last: 0 } } })).rejects.toMatchObject({
      type: 'InvalidInput',
    });
    const nobody = { tenant: parseTenantId('nobody_at_all'), reason: '' };
    await expect(schedules.set(nobody)).rejects.toMatchObject({ type: 'NotFound' });
    await beginPurging(registry.pool, life.incarnation, newOperation(), ['active']);
    await expect(set(life, {})).rejects.toMatchObject({ type: 'WrongState' });
    expect(await schedulesOf(registry.pool, [life.incarnation])).toEqual([]);
  });

  test('are taken away, some or all', async () => {
    const life = await makeTenant(registry.pool);
    const { tenant } = life;
    await set(life, all);
    const remove = (what: ('backup' | 'verify' | 'drill')[], dryRun = false) =>
      schedules.remove(tenant, what, 'contract', dryRun);
    expect(await remove(['verify'], true)).toEqual(['verify']);
    expect(await remove(['verify'])).toEqual(['verify']);
    await expect(remove(['verify'])).rejects.toMatchObject({ type: 'NotFound' });
    await expect(handleOf(life, 'verify').describe()).rejects.toThrow();
    expect(await remove([])).toEqual(['backup', 'prune', 'drill']);
    expect(await schedules.list(tenant)).toEqual([]);
    await expect(remove([])).rejects.toMatchObject({ type: 'NotFound' });
  });

  test('are paused, resumed and deleted with their tenant; its next life has none', async () => {
    const life = await makeTenant(registry.pool);
    const { pool } = registry;
    await set(life, all);
    await pauseTenantSchedules(pool, bench.client, life.incarnation);
    expect((await schedules.list(life.tenant)).map(({ paused, next }) => [paused, next])).toEqual(
      Array.from({ length: 4 }, () => [true, null]),
    );
    await resumeTenantSchedules(pool, bench.client, life.incarnation);
    expect((await schedules.list(life.tenant)).some(({ paused }) => paused)).toBe(false);
    await beginPurging(pool, life.incarnation, newOperation(), ['active']);
    await deleteTenantSchedules(pool, bench.client, [life.incarnation]);
    await endLives(pool, [life.incarnation]);
    const next = await makeTenant(pool, life.tenant);
    expect(await schedules.list(life.tenant)).toEqual([]);
    expect(await set(next, {})).toMatchObject([{ did: 'made', incarnation: next.incarnation }]);
  });

  test('a run is one of the workflow’s, and the list says how it ended', async () => {
    const life = await makeTenant(registry.pool);
    const { tenant } = life;
    const asked: unknown[] = [];
    const activities = {
      readRetention: async () => ({ state: 'active', purgeAt: null }),
      child: async (kind: string, input: { operation: string }) => {
        asked.push([kind, input]);
        return {};
      },
    } as unknown as FakeActivities;
    await set(life, { backup: { times: { everySeconds: 30 * DAY } } });
    await bench.withWorkers(
      activities,
      async () => {
        await handleOf(life, 'backup').trigger();
        await expect
          .poll(async () => (await schedules.list(tenant))[0]!.last)
          .toMatchObject({ state: 'completed', operation: expect.any(String) as string });
      },
      bundleOf('./scheduledChildren.ts'),
    );
    expect(asked).toMatchObject([['backupTenant', { tenant, principal: 'schedule:backup' }]]);
    // Lost with its namespace, the row still tells of it.
    await handleOf(life, 'backup').delete();
    expect(await schedules.list(tenant)).toMatchObject([{ what: 'backup', every: null, missing: true }]);
  });
});
