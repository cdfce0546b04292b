import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { findProject } from '../../src/phoenix/projects.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { verifyAudit } from '../../src/registry/audit.js';
import { getTenant } from '../../src/registry/tenants.js';
import { readPackage } from '../../src/vespa/activePackage.js';
import { ConfigServer } from '../../src/vespa/configServer.js';
import { answersFor } from '../../src/vespa/convergence.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { NO_LIMIT, cvops, cvopsJson, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { type Outside, digestOf } from '../support/tenants.js';
import { sampleVideos, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
/** What a purge must end: else the next life's videos would come from the former one's source. */
const WATCH = ['/data/inbox', '--profile', PROFILE, '--name', 'inbox', '--every', '1d'];
const DAY = 24 * 3600 * 1000;
/** Between the read-backs: enough for Phoenix to bring a project back, if it would. */
const SECOND_LOOK = ['--second-look', '6'];

interface Status {
  readonly tenant: string;
  readonly state: string;
  readonly purgeAt: string | null;
  readonly operation: string;
}
interface Plan {
  readonly stores: { store: string; name: string; count: number }[];
}
interface Deleted extends Status {
  readonly incarnation: string;
  readonly certificate: string;
}
interface Certificate {
  readonly ok: boolean;
  readonly stores: { store: string; name: string; before: number; after: number; afterDelay: number }[];
  readonly rehearsal: { matches: boolean } | null;
}

// The names end alike on purpose: what matches by suffix would take the one for the other.
const stem = freshTenant('corp');
const [id, neighbour] = [`acme_${stem}`, stem];
let pool: Pool;
let outside: Outside;
let videos: string;
let folder: string;
let documentsBefore: number;
let incarnation: string;

beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { name: 'tests' });
  outside = {
    pool,
    documents: new DocumentClient(settings.vespaUrl),
    configServer: new ConfigServer(settings.vespaConfigUrl),
    phoenix: new PhoenixClient(settings.phoenixUrl),
  };
  videos = await sampleVideos();
  folder = await temporaryFolder();
  await Promise.all(
    [id, neighbour].map((tenant) =>
      cvopsJson(['tenant', 'create', tenant, '--template', 'startup', '--profiles', PROFILE, ...NO_LIMIT]),
    ),
  );
  for (const tenant of [id, neighbour]) {
    await cvopsJson(['ingest', tenant, videos, '--profile', PROFILE]);
    await search(tenant);
  }
  await cvopsJson(['watch', 'add', id, ...WATCH]);
  ({ incarnation } = await getTenant(pool, parseTenantId(id)));
  documentsBefore = await documentsOf(id);
});
afterAll(async () => {
  await outside?.documents.close();
  await pool?.end();
});

const search = (tenant: string) =>
  cvopsJson<{ hits: { id: string; score: number }[] }>([
    'search',
    tenant,
    'bright road',
    '--profile',
    PROFILE,
    '--ranking',
    'float_float',
  ]);
const documentsOf = async (tenant: string) =>
  outside.documents.count(`${PROFILE}_${tenant}`, (await readPackage(outside.configServer)).contentCluster);

describe('soft delete', () => {
  let purgeAt: string;

  test('makes the tenant inactive for 90 days at once, and nobody else', async () => {
    const others = await digestOf(outside, neighbour);
    const at = Date.now();
    const status = await cvopsJson<Status>(['tenant', 'deactivate', id, '--reason', 'left us']);
    expect(status).toMatchObject({ tenant: id, state: 'inactive' });
    expect(Date.parse(status.purgeAt!)).toBeGreaterThanOrEqual(at + 90 * DAY);
    expect(Date.parse(status.purgeAt!)).toBeLessThanOrEqual(Date.now() + 90 * DAY);
    purgeAt = status.purgeAt!;
    expect(await cvopsJson(['tenant', 'show', id])).toMatchObject({ state: 'inactive' });
    expect(await digestOf(outside, neighbour)).toBe(others);
  });

  test.each([
    ['ingest', () => ['ingest', id, videos, '--profile', PROFILE]],
    ['search', () => ['search', id, 'bright', '--profile', PROFILE]],
    ['config set', () => ['config', 'set', id, '--set', 'max_qps=3']],
    ['schema deploy', () => ['schema', 'deploy', '--tenant', id]],
    ['a second deactivation', () => ['tenant', 'deactivate', id]],
    ['create', () => ['tenant', 'create', id]],
  ])('%s is refused with exit 6 and the purge date', async (_, args) => {
    const refused = await cvops(...args(), '-o', 'json');
    expect(refused.code).toBe(6);
    expect(errorOf(refused).code).toBe('WrongState');
    expect(new Date(/purged at (\S+):/.exec(errorOf(refused).message)![1]!).toISOString()).toBe(purgeAt);
  });

  test('keeps the data and the configuration readable for operators', async () => {
    expect(await documentsOf(id)).toBe(documentsBefore);
    expect(await cvopsJson(['config', 'get', id])).toMatchObject({ tenant: id, version: 1 });
  });

  test('can be extended', async () => {
    const status = await cvopsJson<Status>(['tenant', 'extend', id, '--days', '10']);
    expect(Date.parse(status.purgeAt!)).toBe(Date.parse(purgeAt) + 10 * DAY);
  });

  test('is taken back by reactivate: everything is as it was', async () => {
    const before = await search(neighbour);
    expect(await cvopsJson<Status>(['tenant', 'reactivate', id])).toMatchObject({
      state: 'active',
      purgeAt: null,
    });
    expect(await documentsOf(id)).toBe(documentsBefore);
    const found = await search(id);
    expect(found.hits.map(({ score }) => score)).toEqual(before.hits.map(({ score }) => score));
    const again = await cvopsJson<{ videos: object }>(['ingest', id, videos, '--profile', PROFILE]);
    expect(again.videos).toEqual({ stored: 0, unchanged: 3, failed: 0 });
  });

  test('can be done again right away, with another retention', async () => {
    const at = Date.now();
    const status = await cvopsJson<Status>(['tenant', 'deactivate', id, '--retention-days', '7']);
    expect(Date.parse(status.purgeAt!)).toBeGreaterThanOrEqual(at + 7 * DAY);
    expect(Date.parse(status.purgeAt!)).toBeLessThanOrEqual(Date.now() + 7 * DAY);
    const [running] = (
      await cvopsJson<{ operations: { kind: string; state: string }[] }>(['op', 'list', '--tenant', id])
    ).operations;
    expect(running).toMatchObject({ kind: 'softDeleteTenant', state: 'completed' });
  });
});

