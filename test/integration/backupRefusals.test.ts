import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { copyFile, cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadSigningKey } from '../../src/certificates/keys.js';
import { CvopsClient } from '../../src/client/index.js';
import type { BackupTenantResult } from '../../src/contracts/backupOperations.js';
import { parseBackupId } from '../../src/domain/backups.js';
import { OpsError } from '../../src/domain/errors.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { MUTATIONS, type Objects } from '../support/backupMutations.js';
import {
  BackupWorld,
  CHUNKS,
  type Everything,
  FRAMES,
  PROFILES,
  backUp,
  flip,
  folderOf,
  manifestIn,
} from '../support/backups.js';
import { cvops, cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const id = freshTenant('refused');
let world: BackupWorld;
let client: CvopsClient;
/** Videos of two documents, at one document a second. */
const MANY = 16;
const REPLACE = { replace: true, preview: false, overrideQuarantine: false, reason: '' };
let backups: readonly [BackupTenantResult, BackupTenantResult];

beforeAll(async () => {
  world = new BackupWorld();
  client = await CvopsClient.connect(stackSettings());
  await cvopsJson(['tenant', 'create', id, '--template', 'trial', '--set', 'max_qps=1', ...PROFILES]);
  await world.fillOddly(id, { traces: 4 });
  const first = await backUp(id, '--consistency', 'fuzzy');
  await world.feed(id, CHUNKS, { between: '{}' });
  backups = [first, await backUp(id, '--consistency', 'fuzzy')];
});
afterAll(async () => {
  await client?.close();
  await world?.close();
});

const stillOpen = { state: 'active', fence: null, unfinishedRestore: null, purgeAt: null };

test('a backup that is not there, and a tenant that is not: exit 5; what is no id: exit 2', async () => {
  const backup = parseBackupId('20200101T000000Z-00000000');
  const tenant = parseTenantId(freshTenant('nobody'));
  for (const refused of [
    () => client.backups.verify({ backup, reason: '' }),
    () => client.backups.restore({ backup, ...REPLACE }),
    () => client.backups.create({ tenant, consistency: 'fuzzy', reason: '' }),
    () => client.backups.drill({ tenant, reason: '' }).then((handle) => handle.result()),
  ])
    await expect(refused()).rejects.toMatchObject({ type: 'NotFound', exitCode: 5 });
  expect((await cvops('backup', 'restore', backup)).code).toBe(5);
  expect((await cvops('backup', 'restore', 'latest')).code).toBe(2);
  expect((await cvops('backup', 'verify', path.join(folderOf(backups[0]), 'documents'))).code).toBe(5);
});

test('a restore while an ingest runs: exit 6, naming it, and the ingest goes on', async () => {
  const clips = await temporaryFolder();
  const clip = await makeVideo(path.join(clips, 'v0.mp4'), { seconds: 2 });
  for (let i = 1; i < MANY; i++) await copyFile(clip, path.join(clips, `v${i}.mp4`));
  const { operation } = await cvopsJson<{ operation: string }>([
    ...['ingest', id, clips, '--profile', FRAMES, '--no-wait'],
  ]);
  // Held back by the tenant's limit; paused, it runs for as long as it is looked at.
  await expect.poll(async () => (await cvops('op', 'pause', operation)).code).toBe(0);
  const restore = ['backup', 'restore', backups[0].backup, '--replace', '--confirm', id];
  const result = await cvops(...restore, '-o', 'json');
  expect(result.code).toBe(6);
  expect(errorOf(result)).toMatchObject({
    code: 'WrongState',
    message: expect.stringContaining(operation) as string,
    hint: `let it end, or end it with: cvops op cancel ${operation}`,
  });
  expect(await world.tenant(id)).toMatchObject(stillOpen);
  await cvopsJson(['op', 'resume', operation]);
  await cvopsJson(['config', 'set', id, '--set', 'max_qps=10000']);
  expect(await cvopsJson(['op', 'watch', operation])).toMatchObject({ counts: { stored: MANY, failed: 0 } });
});

describe('a backup that is not what was written', () => {
  let pristine: readonly [Objects, Objects];
  let before: Everything;
  beforeAll(async () => {
    before = await world.everythingOf(id);
    pristine = [await objectsOf(folderOf(backups[0])), await objectsOf(folderOf(backups[1]))];
  });

  /** By the first choice that changes anything: in two backups of one tenant some parts are the same. */
  async function mutated(mutate: (typeof MUTATIONS)[string]): Promise<Objects> {
    const signingKey = await loadSigningKey(stackSettings().certificateKey);
    const other = { objects: pristine[1], prefix: '' };
    for (let seed = 1; ; seed++) {
      const objects = new Map(pristine[0]);
      mutate({ objects, prefix: '', other, signingKey, pick: (n) => (seed * 7) % n });
      const same = (bytes: Buffer, name: string) => pristine[0].get(name)?.equals(bytes) === true;
      if (objects.size !== pristine[0].size || ![...objects].every(([name, bytes]) => same(bytes, name)))
        return objects;
    }
  }

  test.each(Object.entries(MUTATIONS))('%s: refused before the first write', async (_, mutate) => {
    const folder = folderOf(backups[0]);
    await writeObjects(folder, await mutated(mutate));
    try {
      const error = await client.backups
        .restore({ backup: parseBackupId(backups[0].backup), ...REPLACE })
        .then((handle) => handle.result())
        .catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(OpsError);
      expect((error as OpsError).type).toMatch(/^(VerificationFailed|NotFound)$/);
    } finally {
      await writeObjects(folder, pristine[0]);
    }
    expect(await world.everythingOf(id)).toEqual(before);
    expect(await world.tenant(id)).toMatchObject(stillOpen);
  });

  test('makes no tenant of the name it was to go into', async () => {
    const folder = folderOf(backups[0]);
    const into = freshTenant('never');
    const { parts } = await manifestIn(folder);
    await flip(path.join(folder, parts.find(({ kind }) => kind === 'spans')!.path));
    const result = await cvops('backup', 'restore', backups[0].backup, '--into', into, '-o', 'json');
    await writeObjects(folder, pristine[0]);
    expect([result.code, errorOf(result).code]).toEqual([8, 'VerificationFailed']);
    expect((await cvops('tenant', 'show', into)).code).toBe(5);
  });

  test('a copy elsewhere is verified with the public key alone, and signed by another key refused', async () => {
    const copy = path.join(await temporaryFolder(), 'copy');
    await cp(folderOf(backups[0]), copy, { recursive: true });
    const home = { CVOPS_HOME: await temporaryFolder() };
    const key = path.join(copy, '..', 'public.pem');
    const own = createPublicKey(await loadSigningKey(stackSettings().certificateKey));
    await writeFile(key, own.export({ type: 'spki', format: 'pem' }));
    expect((await cvopsWith(home, 'backup', 'verify', copy, '--public-key', key)).code).toBe(0);
    await writeFile(key, generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }));
    expect((await cvopsWith(home, 'backup', 'verify', copy, '--public-key', key)).code).toBe(8);
  });
});

test('and the sound one is restored after all of this', async () => {
  const restored = await cvopsJson(['backup', 'restore', backups[0].backup, '--replace', '--confirm', id]);
  expect(restored).toMatchObject({ state: 'active', documents: backups[0].documents, spans: 16 });
  expect(await world.tenant(parseTenantId(id))).toMatchObject(stillOpen);
});

async function objectsOf(folder: string): Promise<Objects> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(
      files.map(async (file): Promise<[string, Buffer]> => [
        path.relative(folder, file),
        await readFile(file),
      ]),
    ),
  );
}

/** The folder holds these and nothing else. */
async function writeObjects(folder: string, objects: Objects): Promise<void> {
  await rm(folder, { recursive: true });
  for (const [name, bytes] of objects) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }
}
