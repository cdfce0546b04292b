import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import type { Quotas } from '../../src/client/quotas.js';
import { SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { parseQuotaChanges } from '../../src/domain/quotas.js';
import { writeMemoryFile } from '../../src/memory/file/write.js';
import { reconcileUsage } from '../../src/quotas/reconcile.js';
import { listAudit } from '../../src/registry/audit.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { getTenant } from '../../src/registry/tenants.js';
import { openDocuments } from '../../src/vespa/access.js';
import type { DocumentClient } from '../../src/vespa/documents.js';
import { cvops, cvopsJson, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';

let pool: Pool;
let client: CvopsClient;
let documents: DocumentClient;
/** Of three documents. */
let clip: string;
beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { name: 'tests' });
  client = await CvopsClient.connect(settings);
  documents = await openDocuments(settings);
  clip = await makeVideo(path.join(await temporaryFolder(), 'clip.mp4'), { seconds: 3 });
});
afterAll(async () => {
  await documents?.close();
  await client?.close();
  await pool?.end();
});

async function created(template: 'startup' | 'trial', maxQps = '10000'): Promise<TenantId> {
  const tenant = parseTenantId(freshTenant('quota'));
  const overrides = { max_qps: maxQps };
  await (
    await client.createTenant({ tenant, template, overrides, profiles: [PROFILE], reason: '' })
  ).result();
  return tenant;
}

const set = (tenant: TenantId, ...texts: string[]) =>
  client.quotas.set(tenant, parseQuotaChanges(texts, undefined), 'tests');
const shown = async (tenant: TenantId) => (await client.quotas.show(tenant)).quotas;
const search = (tenant: TenantId) =>
  client.search({ tenant, query: 'red', profile: PROFILE, ranking: 'float_float', topK: 10 });
const refusal = { type: 'QuotaExceeded', exitCode: 7 };

/** A folder with copies of the clip under these names. */
async function folderOf(...names: string[]): Promise<string> {
  const folder = await temporaryFolder();
  for (const name of names) await copyFile(clip, path.join(folder, `${name}.mp4`));
  return folder;
}

async function ingest(tenant: TenantId, source: string) {
  const handle = await client.ingest.start({ tenant, source, profile: PROFILE, concurrency: 1, reason: '' });
  const { videos } = await handle.result();
  return { ...videos, failures: await client.ingest.failures(handle.operation, 10) };
}

