import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, inject, test } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import { ROUTING_CONFIG, SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { scheduleIds, workflowIds } from '../../src/domain/naming.js';
import { type TenantId, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { MEMORY_SCHEMA } from '../../src/domain/profiles.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { deleteProject, findProject } from '../../src/phoenix/projects.js';
import { type Alert, listAlerts } from '../../src/registry/alerts.js';
import { listAudit } from '../../src/registry/audit.js';
import { getConfig, putConfig } from '../../src/registry/config.js';
import type { Pool } from '../../src/registry/database.js';
import { finishOperation, startOperation } from '../../src/registry/operations.js';
import { schemasOf } from '../../src/registry/schemas.js';
import { isOpen } from '../../src/operations/runs.js';
import { deployRequests } from '../../src/vespa/application.js';
import { ConfigServer } from '../../src/vespa/configServer.js';
import { receivedOf } from '../support/alertReceiver.js';
import { cvops, cvopsJson, stackSettings } from '../support/cvops.js';
import { HealthWorld } from '../support/healthWorld.js';
import { credentialOf } from '../support/principals.js';

const settings = stackSettings();
let pool: Pool;
let product: CvopsClient;
let temporal: Client;
let world: HealthWorld;
const phoenix = new PhoenixClient(settings.phoenixUrl);
beforeAll(async () => {
  world = await HealthWorld.connect();
  ({ pool, product, temporal } = world);
});
afterAll(() => world?.close());
const newTenant: HealthWorld['newTenant'] = (...args) => world.newTenant(...args);

/** A look by the workflow. */
async function look(tenant: TenantId) {
  const { tenants } = await product.health.check(tenant);
  return tenants[0]!;
}
const brief = (alerts: readonly Alert[]) => alerts.map(({ check, severity, fix }) => [check, severity, fix]);
const run = (command: string | null) => cvops(...command!.split(' ').slice(1));
/** How many alerts there ever were of a tenant, open or not. */
const everOf = (tenant: TenantId) => listAlerts(pool, { tenant, limit: 100 });
const untold = async (tenant: TenantId): Promise<number> => {
  const { rows } = await pool.query<{ untold: number }>(
    `select count(*)::int as untold from alert_events e join alerts a on a.id = e.alert
     where tenant = $1 and state = 'pending'`,
    [tenant],
  );
  return rows[0]!.untold;
};

describe.concurrent('health', () => {
  test('a schema lost from the package: one alert, told once, exit 8, a command that mends it, resolved', async ({
    expect,
  }) => {
    const { tenant, incarnation } = await newTenant('lost');
    const lost = (await schemasOf(pool, incarnation)).find(({ baseSchema }) =>
      baseSchema.startsWith('video_'),
    )!;
    const server = new ConfigServer(settings.vespaConfigUrl);
    await deployRequests(server, [{ id: randomUUID(), put: [], remove: [lost.schemaName] }]);

    const sick = await cvopsJson<{ ok: boolean; tenants: { schemas: string; alerts: Alert[] }[] }>(
      ['health', tenant],
      8,
    );
    const fix = `cvops schema deploy --tenant ${tenant}`;
    expect(sick).toMatchObject({ ok: false, tenants: [{ tenant, schemas: 'critical', config: 'ok' }] });
    expect(brief(sick.tenants[0]!.alerts)).toEqual([['schemas', 'critical', fix]]);
    expect(sick.tenants[0]!.alerts[0]!.message).toContain(lost.schemaName);
    const diagnosed = await cvops('diagnose', tenant);
    expect([diagnosed.code, diagnosed.stdout]).toEqual([8, expect.stringContaining(`→ ${fix}`)]);

    expect((await look(tenant)).ok).toBe(false);
    await expect.poll(() => untold(tenant)).toBe(0);
    expect(await receivedOf(inject('alertReceiver'), tenant)).toMatchObject([
      { event: 'alert-opened', alert: sick.tenants[0]!.alerts[0]!.id, fix, signed: true },
    ]);

    expect((await run(fix)).code).toBe(0);
    expect((await cvops('health', tenant)).code).toBe(0);
    await expect.poll(async () => (await receivedOf(inject('alertReceiver'), tenant)).length).toBe(2);
    const received = await receivedOf(inject('alertReceiver'), tenant);
    expect(received.map(({ event }) => event)).toEqual(['alert-opened', 'alert-resolved']);
    expect(await everOf(tenant)).toHaveLength(1);
  });

  test('configuration that is missing is written as a new tenant has it; one that does not fit goes back', async ({
    expect,
  }) => {
    const { tenant, incarnation } = await newTenant('unset');
    const at = (key: typeof SYSTEM_CONFIG | typeof ROUTING_CONFIG) => ({ ...key, incarnation });
    const { value } = (await getConfig(pool, at(SYSTEM_CONFIG)))!;
    const bad = { value: { ...value, max_qps: -1 }, author: 'somebody', reason: 'by hand in the database' };
    await putConfig(pool, at(SYSTEM_CONFIG), 1, bad);
    await pool.query(`delete from config_versions where incarnation = $1 and key = $2`, [
      incarnation,
      ROUTING_CONFIG.key,
    ]);
    const { alerts, config } = await look(tenant);
    const back = `cvops config rollback ${tenant} --version 1`;
    expect(config).toBe('critical');
    expect(brief(alerts)).toEqual([
      ['config', 'critical', `cvops diagnose ${tenant} --repair`],
      ['config', 'warning', back],
    ]);
    const dry = await cvopsJson<{ repairs: string[] }>(['diagnose', tenant, '--repair', '--dry-run'], 8);
    expect(dry.repairs).toEqual(['write-config']);
    expect(await getConfig(pool, at(ROUTING_CONFIG))).toBeUndefined();

    // What is not safe to do without asking is left: it was somebody's wish.
    const { ok, repaired, findings } = await product.health.repair(tenant, 'tests');
    expect({ ok, repaired }).toEqual({ ok: false, repaired: [{ repair: 'write-config', done: true }] });
    expect(findings.map((finding) => finding.fix)).toEqual([back]);
    expect((await getConfig(pool, at(ROUTING_CONFIG)))!.reason).toBe('tests');
    expect((await run(back)).code).toBe(0);
    expect(await look(tenant)).toMatchObject({ ok: true, config: 'ok', alerts: [] });
  });

  test('memory that is on and has no schema: what is left of one is named, and a new one deployed', async ({
    expect,
  }) => {
    const { tenant, incarnation } = await newTenant('unremembering', { memory_enabled: 'true' });
    expect(await look(tenant)).toMatchObject({ ok: true, memory: 'ok' });
    const owned = await schemasOf(pool, incarnation);
    const { schemaName } = owned.find(({ baseSchema }) => baseSchema === MEMORY_SCHEMA)!;
    await pool.query('delete from tenant_schemas where schema_name = $1', [schemaName]);
    const ofMemory = async () => {
      const { ok, memory, alerts } = await look(tenant);
      expect({ ok, memory }).toEqual({ ok: false, memory: 'critical' });
      return alerts.find(({ check }) => check === 'memory');
    };
    const left = await ofMemory();
    expect(left).toMatchObject({ severity: 'critical', fix: 'cvops schema verify' });
    const verified = await run(left!.fix);
    expect([verified.code, verified.stdout]).toEqual([8, expect.stringContaining(schemaName)]);

    expect((await run(`cvops schema drop ${schemaName} --confirm ${schemaName}`)).code).toBe(0);
    const gone = await ofMemory();
    expect(gone).toMatchObject({
      ...{ severity: 'critical', message: 'memory is on, and it has no memory schema in Vespa' },
      fix: `cvops schema deploy --tenant ${tenant} --profiles ${MEMORY_SCHEMA}`,
    });
    expect((await run(gone!.fix)).code).toBe(0);
    expect(await look(tenant)).toMatchObject({ ok: true, memory: 'ok', alerts: [] });
    await product.memory.add({ tenant, text: 'Likes bridges', userId: 'ann' });
  });

  test('memory that does not answer, in a Vespa that says it is up', async ({ expect }) => {
    const { tenant } = await newTenant('mute', { memory_enabled: 'true' });
    const vespa = createServer((request, response) => {
      if (request.url === '/state/v1/health') response.end(JSON.stringify({ status: { code: 'up' } }));
    }).listen(0, '127.0.0.1');
    await once(vespa, 'listening');
    const vespaUrl = `http://127.0.0.1:${(vespa.address() as AddressInfo).port}`;
    const deaf = await CvopsClient.connect({ ...settings, vespaUrl });
    try {
      const { ok, memory, alerts } = (await deaf.health.diagnose(tenant)).tenants[0]!;
      expect({ ok, memory }).toEqual({ ok: false, memory: 'critical' });
      expect(alerts).toContainEqual(
        expect.objectContaining({
          ...{ check: 'memory', severity: 'critical', fix: `cvops memory stats ${tenant}` },
          message: 'a read of its memories fails: no answer within 10 s',
        }),
      );
    } finally {
      await deaf.close();
      vespa.closeAllConnections();
      vespa.close();
    }
    expect(await look(tenant)).toMatchObject({ ok: true, memory: 'ok', alerts: [] });
  });

  test('a Phoenix project that is gone is made again, with its retention', async ({ expect }) => {
    const { tenant, phoenixProject } = await newTenant('untraced');
    await deleteProject(phoenix, phoenixProject);
    const { alerts, phoenixProject: state } = await look(tenant);
    const fix = `cvops diagnose ${tenant} --repair`;
    expect([state, brief(alerts)]).toEqual(['warning', [['phoenix', 'warning', fix]]]);
    const { code, stderr } = await run(fix);
    expect([code, stderr]).toEqual([0, expect.stringContaining('make its Phoenix project')]);
    const told = await listAudit(pool, { tenant, verb: 'repair', limit: 10 });
    expect(told.map(({ outcome }) => outcome)).toEqual(['completed', 'started']);
    expect(await findProject(phoenix, phoenixProject)).toBeDefined();
    expect(await look(tenant)).toMatchObject({ ok: true, alerts: [] });
  });

  test('a retention that nobody waits out, and a purge that nobody does', async ({ expect }) => {
    const { tenant } = await newTenant('forgotten');
    const request = { tenant, retentionDays: 30, running: 'cancel', reason: '' } as const;
    await (await product.life.deactivate(request)).result();
    expect((await look(tenant)).alerts).toEqual([]);
    await temporal.workflow.getHandle(workflowIds.retention(tenant)).terminate('tests');
    const fix = `cvops diagnose ${tenant} --repair`;
    expect(brief((await look(tenant)).alerts)).toEqual([['lifecycle', 'critical', fix]]);
    const { ok, repaired } = await product.health.repair(tenant, '');
    expect({ ok, repaired }).toEqual({ ok: true, repaired: [{ repair: 'start-retention', done: true }] });
    expect(await isOpen(temporal, workflowIds.retention(tenant))).toBe(true);

    await temporal.workflow.getHandle(workflowIds.retention(tenant)).terminate('tests');
    await pool.query(`update tenants set state = 'purging', purge_at = null where tenant = $1`, [tenant]);
    expect(brief((await look(tenant)).alerts)).toEqual([
      ['lifecycle', 'critical', `cvops tenant delete ${tenant} --hard`],
    ]);
    // Nothing is deleted by a repair.
    expect((await product.health.repair(tenant, '')).repaired).toEqual([]);
  });

  test('a backup that is too old, by its schedule or without one; made, it is told no more', async ({
    expect,
  }) => {
    const { tenant, incarnation } = await newTenant('stale');
    const age = (days: number) =>
      pool.query(`update tenants set created_at = now() - make_interval(days => $2) where incarnation = $1`, [
        incarnation,
        days,
      ]);
    await age(6);
    expect((await look(tenant)).alerts).toEqual([]);
    await age(8);
    const fix = `cvops backup create ${tenant}`;
    expect(brief((await look(tenant)).alerts)).toEqual([['backups', 'warning', fix]]);
    await age(6);
    const daily = { tenant, backup: { times: { everySeconds: 86_400 } }, reason: '' };
    await product.backupSchedules.set(daily);
    expect(brief((await look(tenant)).alerts)).toEqual([['backups', 'warning', fix]]);
    expect((await run(fix)).code).toBe(0);
    expect(await look(tenant)).toMatchObject({ ok: true, alerts: [] });

    // A schedule that Temporal lost, and one that is still paused for a retention that is over.
    const handle = temporal.schedule.getHandle(scheduleIds.scheduled(tenant, 'backup'));
    await handle.pause('the tenant is inactive');
    const paused = (forRetention: boolean) =>
      pool.query('update tenant_schedules set paused_for_retention = $2 where incarnation = $1', [
        incarnation,
        forRetention,
      ]);
    await paused(false);
    // As a person may do.
    expect(await look(tenant)).toMatchObject({
      ok: true,
      alerts: [{ check: 'schedules', severity: 'info' }],
    });
    await paused(true);
    expect(await look(tenant)).toMatchObject({
      ok: false,
      alerts: [{ check: 'schedules', severity: 'warning' }],
    });
    await handle.delete();
    const { alerts } = await look(tenant);
    expect(brief(alerts)).toEqual([['schedules', 'warning', `cvops backup schedule ${tenant}`]]);
    expect((await run(alerts[0]!.fix)).code).toBe(0);
    expect(await look(tenant)).toMatchObject({ ok: true, alerts: [] });
  });

  test('operations: one that failed until one of its kind succeeds, and one whose workflow is gone', async ({
    expect,
  }) => {
    const row = await newTenant('failing');
    const { tenant } = row;
    const begin = async (kind: 'backupTenant' | 'ingestVideos') => {
      const operation = parseOperationId(randomUUID());
      const workflowId = `tests/${operation}`;
      await startOperation(pool, { ...row, operation, kind, workflowId, principal: 'tests', reason: '' });
      return operation;
    };
    const failed = await begin('backupTenant');
    const error = { code: 'Unavailable', message: 'the bucket does not answer' };
    await finishOperation(pool, failed, { state: 'failed', error });
    const hung = await begin('ingestVideos');
    const { alerts } = await look(tenant);
    expect(alerts.map(({ message }) => message)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('the bucket does not answer'),
        `1 operation says that it runs, and nothing does: ${hung} (ingestVideos): Temporal has no such workflow`,
      ]),
    );
    expect(new Set(alerts.map(({ fix }) => fix))).toEqual(
      new Set([`cvops op show ${failed}`, `cvops op show ${hung}`]),
    );
    await finishOperation(pool, await begin('backupTenant'), { state: 'completed' });
    // Refused for what was asked, it is no fault of ours.
    await finishOperation(pool, hung, { state: 'failed', error: { code: 'NotFound', message: 'no folder' } });
    const after = await look(tenant);
    expect([after.ok, after.alerts.map(({ check, severity }) => [check, severity])]).toEqual([
      true,
      [['operations', 'info']],
    ]);
  });

  test('an alert is listed and silenced; silenced it makes nothing fail', async ({ expect }) => {
    const { tenant, phoenixProject } = await newTenant('quiet');
    await deleteProject(phoenix, phoenixProject);
    await look(tenant);
    const { alerts } = await cvopsJson<{ alerts: Alert[] }>(['alert', 'list', '--tenant', tenant]);
    expect(brief(alerts)).toEqual([['phoenix', 'warning', `cvops diagnose ${tenant} --repair`]]);
    const silenced = await cvopsJson<Alert>(['alert', 'silence', alerts[0]!.id, '--for', '4h']);
    expect(Date.parse(silenced.silencedUntil!)).toBeGreaterThan(Date.now() + 3 * 3_600_000);
    expect(await look(tenant)).toMatchObject({ ok: true, phoenixProject: 'warning' });
    await expect(product.alerts.silence(randomUUID(), 60, '')).rejects.toMatchObject({ type: 'NotFound' });
  });

  test('another tenant’s alert and none are the same to who may silence its own, and each try is told', async ({
    expect,
  }) => {
    const [own, others] = [await newTenant('own'), await newTenant('others')];
    for (const { tenant, phoenixProject } of [own, others]) {
      await deleteProject(phoenix, phoenixProject);
      await look(tenant);
    }
    const [ofOwn, ofOthers] = [(await everOf(own.tenant))[0]!, (await everOf(others.tenant))[0]!];
    const subject = `operator of ${own.tenant}`;
    const bearer = { role: 'operator', tenant: own.tenant, subject } as const;
    const operator = await CvopsClient.connect({
      ...settings,
      ...(await credentialOf(inject('stack').home, bearer)),
    });
    try {
      const refusals = await Promise.all(
        [ofOthers.id, randomUUID(), 'no id'].map((id) =>
          operator.alerts.silence(id, 60, '').catch((error: unknown) => error),
        ),
      );
      expect(refusals[0]).toMatchObject({ type: 'PermissionDenied', exitCode: 4 });
      expect(refusals).toEqual([refusals[0], refusals[0], refusals[0]]);
      const told = await listAudit(pool, { verb: 'alert silence', limit: 100 });
      expect(told.filter((each) => each.principal === subject).map(({ outcome }) => outcome)).toEqual([
        ...['denied', 'denied', 'denied'],
      ]);
      expect((await everOf(others.tenant))[0]!.silencedUntil).toBeNull();
      expect((await operator.alerts.silence(ofOwn.id, 60, '')).silencedUntil).not.toBeNull();
    } finally {
      await operator.close();
    }
  });

  test('without Temporal it is looked at from here: what needs it is unknown, and nothing is said to be well', async ({
    expect,
  }) => {
    const { tenant } = await newTenant('alone', { memory_enabled: 'true' });
    const alone = await CvopsClient.connect({ ...settings, temporalAddress: '127.0.0.1:9' });
    try {
      const [health] = (await alone.health.check(tenant)).tenants;
      expect(health).toMatchObject({ ok: false, schemas: 'ok', config: 'ok', memory: 'ok', alerts: [] });
      const { schedules, backups, operations } = health!.checks;
      const unknown = { state: 'unknown', why: 'temporal does not answer' };
      expect([schedules, backups, operations]).toEqual([unknown, unknown, unknown]);
    } finally {
      await alone.close();
    }
    expect((await look(tenant)).ok).toBe(true);
  });

  test('who is not there is not found; nobody of one tenant sees another’s, or all', async ({ expect }) => {
    const nobody = parseTenantId('nobody_at_all');
    await expect(product.health.check(nobody)).rejects.toMatchObject({ type: 'NotFound' });
    const other = await CvopsClient.connect({
      ...settings,
      ...(await credentialOf(inject('stack').home, {
        role: 'reader',
        tenant: parseTenantId('somebody_else'),
      })),
    });
    try {
      for (const asked of [undefined, nobody])
        await expect(other.health.check(asked)).rejects.toMatchObject({ type: 'PermissionDenied' });
      await expect(other.health.diagnose(nobody)).rejects.toMatchObject({ type: 'PermissionDenied' });
    } finally {
      await other.close();
    }
  });
});
