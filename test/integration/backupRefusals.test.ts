import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadSigningKey } from '../../src/certificates/keys.js';
import { CvopsClient } from '../../src/client/index.js';
import type { BackupTenantResult } from '../../src/contracts/backupOperations.js';
import { parseBackupId } from '../../src/domain/backups.js';
import { OpsError } from '../../src/domain/errors.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { MUTATIONS, type Objects } from '../support/backupMutations.js';
import { BackupWorld, FRAMES, PROFILES, backUp, flip, folderOf, manifestIn } from '../support/backups.js';
import { cvops, cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const id = freshTenant('refused');
let world: BackupWorld;
let client: CvopsClient;
let backups: readonly [BackupTenantResult, BackupTenantResult];

beforeAll(async () => {
  world = new BackupWorld();
  client = await CvopsClient.connect(stackSettings());
  await cvopsJson(['tenant', 'create', id, '--template', 'trial', ...PROFILES]);
  await world.fillOddly(id, { traces: 4 });
  backups = [await backUp(id, '--consistency', 'fuzzy'), await backUp(id, '--consistency', 'fuzzy')];
});
afterAll(async () => {
  await client?.close();
  await world?.close();
});

const stillOpen = { state: 'active', fence: null, unfinishedRestore: null, purgeAt: null };

test('a backup that is not there, and a tenant that is not: exit 5; what is no id: exit 2', async () => {
  for (const verb of ['verify', 'restore'])
    expect((await cvops('backup', verb, '20200101T000000Z-00000000')).code).toBe(5);
  expect((await cvops('backup', 'create', freshTenant('nobody'))).code).toBe(5);
  expect((await cvops('backup', 'drill', freshTenant('nobody'))).code).toBe(5);
  for (const text of ['latest', '20200101T000000Z', ''])
    expect((await cvops('backup', 'restore', text)).code).toBe(2);
  expect((await cvops('backup', 'verify', path.join(folderOf(backups[0]), 'documents'))).code).toBe(5);
});

test('a restore while an ingest runs: exit 6, naming it, and the ingest goes on', async () => {
  const clips = await temporaryFolder();
  await makeVideo(path.join(clips, 'one.mp4'), { seconds: 2 });
  const { operation } = await cvopsJson<{ operation: string }>([
    ...['ingest', id, clips, '--profile', FRAMES, '--no-wait'],
  ]);
  // Paused, it runs for as long as it is looked at.
  await expect.poll(async () => (await cvops('op', 'pause', operation)).code).toBe(0);
  const result = await cvops(
    'backup',
    'restore',
    backups[0].backup,
    '--replace',
    '--confirm',
    id,
    '-o',
    'json',
  );
  expect(result.code).toBe(6);
  expect(errorOf(result)).toMatchObject({
    code: 'WrongState',
    hint: `let it end, or end it with: cvops op cancel ${operation}`,
  });
  expect(errorOf(result).message).toContain(operation);
  await cvopsJson(['op', 'resume', operation]);
  expect(await cvopsJson(['op', 'watch', operation])).toMatchObject({ state: 'completed' });
  expect(await world.tenant(id)).toMatchObject(stillOpen);
});

describe('a backup that is not what was written', () => {
  let pristine: readonly [Objects, Objects];
  beforeAll(async () => {
    pristine = [await objectsOf(folderOf(backups[0])), await objectsOf(folderOf(backups[1]))];
  });

  test.each(Object.entries(MUTATIONS))('%s: refused before the first write', async (_, mutate) => {
    const before = await world.everythingOf(id);
    const [folder, objects] = [folderOf(backups[0]), new Map(pristine[0])];
    mutate({
      ...{ objects, prefix: '', other: { objects: pristine[1], prefix: '' } },
      signingKey: await loadSigningKey(stackSettings().certificateKey),
      pick: (n) => n >> 1,
    });
    await writeObjects(folder, objects);
    try {
      const how = { replace: true, preview: false, overrideQuarantine: false, reason: '' };
      const backup = parseBackupId(backups[0].backup);
      const error = await client.backups
        .restore({ backup, ...how })
        .then((handle) => handle.result())
        .then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
      expect(error).toBeInstanceOf(OpsError);
      expect(error).toMatchObject({
        type: expect.stringMatching(/^(VerificationFailed|NotFound)$/) as string,
      });
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