describe('hard delete', () => {
  let plan: Plan;
  let certificate: string;
  let planFile: string;

  test.each([
    ['without --hard', [], 2],
    ['off a terminal without --confirm', ['--hard'], 2],
    ['with another name to confirm', ['--hard', '--confirm', neighbour], 2],
    ['with a rehearsal that is none', ['--hard', '--confirm', id, '--rehearsal', 'package.json'], 2],
  ])('%s is refused and does nothing', async (_, args, code) => {
    const refused = await cvops('tenant', 'delete', id, ...args, '-o', 'json');
    expect(refused.code).toBe(code);
    expect((await getTenant(pool, parseTenantId(id))).state).toBe('inactive');
  });

  test('its rehearsal counts exactly what there is and changes nothing', async () => {
    const before = await digestOf(outside, id);
    plan = await cvopsJson<Plan>(['tenant', 'delete', id, '--hard', '--dry-run']);
    const count = (store: string, name: string) =>
      plan.stores.find((s) => s.store === store && s.name === name)?.count;
    expect(count('documents', `${PROFILE}_${id}`)).toBe(documentsBefore);
    expect(count('memory', `agent_memories_${id}`)).toBe(0);
    expect(count('schemas', `${PROFILE}_${id}`)).toBe(1);
    expect(count('traces', `project ${id}_project`)).toBe(1);
    expect(count('traces', `spans of ${id}_project`)).toBe(6);
    expect(count('ledger', 'videos')).toBe(3);
    expect(count('ledger', 'ingest_items')).toBe(6);
    expect(count('configuration', 'config_versions')).toBe(3);
    expect(await digestOf(outside, id)).toBe(before);
    planFile = path.join(folder, 'plan.json');
    await writeFile(planFile, JSON.stringify(plan));
  });

  test('a rehearsal that is not true any more is refused, naming what changed', async () => {
    const stale = { ...plan, stores: plan.stores.map((s) => ({ ...s, count: s.count + 1 })) };
    const file = path.join(folder, 'stale.json');
    await writeFile(file, JSON.stringify(stale));
    const refused = await cvops(
      'tenant',
      'delete',
      id,
      '--hard',
      '--confirm',
      id,
      '--rehearsal',
      file,
      '-o',
      'json',
    );
    expect(refused.code).toBe(6);
    expect(errorOf(refused).message).toContain(`videos: 4 then, 3 now`);
    expect((await getTenant(pool, parseTenantId(id))).state).toBe('inactive');
  });

  test('takes everything of the tenant and nothing of anybody else, and proves it', async () => {
    const others = await digestOf(outside, neighbour);
    const deleted = await cvopsJson<Deleted>([
      ...['tenant', 'delete', id, '--hard', '--confirm', id, '--rehearsal', planFile, '--reason', 'asked to'],
      ...SECOND_LOOK,
    ]);
    expect(deleted).toMatchObject({ tenant: id, incarnation, state: 'purged', purgeAt: null });
    certificate = deleted.certificate;
    expect(await digestOf(outside, neighbour)).toBe(others);

    const { files, mapped } = await readPackage(outside.configServer);
    for (const name of [`${PROFILE}_${id}`, `agent_memories_${id}`]) {
      expect(files.has(name) || mapped.has(name)).toBe(false);
      expect(await answersFor(stackSettings().vespaUrl, name)).toBe(false);
    }
    expect(await outside.configServer.readFile('validation-overrides.xml')).toBeDefined();
    expect(await findProject(outside.phoenix, `${id}_project`)).toBeUndefined();
    for (const table of ['config_versions', 'videos', 'tenant_schemas', 'tenant_schedules']) {
      const { rowCount } = await pool.query(`select 1 from ${table} where incarnation = $1`, [incarnation]);
      expect([table, rowCount]).toEqual([table, 0]);
    }
    const { rowCount } = await pool.query(
      'select 1 from ingest_items where operation in (select operation from operations where incarnation = $1)',
      [incarnation],
    );
    expect(rowCount).toBe(0);
  });

  test('its certificate verifies offline and says what the rehearsal said', async () => {
    const verified = await cvopsJson<Certificate>(['certificate', 'verify', certificate]);
    expect(verified.ok).toBe(true);
    const before = verified.stores.map(({ store, name, before: count }) => ({ store, name, count }));
    const order = (a: Plan['stores'][number], b: Plan['stores'][number]) =>
      `${a.store} ${a.name}` < `${b.store} ${b.name}` ? -1 : 1;
    expect(before.toSorted(order)).toEqual(plan.stores.toSorted(order));
    expect(new Set(verified.stores.map(({ store }) => store))).toEqual(
      new Set(['documents', 'memory', 'schemas', 'traces', 'schedules', 'ledger', 'configuration']),
    );
    const watch = {
      store: 'schedules',
      name: `tenant/${id}/watch/inbox`,
      before: 1,
      after: 0,
      afterDelay: 0,
    };
    expect(verified.stores).toContainEqual(expect.objectContaining(watch));
    expect(JSON.parse(await readFile(certificate, 'utf8'))).toMatchObject({
      certificate: { incarnation, requestedBy: 'tests', reason: 'asked to', rehearsal: { matches: true } },
    });
  });

  test('its certificate stays in the registry, byte for byte', async () => {
    const got = await cvops('certificate', 'get', id);
    expect(got.code).toBe(0);
    expect(got.stdout).toBe(await readFile(certificate, 'utf8'));
    expect((await cvops('certificate', 'get', neighbour)).code).toBe(5);
  });

  test('its certificate is refused after an edit of one byte', async () => {
    const bytes = await readFile(certificate);
    const at = bytes.indexOf('"before":') + '"before":'.length;
    bytes[at] = bytes[at]! ^ 1;
    const edited = path.join(folder, 'edited.json');
    await writeFile(edited, bytes);
    const refused = await cvops('certificate', 'verify', edited, '-o', 'json');
    expect(refused.code).toBe(8);
    expect(JSON.parse(refused.stdout)).toMatchObject({ ok: false });
  });

  test('is over: every verb of the tenant exits 6, an unknown one 5', async () => {
    for (const args of [
      ['tenant', 'delete', id, '--hard', '--confirm', id],
      ['tenant', 'reactivate', id],
      ['config', 'get', id],
      ['search', id, 'bright', '--profile', PROFILE],
    ])
      expect((await cvops(...args, '-o', 'json')).code).toBe(6);
    expect(
      (await cvops('tenant', 'delete', 'no_such_tenant', '--hard', '--confirm', 'no_such_tenant')).code,
    ).toBe(5);
    expect((await verifyAudit(pool)).brokenAt).toBeUndefined();
  });
});

