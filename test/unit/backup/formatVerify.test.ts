import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { backupFolder, parseBackupId, parseStorePath } from '../../../src/domain/backups.js';
import { OpsError } from '../../../src/domain/errors.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import { keyEncryptionKey, newDataKey } from '../../../src/backup/format/keys.js';
import { writeManifest } from '../../../src/backup/format/manifest.js';
import { writePart } from '../../../src/backup/format/writePart.js';
import { type VerifyOptions, verifyBackup } from '../../../src/backup/verify.js';
import { IdsOnce } from '../../../src/backup/verify/idsOnce.js';
import { MUTATIONS, type Objects } from '../../support/backupMutations.js';
import { MemoryStore } from '../../support/memoryStore.js';
import {
  BACKUP,
  FRAMES,
  TENANT,
  document,
  linesOf,
  manifestOf,
  signingKey,
  trustedKeys,
  writeBackup,
} from './formatFixtures.js';

const folder = backupFolder(TENANT, BACKUP);
const otherBackup = parseBackupId('20261127T154500Z-00000001');
const key = keyEncryptionKey(randomBytes(32));
const encryption = newDataKey(key, { tenant: TENANT, backup: BACKUP });

const verify = (store: MemoryStore, options: Partial<VerifyOptions> = {}) =>
  verifyBackup({ store, folder }, { trustedKeys, key, ...options });
const written = async (options: Omit<Parameters<typeof writeBackup>[0], 'store'> = {}) => {
  const store = new MemoryStore();
  return { store, ...(await writeBackup({ store, ...options })) };
};

describe('a whole backup', () => {
  it.each([
    ['plain', {}],
    ['encrypted', { encryption }],
  ])('is good: %s', async (_, options) => {
    const { store, manifest } = await written(options);
    const progress: number[] = [];
    const verdict = await verify(store, { onProgress: ({ parts }) => progress.push(parts) });
    expect(verdict).toEqual({
      ok: true,
      errors: [],
      parts: 11,
      documents: 12,
      bytes: manifest.parts.reduce((sum, part) => sum + part.size, 0),
      manifest,
      keyId: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    });
    expect(progress.at(-1)).toBe(11);
  });

  it('is good in another place, when the store is nothing else, and not as another backup', async () => {
    const { store } = await written({ encryption });
    const copy = new MemoryStore();
    for (const [path, bytes] of store.objects) copy.objects.set(path.slice(folder.length + 1), bytes);
    expect(await verifyBackup({ store: copy, folder: undefined }, { trustedKeys, key })).toMatchObject({
      ok: true,
    });
    const renamed = new MemoryStore();
    const at = backupFolder(TENANT, otherBackup);
    for (const [path, bytes] of store.objects) renamed.objects.set(path.replace(folder, at), bytes);
    expect(await verifyBackup({ store: renamed, folder: at }, { trustedKeys, key })).toMatchObject({
      ok: false,
      errors: [expect.stringContaining('another backup') as string],
    });
  });

  it('is read in samples that together are all of it', async () => {
    const { store } = await written({ documents: 40 });
    const verdicts = [];
    for (const n of [1, 2, 3]) verdicts.push(await verify(store, { sample: { n, t: 3 } }));
    expect(verdicts.every(({ ok }) => ok)).toBe(true);
    expect(verdicts.reduce((sum, { parts }) => sum + parts, 0)).toBe(11);
    expect(verdicts.reduce((sum, { documents }) => sum + documents, 0)).toBe(80);
    await expect(verify(store, { sample: { n: 4, t: 3 } })).rejects.toMatchObject({ type: 'InvalidInput' });
  });

  it('says which key it needs', async () => {
    const { store } = await written({ encryption });
    for (const wrong of [undefined, keyEncryptionKey(randomBytes(32))])
      await expect(verify(store, { key: wrong })).rejects.toThrow(`encrypted with key ${key.id}`);
  });
});

describe('a backup that is not as it was written', () => {
  const whole = new Map<boolean, Objects>();
  let other: { objects: Objects; prefix: string };
  beforeAll(async () => {
    whole.set(false, (await written()).store.objects);
    whole.set(true, (await written({ encryption })).store.objects);
    // A day older, and of a tenant whose documents differ.
    const older = await written({ backup: otherBackup, documents: 5 });
    other = { objects: older.store.objects, prefix: `${older.place.folder}/` };
  });

  it('is refused, all of 1,000 mutations', async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(MUTATIONS)),
        fc.boolean(),
        fc.infiniteStream(fc.nat()),
        async (name, encrypted, numbers) => {
          const store = new MemoryStore();
          const original = whole.get(encrypted)!;
          for (const [path, bytes] of original) store.objects.set(path, bytes);
          const pick = (n: number) => (numbers.next().value as number) % n;
          MUTATIONS[name]!({ objects: store.objects, prefix: `${folder}/`, other, signingKey, pick });
          fc.pre(!same(original, store.objects));
          seen.set(name, (seen.get(name) ?? 0) + 1);
          await expectRefused(() => verify(store));
        },
      ),
      { numRuns: 1000, seed: 20261128 },
    );
    expect([...seen.keys()].toSorted()).toEqual(Object.keys(MUTATIONS).toSorted());
  }, 120_000);
});