describe.concurrent('quotas', () => {
  test('quota set and show: what would be, what is, who did it, and what a bad one is', async ({
    expect,
  }) => {
    const tenant = await created('trial', '7');
    const dry = await cvopsJson<Quotas & { dryRun: boolean }>([
      ...['quota', 'set', tenant, 'api_calls=100', '--period', 'day', '--dry-run'],
    ]);
    expect(dry).toMatchObject({ dryRun: true, quotas: { api_calls: { max: 100, period: 'day' } } });
    expect((await shown(tenant)).api_calls).toMatchObject({ used: 0, max: null });
    await cvopsJson([
      ...['quota', 'set', tenant, 'api_calls=100', 'storage_mb=50', '--period', 'day', '--reason', 'plan'],
    ]);
    const now = await cvopsJson<Quotas>(['quota', 'show', tenant]);
    expect(now).toEqual({
      tenant,
      quotas: {
        api_calls: {
          ...{ used: 0, reserved: 0, max: 100, period: 'day' },
          resetsAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT00:00:00Z$/) as string,
        },
        storage_mb: { used: 0, reserved: 0, max: 50, period: null, resetsAt: null },
        ...Object.fromEntries(
          ['videos', 'documents', 'memories', 'concurrent_ingests'].map((name) => [
            name,
            { used: 0, reserved: 0, max: null, period: null, resetsAt: null },
          ]),
        ),
        max_qps: { max: 7 },
      },
    });
    expect((await client.showTenant(tenant)).quotas).toEqual(now.quotas);
    const [entry] = (await listAudit(pool, { tenant, limit: 50 })).filter(({ verb }) => verb === 'quota');
    expect(entry).toMatchObject({
      ...{ principal: 'tests', outcome: 'completed', reason: 'plan' },
      detail: { api_calls: { from: null, to: 100 }, storage_mb: { from: null, to: 50 }, period: 'day' },
    });
  });

  test('max_qps is set with them: one version of the configuration, and all of it or nothing', async ({
    expect,
  }) => {
    const tenant = await created('trial', '7');
    const { scope, service, key } = SYSTEM_CONFIG;
    const versions = async () =>
      (await client.config.history({ tenant, scope, service, key })).map(
        ({ version, value, author, reason }) => [...[version, value['max_qps'], author, reason]],
      );
    const told = async () =>
      (await listAudit(pool, { tenant, limit: 50 }))
        .filter(({ verb }) => verb === 'quota' || verb === 'configure')
        .map(({ verb, reason, detail }) => {
          const { fields, ...limits } = detail as { fields?: string[] };
          return [verb, reason, verb === 'quota' ? Object.keys(limits) : fields];
        });
    const [made] = await versions();
    const quota = ['quota', 'set', tenant, 'max_qps=5', 'videos=9', '--reason', 'plan'];
    expect(await cvopsJson<Quotas>([...quota, '--dry-run'])).toMatchObject({
      quotas: { max_qps: { max: 5 }, videos: { max: 9 } },
    });
    expect(await shown(tenant)).toMatchObject({ max_qps: { max: 7 }, videos: { max: null } });
    // What the configuration refuses takes the limits with it, and one that is no limit the rate.
    for (const bad of [
      ['max_qps=0', 'videos=9'],
      ['max_qps=100001', 'videos=9'],
      ['max_qps=none', 'videos=9'],
      ['max_qps=5', 'videos=-1'],
    ]) {
      const refused = await cvops('quota', 'set', tenant, ...bad, '-o', 'json');
      expect([bad, refused.code, errorOf(refused).code]).toEqual([bad, 2, 'InvalidInput']);
    }
    expect([await versions(), await told()]).toEqual([[made], []]);

    expect(await cvopsJson<Quotas>(quota)).toMatchObject({
      quotas: { max_qps: { max: 5 }, videos: { max: 9 } },
    });
    expect(await shown(tenant)).toMatchObject({ max_qps: { max: 5 }, videos: { max: 9 } });
    expect(await versions()).toEqual([[2, 5, 'tests', 'plan'], made]);
    expect((await told()).toSorted()).toEqual([
      ['configure', 'plan', ['max_qps']],
      ['quota', 'plan', ['videos']],
    ]);
    // Of the rate alone there is no entry of limits.
    await Promise.all(Array.from({ length: 4 }, (_, i) => set(tenant, `max_qps=${i + 1}`, 'videos=8')));
    await set(tenant, 'max_qps=20');
    expect((await versions())[0]).toEqual([7, 20, 'tests', 'tests']);
    expect((await told()).filter(([verb]) => verb === 'quota')).toHaveLength(5);
  });

  test('calls are counted, and the next one over the limit exits 7 and says why', async ({ expect }) => {
    const tenant = await created('startup');
    await set(tenant, 'api_calls=3');
    await search(tenant);
    await client.memory.list({ tenant });
    await client.routing.route({ tenant, query: 'find the cat video' });
    const refused = await cvops('search', tenant, 'red', '--profile', PROFILE, '-o', 'json');
    expect(refused.code).toBe(7);
    expect(errorOf(refused)).toEqual({
      code: 'QuotaExceeded',
      message: expect.stringMatching(
        new RegExp(
          `^quota api_calls of tenant ${tenant}: 3 used, 1 asked, 3 allowed; it resets at .*-01T00:00:00Z$`,
        ),
      ) as string,
      hint: expect.stringContaining(`cvops quota set ${tenant} api_calls=MAX`) as string,
    });
    await expect(client.memory.list({ tenant })).rejects.toMatchObject(refusal);
    await expect(client.routing.route({ tenant, query: 'x' })).rejects.toMatchObject(refusal);
    await set(tenant, 'api_calls=none');
    await search(tenant);
  });

  test('searches over max_qps wait for their turn, not for ever, and push nobody back', async ({
    expect,
  }) => {
    const tenant = await created('trial', '1');
    const ends = await Promise.allSettled(Array.from({ length: 12 }, () => search(tenant)));
    const refused = ends.filter((end) => end.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    expect(ends.length - refused.length).toBeGreaterThan(0);
    for (const { reason } of refused)
      expect(reason).toMatchObject({ ...refusal, message: expect.stringContaining('max_qps') as string });
    const used = (await shown(tenant)).api_calls.used;
    expect(used).toBe(ends.length - refused.length);
    // Those that were turned away have not taken the places of minutes to come.
    await expect.poll(() => search(tenant).then(() => 'found', String)).toBe('found');
  });

  test('videos over a quota fail with its reason, leave nothing, and are taken by --retry-failed', async ({
    expect,
  }) => {
    const tenant = await created('trial');
    const source = await folderOf('a', 'b');
    await set(tenant, 'videos=1');
    const first = await ingest(tenant, source);
    expect(first).toMatchObject({ stored: 1, failed: 1 });
    expect(first.failures[0]!.reason).toMatch(/^quota videos of tenant \w+: 1 used, 1 asked, 1 allowed/);
    expect(await shown(tenant)).toMatchObject({
      videos: { used: 1, reserved: 0 },
      documents: { used: 3, reserved: 0 },
      concurrent_ingests: { used: 0 },
    });
    expect((await search(tenant)).hits).toHaveLength(3);

    // Five documents allowed, three there, three wanted: none of them is written.
    await set(tenant, 'videos=none', 'documents=5');
    const again = await client.ingest.again({ tenant, items: 'failed', concurrency: 1, reason: '' });
    expect((await again.result()).videos).toEqual({ stored: 0, unchanged: 0, failed: 1 });
    expect((await search(tenant)).hits).toHaveLength(3);
    const { storage_mb: storage } = await shown(tenant);
    // And by bytes: half a video more.
    await set(tenant, 'documents=none', `storage_mb=0`);
    const third = await client.ingest.again({ tenant, items: 'failed', concurrency: 1, reason: '' });
    expect((await third.result()).videos).toMatchObject({ failed: 1 });
    expect((await shown(tenant)).storage_mb).toEqual({ ...storage, max: 0 });

    await set(tenant, 'storage_mb=none', 'videos=2', 'documents=6');
    const last = await client.ingest.again({ tenant, items: 'failed', concurrency: 1, reason: '' });
    expect((await last.result()).videos).toMatchObject({ stored: 1, failed: 0 });
    expect(await shown(tenant)).toMatchObject({
      videos: { used: 2, reserved: 0, max: 2 },
      documents: { used: 6, reserved: 0, max: 6 },
      storage_mb: { used: storage.used * 2 },
    });

    // One that replaces another needs no room of its own; one that grows over the limit leaves the former as it was.
    const [changed, longer] = [path.join(source, 'a.mp4'), path.join(source, 'b.mp4')];
    await makeVideo(changed, { seconds: 3, colours: ['blue'] });
    await makeVideo(longer, { seconds: 5, colours: ['green'] });
    expect(await ingest(tenant, source)).toMatchObject({ stored: 1, failed: 1 });
    expect(await shown(tenant)).toMatchObject({ videos: { used: 2 }, documents: { used: 6, reserved: 0 } });
    expect((await search(tenant)).hits).toHaveLength(6);
  });

  test('an ingest that may not begin exits 7, and leaves no operation', async ({ expect }) => {
    const tenant = await created('trial');
    await set(tenant, 'concurrent_ingests=0');
    const source = await folderOf('a');
    const refused = await cvops('ingest', tenant, source, '--profile', PROFILE, '-o', 'json');
    expect([refused.code, errorOf(refused).code]).toEqual([7, 'QuotaExceeded']);
    expect((await client.listOperations(tenant, 10)).map(({ kind }) => kind)).toEqual(['createTenant']);
    await set(tenant, 'concurrent_ingests=1');
    expect(await ingest(tenant, source)).toMatchObject({ stored: 1 });
    expect(await ingest(tenant, source)).toMatchObject({ unchanged: 1 });
  });

  test('memories: over the quota nothing is stored, what is deleted makes room, an import is whole or not at all', async ({
    expect,
  }) => {
    const tenant = await created('startup');
    await set(tenant, 'memories=2');
    const add = (text: string, key?: string) =>
      client.memory.add({ tenant, text, userId: 'u', ...(key === undefined ? {} : { key }) });
    const [first] = await add('cats sleep', 'k1');
    await add('dogs bark');
    await expect(add('birds sing')).rejects.toMatchObject(refusal);
    // Its answer was lost: it is there, and needs no room.
    expect(await add('cats sleep', 'k1')).toEqual([{ id: first!.id, event: 'NONE' }]);
    const whole = path.join(await temporaryFolder(), 'memories');
    await writeMemoryFile(whole, tenant, client.memory.export(tenant));
    expect(await client.memory.delete(tenant, first!.id, '')).toBe(true);
    expect(await client.memory.delete(tenant, first!.id, '')).toBe(false);
    expect((await shown(tenant)).memories).toMatchObject({ used: 1, max: 2 });

    // Of two that it holds one is there: one more has room, two have not.
    const bring = async () => (await client.memory.import(tenant, whole, '')).result();
    await set(tenant, 'memories=1');
    await expect(bring()).rejects.toMatchObject({ type: 'QuotaExceeded' });
    expect(await client.memory.stats(tenant)).toMatchObject({ total_memories: 1 });
    await set(tenant, 'memories=2');
    for (let i = 0; i < 2; i++) {
      await bring();
      expect((await shown(tenant)).memories).toMatchObject({ used: 2, reserved: 0 });
    }
    await (await client.memory.clear(tenant, '')).result();
    expect((await shown(tenant)).memories).toMatchObject({ used: 0, reserved: 0 });
  });

  test('what was counted wrong is set right, and what it was is told', async ({ expect }) => {
    const tenant = await created('trial');
    await ingest(tenant, await folderOf('a'));
    const life = await getTenant(pool, tenant);
    await pool.query(
      `update quota_usage set used = used + 40, reserved = reserved + 2 where incarnation = $1 and resource = 'documents'`,
      [life.incarnation],
    );
    await pool.query(`update quota_usage set used = 0 where incarnation = $1 and resource = 'videos'`, [
      life.incarnation,
    ]);
    const memory = { counted: 5 };
    const reconcile = () =>
      reconcileUsage(
        {
          ...{ pool, documents },
          memoryOf: async () => ({ count: async () => memory.counted }),
          isOpen: async () => true,
        },
        life,
      );
    expect((await reconcile()).toSorted((a, b) => (a.resource < b.resource ? -1 : 1))).toEqual([
      { resource: 'documents', was: 43, is: 3 },
      { resource: 'memories', was: 0, is: 5 },
      { resource: 'reserved', was: 2, is: 0 },
      { resource: 'videos', was: 0, is: 1 },
    ]);
    expect(await reconcile()).toEqual([]);
    expect(await shown(tenant)).toMatchObject({
      ...{ documents: { used: 3, reserved: 0 }, videos: { used: 1 }, memories: { used: 5 } },
    });
  });
});