describe('the name of a purged tenant', () => {
  test('is kept free for 30 days', async () => {
    const refused = await cvops('tenant', 'create', id, '-o', 'json');
    expect(refused.code).toBe(6);
    const until = Date.parse(/until (\S+)/.exec(errorOf(refused).message)![1]!);
    expect(Math.round((until - Date.now()) / DAY)).toBe(30);
    expect(errorOf(refused).hint).toContain('--override-quarantine');
  });

  test('may be taken by an admin: a new incarnation that sees nothing of the old one', async () => {
    const created = await cvopsJson<{ incarnation: string }>([
      ...['tenant', 'create', id, '--template', 'startup', '--profiles', PROFILE],
      '--override-quarantine',
    ]);
    expect(created.incarnation).not.toBe(incarnation);
    expect((await search(id)).hits).toEqual([]);
    expect(await documentsOf(id)).toBe(0);
    const { versions } = await cvopsJson<{ versions: unknown[] }>(['config', 'history', id]);
    expect(versions).toHaveLength(1);
    expect(await cvopsJson(['watch', 'list', id])).toEqual({ watches: [] });
    // Made, not updated: Temporal has none of that name either.
    expect(await cvopsJson(['watch', 'add', id, ...WATCH])).toMatchObject({ updated: false });
    const { rows } = await pool.query<{ detail: object }>(
      `select detail from audit_log where tenant = $1 and verb = 'create' and outcome = 'started' order by seq desc limit 1`,
      [id],
    );
    expect(rows[0]!.detail).toHaveProperty('overrodeQuarantine');
  });
});
