import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import { parseBackupId } from '../../src/domain/backups.js';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { parseQuotaChanges } from '../../src/domain/quotas.js';
import { type Memories, openMemories } from '../../src/memory/open.js';
import { reconcileUsage } from '../../src/quotas/reconcile.js';
import { memoryOf } from '../../src/tenants/memoryOf.js';
import { BackupWorld } from '../support/backups.js';
import { cvops, cvopsJson, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame' as const;
/** Of the backup. */
const COUNTS = { documents: 5, memories: 3 };
const HOLDS = { videos: 2, ...COUNTS };

let world: BackupWorld;
let client: CvopsClient;
let memories: Memories;
let backup: string;
beforeAll(async () => {
  const settings = stackSettings();
  world = new BackupWorld();
  [client, memories] = await Promise.all([CvopsClient.connect(settings), openMemories(settings)]);
  const tenant = await created();
  const [two, three] = await Promise.all([clip(2), clip(3)]);
  await Promise.all([ingest(tenant, two), ingest(tenant, three)]);
  for (const animal of ['cats', 'dogs', 'birds'])
    await client.memory.add({ tenant, text: `I like ${animal}`, userId: 'ann' });
  const made = await client.backups.create({ tenant, consistency: 'settled', reason: '' });
  const done = await made.result();
  expect(done).toMatchObject(COUNTS);
  backup = done.backup;
});
afterAll(async () => {
  await memories?.close();
  await client?.close();
  await world?.close();
});

async function created(): Promise<TenantId> {
  const tenant = parseTenantId(freshTenant('room'));
  const request = { template: 'startup', overrides: { max_qps: '10000' }, profiles: [PROFILE], reason: '' };
  await (await client.createTenant({ tenant, ...request } as const)).result();
  return tenant;
}

/** The folder of one video, at one document a second. */
async function clip(seconds: number): Promise<string> {
  const folder = await temporaryFolder();
  await makeVideo(path.join(folder, `of ${seconds} s.mp4`), { seconds });
  return folder;
}

async function ingest(tenant: TenantId, source: string): Promise<void> {
  const handle = await client.ingest.start({ tenant, source, profile: PROFILE, concurrency: 1, reason: '' });
  expect((await handle.result()).videos).toMatchObject({ stored: 1, failed: 0 });
}

const limit = (tenant: TenantId, ...texts: string[]) =>
  client.quotas.set(tenant, parseQuotaChanges(texts, undefined), 'tests');
const shown = async (tenant: TenantId) => (await client.quotas.show(tenant)).quotas;

/** All that a restore could have changed, and what it would leave reserved or running. */
async function everythingOf(tenant: TenantId) {
  const row = await world.tenant(tenant);
  const count = async (table: string) =>
    (await world.pool.query(`select 1 from ${table} where incarnation = $1`, [row.incarnation])).rowCount;
  return {
    row,
    stores: await world.everythingOf(tenant),
    quotas: await shown(tenant),
    reservations: await count('quota_reservations'),
    operations: await count('operations'),
  };
}

async function reconcile(tenant: TenantId) {
  const row = await world.tenant(tenant);
  const { pool, documents } = world;
  const memory = memories.open(await memoryOf(pool, row));
  return reconcileUsage({ pool, documents, memoryOf: async () => memory, isOpen: async () => true }, row);
}

test('a restore over a quota is refused before it writes; with room it restores, and counts what came', async () => {
  const into = await created();
  await ingest(into, await clip(4));
  await client.memory.add({ tenant: into, text: 'I like fish', userId: 'bob' });
  // The span of that: Phoenix shows it when it has the time, and it is nothing that a restore has changed.
  await expect.poll(async () => (await world.everythingOf(into)).traces!.spans.length).toBe(1);
  const restore = ['backup', 'restore', backup, '--into', into, '--replace', '--confirm', into];

  for (const [resource, holds] of Object.entries(HOLDS)) {
    await limit(into, `${resource}=${holds - 1}`);
    const before = await everythingOf(into);
    const refused = await cvops(...restore, '-o', 'json');
    expect([resource, refused.code]).toEqual([resource, 7]);
    expect(errorOf(refused)).toEqual({
      code: 'QuotaExceeded',
      message:
        `quota ${resource} of tenant ${into}: 0 used, ${holds} asked, ${holds - 1} allowed; ` +
        'it does not reset: it is given back when something ends or is deleted',
      hint: expect.stringContaining(`cvops quota set ${into} ${resource}=MAX`) as string,
    });
    expect(await everythingOf(into)).toEqual(before);
    expect(before.reservations).toBe(0);
    await limit(into, `${resource}=none`);
  }

  // Room for just this: what the tenant has now goes.
  await limit(into, ...Object.entries(HOLDS).map(([resource, holds]) => `${resource}=${holds}`));
  expect(await cvopsJson(restore)).toMatchObject({ state: 'active', ...COUNTS });
  const after = await shown(into);
  for (const [resource, holds] of Object.entries(HOLDS))
    expect(after).toMatchObject({ [resource]: { used: holds, reserved: 0, max: holds } });
  expect(await reconcile(into)).toEqual([]);
  expect(await shown(into)).toEqual(after);
  // And it is full.
  await expect(client.memory.add({ tenant: into, text: 'I like bees', userId: 'bob' })).rejects.toMatchObject(
    { type: 'QuotaExceeded' },
  );
});

test('memories that a restore takes away are given back, where the backup has none to bring', async () => {
  const [bare, into] = [parseTenantId(freshTenant('bare')), await created()];
  const request = { tenant: bare, template: 'trial', overrides: {}, profiles: [PROFILE], reason: '' };
  await (await client.createTenant(request)).result();
  const made = await client.backups.create({ tenant: bare, consistency: 'fuzzy', reason: '' });
  await client.memory.add({ tenant: into, text: 'I like fish', userId: 'bob' });
  expect(await shown(into)).toMatchObject({ memories: { used: 1 } });
  const restored = await client.backups.restore({
    ...{ backup: parseBackupId((await made.result()).backup), into, replace: true, preview: false },
    ...{ overrideQuarantine: false, reason: '' },
  });
  await restored.result();
  expect(await shown(into)).toMatchObject({ memories: { used: 0 } });
  expect(await reconcile(into)).toEqual([]);
});
