import { randomUUID } from 'node:crypto';
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { CvopsClient } from '../../src/client/index.js';
import { backupId } from '../../src/domain/backups.js';
import { type OperationId, type TenantId, parseOperationId } from '../../src/domain/ids.js';
import type { OperationKind } from '../../src/domain/states.js';
import { checkWorkers, haveWorkInHand } from '../../src/health/workers.js';
import { endLost } from '../../src/operations/endLost.js';
import { LOST_AFTER_MS } from '../../src/operations/lost.js';
import { reserve, withinQuota } from '../../src/quotas/reservations.js';
import { openAlerts } from '../../src/registry/alerts.js';
import { listAudit } from '../../src/registry/audit.js';
import { getBackup, insertBackup } from '../../src/registry/backups.js';
import type { Pool } from '../../src/registry/database.js';
import { raiseFence } from '../../src/registry/fence.js';
import { getOperation, startOperation } from '../../src/registry/operations.js';
import { reserveSchemas, schemasOf } from '../../src/registry/schemas.js';
import { type TenantRow, getTenant } from '../../src/registry/tenants.js';
import { ConfigServer } from '../../src/vespa/configServer.js';
import { cvops, cvopsJson, errorOf, stackSettings } from '../support/cvops.js';
import { HealthWorld, PROFILE } from '../support/healthWorld.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const OTHER = 'video_colqwen_omni_mv_chunk_30s' as const;
const settings = stackSettings();
let pool: Pool;
let product: CvopsClient;
let temporal: Client;
let world: HealthWorld;
beforeAll(async () => {
  world = await HealthWorld.connect();
  ({ pool, product, temporal } = world);
});
afterAll(() => world?.close());
const newTenant: HealthWorld['newTenant'] = (...args) => world.newTenant(...args);

/** An operation that says it has run since then, of which Temporal knows nothing. */
async function lost(
  kind: OperationKind,
  of: Pick<TenantRow, 'tenant' | 'incarnation'> | null,
  input: object,
  since = '2000-01-01',
): Promise<OperationId> {
  const operation = parseOperationId(randomUUID());
  const { tenant, incarnation } = of ?? { tenant: null, incarnation: null };
  const workflowId = `tests/${operation}`;
  const by = { principal: 'tests', reason: '', input: { ...input } };
  await startOperation(pool, { ...{ operation, kind, tenant, incarnation, workflowId }, ...by });
  await pool.query('update operations set started_at = $2 where operation = $1', [operation, since]);
  return operation;
}

/** A look by the workflow. */
const look = async (tenant: TenantId) => (await product.health.check(tenant)).tenants[0]!;
/** Alerts that something was lost. */
async function lostOnes(tenant: TenantId) {
  const { alerts } = await look(tenant);
  return alerts.filter(({ message }) => message.includes('nothing does'));
}
const run = (command: string | null, ...more: string[]) => cvops(...command!.split(' ').slice(1), ...more);

