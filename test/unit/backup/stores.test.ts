import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type StoreWorld,
  folderWorld,
  inPieces,
  listed,
  place,
  read,
  s3World,
  slowly,
} from '../../support/backupStores.js';
import { type S3Server, startS3 } from '../../support/s3.js';
import { typescriptChild } from '../../support/typescriptChild.js';
import { collect } from '../../support/videos.js';

let s3: S3Server;
let worlds = 0;
beforeAll(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'tests');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'never-to-be-shown');
  s3 = await startS3('backups');
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await s3.stop();
});

const MiB = 1 << 20;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const at = place('acme_corp/20261128T154500Z-3f9a1c2b/documents/part-00000.jsonl.zst');

describe.each([
  ['folder', () => folderWorld()],
  ['S3', () => s3World(s3, 'backups', `world-${worlds++}`)],
])('a %s store', (_, start: () => Promise<StoreWorld>) => {
  let world: StoreWorld;
  beforeEach(async () => {
    s3.uploads.open.clear();
    world = await start();
    return () => world.store.close();
  });

  it.each([0, 1, 300_000, 8 * MiB - 1, 8 * MiB, 8 * MiB + 1, 20 * MiB])(
    'gives back %d bytes as they were, and confirms their digest',
    async (size) => {
      const bytes = randomBytes(size);
      const before = Date.now();
      const expected = { size, sha256: sha256(bytes) };
      expect(await world.store.put(at, inPieces(bytes))).toEqual(expected);
      expect(bytes.equals(await read(world.store, at))).toBe(true);
      const found = await world.store.head(at);
      expect(found).toMatchObject({ path: at, size });
      expect(Math.abs(found!.modifiedAt.getTime() - before)).toBeLessThan(60_000);
      expect(await collect(world.store.list())).toMatchObject([{ path: at, size }]);
      expect(await world.store.put(at, bytes)).toEqual(expected);
      expect(await world.leftovers()).toEqual([]);
    },
  );

  it('shows the former object until the new one is whole', async () => {
    const former = Buffer.from('former');
    await world.store.put(at, former);
    const seen = vi.fn();
    const look = async () => {
      seen(
        (await read(world.store, at)).toString(),
        (await world.store.head(at))!.size,
        await listed(world.store),
      );
    };
    const { size } = await world.store.put(at, slowly(18, look));
    expect(seen).toHaveBeenCalledExactlyOnceWith('former', 6, [at]);
    expect(size).toBe(18 * MiB);
    expect((await read(world.store, at)).length).toBe(18 * MiB);
  });

  it.each([0, 1, 9, 26])(
    'leaves the former object and nothing else when a body fails after %d MiB',
    async (mib) => {
      await world.store.put(at, Buffer.from('former'));
      const failure = new Error('the source broke off');
      await expect(
        world.store.put(
          at,
          slowly(mib, () => Promise.reject(failure)),
        ),
      ).rejects.toBe(failure);
      expect((await read(world.store, at)).toString()).toBe('former');
      expect(await listed(world.store)).toEqual([at]);
      expect(await world.leftovers()).toEqual([]);
    },
  );

  it('says what is not there, and removes it with success', async () => {
    await expect(read(world.store, at)).rejects.toMatchObject({ type: 'NotFound' });
    expect(await world.store.head(at)).toBeUndefined();
    expect(await listed(world.store)).toEqual([]);
    await world.store.remove(at);
    await world.store.put(at, Buffer.from('x'));
    await world.store.remove(at);
    await world.store.remove(at);
    expect(await world.store.head(at)).toBeUndefined();
    expect(await listed(world.store)).toEqual([]);
    await world.store.sweep(place('acme_corp'), 0);
    await world.store.put(at, Buffer.from('again'));
    expect((await read(world.store, at)).toString()).toBe('again');
  });

  it('lists in the order of bytes, a folder and no other whose name begins alike', async () => {
    const name = fc.constantFrom('a', 'b', 'a-b', 'a.b', 'a_b', 'A', '0', 'aa');
    const file = fc.constantFrom('x.json', 'x-y', 'x_', 'X', 'x.', '9');
    const paths = fc.uniqueArray(
      fc.tuple(fc.array(name, { maxLength: 2 }), file).map(([folders, last]) => [...folders, last].join('/')),
      { minLength: 1, maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(paths, async (all) => {
        const { store } = await start();
        for (const path of all) await store.put(place(path), Buffer.from(path));
        const ordered = all.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
        expect(await listed(store)).toEqual(ordered);
        for (const folder of ['a', 'a/b', 'nothing'])
          expect(await listed(store, place(folder))).toEqual(
            ordered.filter((path) => path.startsWith(`${folder}/`)),
          );
        await store.close();
      }),
      { numRuns: 12 },
    );
  });

  it('makes one whole object of concurrent puts of one name, each of which succeeds', async () => {
    const bodies = [1, 2, 9 * MiB, 9 * MiB, 3].map((size) => randomBytes(size));
    const put = await Promise.all(bodies.map((bytes) => world.store.put(at, inPieces(bytes))));
    expect(put.map((one) => one.sha256)).toEqual(bodies.map(sha256));
    expect(bodies.map(sha256)).toContain(sha256(await read(world.store, at)));
    expect(await world.leftovers()).toEqual([]);
  });

  it('ends each call with its signal', async () => {
    const { store } = world;
    const enough = new Error('enough');
    const over = { signal: AbortSignal.abort(enough) };
    await store.put(at, randomBytes(9 * MiB));
    await expect(store.put(at, Buffer.from('x'), over)).rejects.toBe(enough);
    await expect(read(store, at, over)).rejects.toBe(enough);
    await expect(store.head(at, over)).rejects.toBe(enough);
    await expect(store.remove(at, over)).rejects.toBe(enough);
    await expect(store.sweep(place('acme_corp'), 0, over)).rejects.toBe(enough);
    await expect(collect(store.list(undefined, over))).rejects.toBe(enough);
    const inPut = new AbortController();
    const body = slowly(12, async () => inPut.abort(enough));
    await expect(store.put(at, body, { signal: inPut.signal })).rejects.toBe(enough);
    for (const mib of [1, 12]) {
      const inWait = new AbortController();
      const hanging = slowly(mib, () => {
        setImmediate(() => inWait.abort(enough));
        return new Promise(() => undefined);
      });
      await expect(store.put(at, hanging, { signal: inWait.signal })).rejects.toBe(enough);
    }
    const inGet = new AbortController();
    const reading = async () => {
      for await (const piece of store.get(at, { signal: inGet.signal }))
        if (piece.length) inGet.abort(enough);
    };
    await expect(reading()).rejects.toBe(enough);
    expect((await store.head(at))!.size).toBe(9 * MiB);
    expect(await world.leftovers()).toEqual([]);
  });

  it('shows nothing of a put whose process was killed, and sweeps it away when it is old', async () => {
    await world.store.put(at, Buffer.from('former'));
    const script = `
      import { openStore } from '@/src/backup/store/open.ts';
      const [text, s3Endpoint, path] = process.argv.slice(1);
      const store = await openStore(text, { s3Endpoint });
      async function* body() {
        for (let i = 0; i < 20; i++) yield Buffer.alloc(1 << 20, i);
        console.log('written');
        setInterval(() => undefined, 1000);
        await new Promise(() => undefined);
      }
      await store.put(path, body());`;
    const child = typescriptChild(script, [world.text, world.s3Endpoint, at]);
    await once(child.stdout!, 'data');
    await vi.waitFor(async () => expect(await world.leftovers()).toHaveLength(1));
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await read(world.store, at)).toString()).toBe('former');
    expect(await listed(world.store)).toEqual([at]);
    await world.store.sweep(place('acme_corp'), 3_600_000);
    await world.store.sweep(place('acme'), 0);
    expect(await world.leftovers()).toHaveLength(1);
    await world.store.sweep(place('acme_corp'), 0);
    expect(await world.leftovers()).toEqual([]);
    expect((await read(world.store, at)).toString()).toBe('former');
  });
});