describe('a signed backup that contradicts itself', () => {
  const schema = `${FRAMES}_acme_corp`;
  const good = Array.from({ length: 6 }, (_, i) => document(schema, 'content', `v_seg_${i}`));

  it.each([
    [
      'a document twice',
      [...good.slice(0, 5), good[0]!.replace('deadbeef', 'deadbeee')],
      'that occur twice: 1',
    ],
    [
      "another tenant's document",
      [...good.slice(0, 5), document(`${FRAMES}_x`, 'content', 'a')],
      'it is none of',
    ],
    ['a removal', [...good.slice(0, 5), `{"remove":"id:content:${schema}::x"}`], 'it is no {"put"'],
    [
      'fields that end early',
      [...good.slice(0, 5), `{"put":"id:content:${schema}::x","fields":{},"if":{}}`],
      'JSON',
    ],
    ['half a number', [...good.slice(0, 5), `{"put":"id:content:${schema}::x","fields":{"a":1.}}`], 'JSON'],
    [
      'bytes that are not UTF-8',
      [...good.slice(0, 5), Buffer.from(good[5]!.replace('é', '\xff'), 'latin1')],
      'JSON',
    ],
  ])('is refused: %s', async (_, lines, why) => {
    const { store, place, manifest } = await written();
    const part = await writePart(place, { kind: 'documents', base: FRAMES, index: 0 }, linesOf(...lines));
    store.objects.delete(`${folder}/documents/${FRAMES}/part-00001.jsonl.zst`);
    const parts = [...manifest.parts.filter(({ kind }) => kind !== 'documents'), part];
    await writeManifest(place, manifestOf(parts, { ...manifest, encryption: null }), signingKey);
    const { ok, errors } = await verify(store);
    expect(ok).toBe(false);
    expect(errors).toEqual([expect.stringContaining(why) as string]);
    expect(errors[0]).toContain(part.path);
  });

  it('finds a document twice in two parts, and ids twice among many in several goes', async () => {
    const { store, place, manifest } = await written();
    const again = await writePart(place, { kind: 'documents', base: FRAMES, index: 2 }, linesOf(good[5]!));
    const parts = [...manifest.parts, again];
    await writeManifest(place, manifestOf(parts, { ...manifest, encryption: null }), signingKey);
    expect((await verify(store)).errors).toEqual([expect.stringContaining('that occur twice: 1')]);

    const all = Array.from({ length: 5000 }, (_, i) => `id:content:${schema}::${i}`);
    for (const twice of [0, 3]) {
      const ids = new IdsOnce(5000 + twice, 600);
      let found = 0;
      let passes = 0;
      for (let again = true; again; passes++) {
        for (const id of [...all, ...all.slice(0, twice)]) ids.add(id);
        const end = ids.endPass();
        found += end.twice;
        again = end.again;
      }
      expect({ found, passes }).toEqual({ found: twice, passes: 9 });
    }
  });
});

describe('a store that does not answer', () => {
  it('is no verdict', async () => {
    const { store } = await written();
    const get = store.get.bind(store);
    store.get = async function* (path) {
      if (path.includes('memory/')) throw new OpsError('Unavailable', 'no answer');
      yield* get(path);
    };
    await expect(verify(store)).rejects.toMatchObject({ type: 'Unavailable' });
    store.get = async function* (path) {
      if (path.includes('memory/')) throw new OpsError('InvalidInput', `${path} is a symbolic link`);
      yield* get(path);
    };
    expect(await verify(store)).toMatchObject({ ok: false, parts: 9 });
    await expect(verify(store, { signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop');
  });

  it('has no backup without a manifest', async () => {
    const { store } = await written();
    await store.remove(parseStorePath(`${folder}/manifest.json`));
    await expect(verify(store)).rejects.toMatchObject({ type: 'NotFound' });
    const nobody = { store, folder: backupFolder(parseTenantId('globex_inc'), BACKUP) };
    await expect(verifyBackup(nobody, { trustedKeys })).rejects.toMatchObject({ type: 'NotFound' });
  });
});

async function expectRefused(run: () => ReturnType<typeof verifyBackup>): Promise<void> {
  try {
    const { ok, errors } = await run();
    expect(ok).toBe(false);
    expect(errors.length).toBeGreaterThan(0);
  } catch (error) {
    // Without a manifest there is no backup.
    if (!(error instanceof OpsError) || error.type !== 'NotFound') throw error;
  }
}

function same(a: Objects, b: Objects): boolean {
  const digest = (objects: Objects) => {
    const hash = createHash('sha256');
    for (const path of [...objects.keys()].toSorted())
      hash.update(`${path}\n${objects.get(path)!.length}\n`).update(objects.get(path)!);
    return hash.digest('hex');
  };
  return digest(a) === digest(b);
}