describe.concurrent('operations whose workflow is gone', () => {
  test('are one alert of their tenant; a repair ends them, and frees all that they held', async ({
    expect,
  }) => {
    const row = await newTenant('gone');
    const { tenant, incarnation } = row;
    const restore = await lost('restoreTenant', row, {});
    const backup = backupId(new Date(), randomUUID().slice(0, 8));
    const backingUp = await lost('backupTenant', row, { backup });
    await raiseFence(pool, { ...row, operation: restore });
    await withinQuota(pool, (tx) =>
      reserve(tx, { life: row, key: restore, operation: restore }, { memories: 5 }),
    );
    await reserveSchemas(pool, tenant, incarnation, [OTHER]);
    const stored = { store: 'nowhere', consistencyAsked: 'fuzzy', encryption: null } as const;
    await insertBackup(pool, { ...{ backup, tenant, incarnation, operation: backingUp }, ...stored });

    const [alert, ...more] = await lostOnes(tenant);
    const fix = `cvops diagnose ${tenant} --repair`;
    expect(alert).toMatchObject({ check: 'operations', severity: 'warning', fix });
    for (const [operation, kind] of [
      [restore, 'restoreTenant'],
      [backingUp, 'backupTenant'],
    ])
      expect(alert!.message).toContain(`${operation} (${kind}): Temporal has no such workflow`);
    expect(more).toEqual([]);
    // However often it is seen.
    expect((await lostOnes(tenant)).map(({ id }) => id)).toEqual([alert!.id]);
    const dry = await cvopsJson<{ repairs: string[] }>(['diagnose', tenant, '--repair', '--dry-run'], 8);
    expect(dry.repairs).toEqual(['end-operations']);
    expect((await getTenant(pool, tenant)).fence).toBe(restore);

    const repaired = await run(fix, '--reason', 'the namespace was lost');
    expect(repaired.stderr).toContain('done: end as failed the operations whose workflow is gone');
    expect(await lostOnes(tenant)).toEqual([]);
    for (const operation of [restore, backingUp])
      expect(await getOperation(pool, operation)).toMatchObject({
        state: 'failed',
        error: { code: 'Unavailable', message: 'Temporal has no such workflow' },
      });
    expect((await getTenant(pool, tenant)).fence).toBeNull();
    expect((await product.quotas.show(tenant)).quotas.memories.reserved).toBe(0);
    const bases = (await schemasOf(pool, incarnation)).map(({ baseSchema, state }) => [baseSchema, state]);
    expect(bases).toEqual([[PROFILE, 'deployed']]);
    expect((await getBackup(pool, backup)).state).toBe('failed');
    const audit = await listAudit(pool, { tenant, verb: 'repair', limit: 10 });
    expect(audit.map(({ operation, reason }) => [operation, reason]).toSorted()).toEqual(
      [restore, backingUp].map((operation) => [operation, 'the namespace was lost']).toSorted(),
    );
    // And it is open to all.
    const deployed = await product.schemas.deploy({
      tenants: [tenant],
      bases: null,
      maxFailures: 0,
      reason: '',
    });
    expect(await deployed.result()).toMatchObject({ tenants: { done: 1, failed: 0 } });
  });

  test('one that was terminated a moment ago is told of, and not ended before its work is', async ({
    expect,
  }) => {
    const { tenant } = await newTenant('cut', { max_qps: '1' });
    const clips = await temporaryFolder();
    const clip = await makeVideo(path.join(clips, 'v0.mp4'), { seconds: 2 });
    for (let i = 1; i < 8; i++) await copyFile(clip, path.join(clips, `v${i}.mp4`));
    const handle = await product.ingest.start({
      ...{ tenant, source: clips, profile: PROFILE, concurrency: 1, reason: '' },
    });
    const { operation } = handle;
    const row = () => getOperation(pool, operation);
    // Held back by the tenant's limit, a data worker has it in hand.
    await expect.poll(async () => haveWorkInHand(temporal, [await row()]).catch(() => false)).toBe(true);
    expect(await lostOnes(tenant)).toEqual([]);
    await handle.workflow.terminate('tests');
    expect(await haveWorkInHand(temporal, [await row()])).toBe(false);

    const [alert] = await lostOnes(tenant);
    expect(alert).toMatchObject({ fix: `cvops op show ${operation}` });
    expect(alert!.message).toContain('its workflow was terminated');
    expect((await product.health.repair(tenant, '')).repaired).toEqual([]);
    const refused = await cvops('op', 'cancel', operation, '-o', 'json');
    expect([refused.code, errorOf(refused).message]).toEqual([
      6,
      `operation ${operation}: its workflow was terminated, less than 5 minutes ago`,
    ]);
    expect((await row()).state).toBe('running');

    const later = { now: Date.now() + LOST_AFTER_MS + 60_000, by: { principal: 'tests', reason: '' } };
    const configServer = new ConfigServer(settings.vespaConfigUrl);
    await endLost({ ...{ pool, client: temporal, configServer }, ...later }, await row());
    expect((await row()).state).toBe('failed');
    expect((await product.quotas.show(tenant)).quotas.concurrent_ingests.used).toBe(0);
    expect(await lostOnes(tenant)).toEqual([]);
    // What was begun is taken up.
    await cvopsJson(['config', 'set', tenant, '--set', 'max_qps=10000']);
    const again = await product.ingest.again({ tenant, items: 'pending', concurrency: 1, reason: '' });
    expect((await again.result()).videos.failed).toBe(0);
  });

  test('one that runs, or whose id another one runs under, is told apart', async ({ expect }) => {
    const row = await newTenant('same');
    const { tenant } = row;
    const first = await lost('importMemory', row, {});
    const second = parseOperationId(randomUUID());
    // Nobody takes it up: it is there, and open.
    const start = (operation: OperationId) =>
      temporal.workflow.start('nothing', {
        ...{ workflowId: `tests/${first}`, taskQueue: 'nobody', args: [], memo: { operation } },
      });
    const ofSecond = await start(second);
    const [alert] = await lostOnes(tenant);
    expect(alert!.message).toContain('another one has its id');
    const refused = await cvops('op', 'cancel', first);
    expect(refused.code).toBe(6);
    expect((await ofSecond.describe()).status.name).toBe('RUNNING');
    await ofSecond.terminate();
    const ofFirst = await start(first);
    expect(await lostOnes(tenant)).toEqual([]);
    await ofFirst.terminate();
  });

  test('of no tenant, they are the installation’s alert, with a command for each', async ({ expect }) => {
    const { tenant } = await newTenant('shared');
    // Before all others, which may have been lost by other tests.
    const rollout = await lost('deploySchemas', null, {}, '1990-01-01');
    const alerts = async () => {
      await look(tenant);
      const shared = await openAlerts(pool, { lives: [null] });
      return shared.filter(({ message }) => message.includes(rollout));
    };
    const fix = `cvops op cancel ${rollout}`;
    // Looks of other tests at the same time may be some moments behind.
    await expect.poll(alerts).toMatchObject([{ check: 'operations', severity: 'warning', fix }]);
    expect(await cvopsJson(fix.split(' ').slice(1))).toMatchObject({ operation: rollout, ended: true });
    expect((await getOperation(pool, rollout)).state).toBe('failed');
    await expect.poll(alerts).toEqual([]);
    expect((await cvops('op', 'cancel', rollout)).code).toBe(6);
  });

  test('in a Temporal namespace that no worker works for nothing is ended', async ({ expect }) => {
    const row = await newTenant('elsewhere');
    const operation = await lost('importMemory', row, {});
    const workers = await OwnWorkers.open(`lost-${operation.slice(0, 8)}`);
    try {
      const client = new Client({ connection: temporal.connection, namespace: workers.namespace });
      const by = { principal: 'tests', reason: '' };
      const configServer = new ConfigServer(settings.vespaConfigUrl);
      const ended = endLost({ ...{ pool, client, configServer, by } }, await getOperation(pool, operation));
      await expect(ended).rejects.toMatchObject({ type: 'Unavailable' });
      expect((await getOperation(pool, operation)).state).toBe('running');

      // The same of the workers: each kind is looked for, and found when it asks for work.
      const missing = async () => (await checkWorkers(client, pool)).map((f) => [f.subject, f.severity]);
      await expect.poll(missing).toEqual([
        ['control', 'critical'],
        ['data', 'critical'],
      ]);
      await workers.start('data');
      await expect.poll(missing).toEqual([['control', 'critical']]);
    } finally {
      await workers.close();
    }
    expect(await checkWorkers(temporal, pool)).toEqual([]);
  });
});
