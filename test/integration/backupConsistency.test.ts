import { randomBytes } from 'node:crypto';
import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BackupTenantResult } from '../../src/contracts/backupOperations.js';
import { BackupWorld, CHUNKS, FRAMES, PROFILES, folderOf, linesIn, manifestIn } from '../support/backups.js';
import { CountingProxy } from '../support/countingProxy.js';
import { cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

/** Videos of two documents, at one document a second: a minute, which a busy machine may take to begin a backup. */
const MANY = 30;
let world: BackupWorld;
let proxy: CountingProxy;
let workers: OwnWorkers;
let env: Record<string, string>;

beforeAll(async () => {
  world = new BackupWorld();
  proxy = new CountingProxy(stackSettings().vespaUrl);
  workers = await OwnWorkers.open(freshTenant('fence').replaceAll('_', '-'));
  env = workers.environment;
  const vespa = { VESPA_URL: await proxy.listen() };
  await Promise.all([workers.start('control', vespa), workers.start('data', vespa)]);
});
afterAll(async () => {
  await workers?.close();
  await proxy?.close();
  await world?.close();
});

const create = (tenant: string, ...more: string[]) =>
  cvopsJson(['tenant', 'create', tenant, '--template', 'trial', ...PROFILES, ...more]);
const backUp = (tenant: string, consistency: string) =>
  cvopsJson<BackupTenantResult>(['backup', 'create', tenant, '--consistency', consistency], 0, env);
const exitOf = async (...args: string[]) => {
  const result = await cvopsWith(env, ...args, '-o', 'json');
  return [result.code, errorOf(result).code];
};

/** Acts before each visit of documents that the workers make: what it does, that visit sees. */
function beforeVisits(act: (visit: number) => Promise<unknown>): void {
  let visits = 0;
  proxy.onRequest = async ({ method, path: asked, when }) => {
    if (when === 'before' && method === 'GET' && asked.includes('/docid/?')) await act(++visits);
  };
}

describe('documents that change while they are backed up', () => {
  const id = freshTenant('restless');
  beforeAll(async () => {
    await create(id);
    for (let i = 0; i < 3; i++) await world.feed(id, CHUNKS, { [`quiet_${i}`]: '{"segment_id":0}' });
  });
  const change = (visit: number) => world.feed(id, CHUNKS, { restless: `{"segment_id":${visit}}` });

  test('settle once nothing changes for a whole pass: the backup is what stands then', async () => {
    beforeVisits(async (visit) => visit <= 5 && change(visit));
    const backup = await backUp(id, 'settled');
    expect(backup).toMatchObject({ consistency: 'settled', asked: 'settled', documents: 4 });
    const { passes } = (await manifestIn(folderOf(backup))).consistency;
    expect(passes).toBeGreaterThan(2);
    expect(await linesIn(folderOf(backup), 'documents', CHUNKS)).toEqual(await world.linesOf(id, CHUNKS));
  });

  test('and never do when every pass finds another state: the backup says fuzzy', async () => {
    beforeVisits(change);
    const backup = await backUp(id, 'settled');
    expect(backup).toMatchObject({ consistency: 'fuzzy', asked: 'settled', documents: 4 });
    const { consistency } = await manifestIn(folderOf(backup));
    expect(consistency).toMatchObject({ asked: 'settled', achieved: 'fuzzy', fence: null });
    expect(await cvopsJson(['backup', 'verify', backup.backup], 0, env)).toMatchObject({ ok: true });
  });
});

test('a fenced backup while an ingest runs is one moment’s state; nothing changes meanwhile, then all goes on', async () => {
  const id = freshTenant('fenced');
  await create(id, '--set', 'max_qps=1');
  const clips = await temporaryFolder();
  const clip = await makeVideo(path.join(clips, 'v0.mp4'), { seconds: 2 });
  for (let i = 1; i < MANY; i++) await copyFile(clip, path.join(clips, `v${i}.mp4`));
  const { operation } = await cvopsJson<{ operation: string }>(
    ['ingest', id, clips, '--profile', FRAMES, '--concurrency', '2', '--no-wait'],
    0,
    env,
  );
  await expect.poll(async () => (await world.linesOf(id, FRAMES)).length).toBeGreaterThan(2);

  const held = Promise.withResolvers<void>();
  const visited = Promise.withResolvers<void>();
  beforeVisits(async () => {
    visited.resolve();
    await held.promise;
  });
  const backingUp = backUp(id, 'fenced');
  await Promise.race([visited.promise, backingUp]);
  const atTheFence = await world.everythingOf(id);
  try {
    expect(await exitOf('config', 'set', id, '--set', 'max_qps=2')).toEqual([6, 'WrongState']);
    expect(await exitOf('schema', 'deploy', '--tenant', id)).toEqual([6, 'WrongState']);
    expect(await exitOf('backup', 'create', id, '--consistency', 'fenced')).toEqual([6, 'Conflict']);
    expect(await world.everythingOf(id)).toEqual(atTheFence);
  } finally {
    proxy.onRequest = () => undefined;
    held.resolve();
  }

  const backup = await backingUp;
  expect(backup).toMatchObject({ consistency: 'fenced', asked: 'fenced' });
  const folder = folderOf(backup);
  const { consistency, startedAt } = await manifestIn(folder);
  expect(consistency.fence!.from >= startedAt && consistency.fence!.until > consistency.fence!.from).toBe(
    true,
  );
  expect(await linesIn(folder, 'documents', FRAMES)).toEqual(atTheFence.documents[FRAMES]);
  const videos = (await linesIn(folder, 'videos')).map((line) => JSON.parse(line) as { documents: number });
  expect(videos).toEqual(atTheFence.videos);
  // Each video is in it whole or not at all.
  expect(videos.length).toBeLessThan(MANY);
  expect(videos.reduce((sum, { documents }) => sum + documents, 0)).toBe(backup.documents);

  await cvopsJson(['config', 'set', id, '--set', 'max_qps=10000'], 0, env);
  expect(await cvopsJson(['op', 'watch', operation], 0, env)).toMatchObject({
    state: 'completed',
    counts: { stored: MANY, failed: 0 },
  });
  expect(await world.tenant(id)).toMatchObject({ fence: null });
});

test('a restore that is given up in the middle leaves its tenant closed until another one has ended', async () => {
  const id = freshTenant('halved');
  await create(id);
  await world.fillOddly(id, { traces: 1 });
  const before = await world.everythingOf(id);
  proxy.onRequest = () => undefined;
  const { backup } = await backUp(id, 'fuzzy');
  await world.feed(id, CHUNKS, { later: '{}' });

  const visited = Promise.withResolvers<void>();
  // The first visit of a restore is the one that empties; it never goes on.
  beforeVisits(() => {
    visited.resolve();
    return new Promise(() => undefined);
  });
  const restore = ['backup', 'restore', backup, '--replace', '--confirm', id];
  const { operation } = await cvopsJson<{ operation: string }>([...restore, '--no-wait'], 0, env);
  await visited.promise;
  const closed = { state: 'inactive', unfinishedRestore: operation };
  expect(await world.tenant(id)).toMatchObject({ ...closed, fence: operation });
  expect(await exitOf('search', id, 'x', '--profile', CHUNKS)).toEqual([6, 'WrongState']);
  await cvopsJson(['op', 'cancel', operation], 0, env);
  await expect.poll(async () => (await world.tenant(id)).fence).toBeNull();
  await expect
    .poll(async () => (await cvopsJson<{ state: string }>(['op', 'show', operation], 0, env)).state)
    .toBe('cancelled');
  proxy.onRequest = () => undefined;
  expect(await world.tenant(id)).toMatchObject(closed);
  expect(await exitOf('tenant', 'reactivate', id)).toEqual([6, 'WrongState']);

  expect(await cvopsJson(restore, 0, env)).toMatchObject({ state: 'active' });
  expect(await world.everythingOf(id)).toEqual(before);
  expect(await world.tenant(id)).toMatchObject({ state: 'active', unfinishedRestore: null, fence: null });
});

describe('an encrypted backup', () => {
  const id = freshTenant('secret');
  const key = randomBytes(32).toString('hex');
  let keyFile: string;
  let encrypting: OwnWorkers;
  let backup: BackupTenantResult;
  beforeAll(async () => {
    proxy.onRequest = () => undefined;
    keyFile = path.join(await temporaryFolder(), 'key');
    await writeFile(keyFile, key);
    encrypting = await OwnWorkers.open(freshTenant('secret').replaceAll('_', '-'));
    const secret = { CVOPS_BACKUP_KEY: `file:${keyFile}` };
    await Promise.all([encrypting.start('control', secret), encrypting.start('data', secret)]);
    await create(id);
    await world.fillOddly(id, { traces: 2 });
    backup = await cvopsJson<BackupTenantResult>(['backup', 'create', id], 0, encrypting.environment);
  });
  afterAll(() => encrypting?.close());

  const restore = (...more: string[]) =>
    cvopsWith(encrypting.environment, 'backup', 'restore', backup.backup, ...more, '-o', 'json');

  test('says nothing of what is in it, and is sound to who has the key', async () => {
    const folder = folderOf(backup);
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
    for (const file of files.filter((name) => !name.endsWith('manifest.json')))
      expect((await readFile(file)).subarray(0, 4).toString()).toBe('CVB1');
    for (const file of files) {
      const text = (await readFile(file)).toString('latin1');
      expect(text).not.toContain(key);
      expect(text).not.toContain('max_qps');
    }
    const withKey = { CVOPS_BACKUP_KEY: `file:${keyFile}` };
    expect((await cvopsWith(withKey, 'backup', 'verify', folder)).code).toBe(0);
    expect((await cvopsWith({}, 'backup', 'verify', folder)).code).toBe(2);
  });

  test('is refused under another key before anything is written, and comes back under its own', async () => {
    const before = await world.everythingOf(id);
    await writeFile(keyFile, randomBytes(32).toString('hex'));
    const refused = await restore('--replace', '--confirm', id);
    expect([refused.code, errorOf(refused).code]).toEqual([2, 'InvalidInput']);
    expect(refused.stderr).not.toContain(key);
    expect(await world.everythingOf(id)).toEqual(before);
    expect(await world.tenant(id)).toMatchObject({ state: 'active', fence: null });

    await writeFile(keyFile, key);
    await world.feed(id, CHUNKS, { later: '{}' });
    expect((await restore('--replace', '--confirm', id)).code).toBe(0);
    expect(await world.everythingOf(id)).toEqual(before);
  });
});
