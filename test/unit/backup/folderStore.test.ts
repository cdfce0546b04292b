import { spawnSync } from 'node:child_process';
import { mkdir, readFile, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import { text } from 'node:stream/consumers';
import path from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { openStore } from '../../../src/backup/store/open.js';
import type { BackupStore } from '../../../src/backup/store/store.js';
import { folderWorld, inPieces, listed, place, read, slowly } from '../../support/backupStores.js';
import { typescriptChild } from '../../support/typescriptChild.js';
import { collect, temporaryFolder } from '../../support/videos.js';

const at = place('acme/b/documents/part.zst');
let world: Awaited<ReturnType<typeof folderWorld>>;
let store: BackupStore;
beforeEach(async () => {
  world = await folderWorld();
  store = world.store;
});
const inRoot = (...names: string[]) => path.join(world.root, ...names);
const mode = async (...names: string[]) => (await stat(inRoot(...names))).mode & 0o777;

/** Each call that may touch what is planted, and what must not have happened after it. */
const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
  ['put', () => store.put(at, Buffer.from('ours'))],
  ['get', () => read(store, at)],
  ['head', () => store.head(at)],
  ['list', () => collect(store.list())],
  ['remove', () => store.remove(at)],
];

describe('links', () => {
  const depths = [['acme'], ['acme', 'b'], ['acme', 'b', 'documents'], at.split('/')];
  it.each(depths.map((names) => [names.join('/'), names] as const))(
    'planted at %s are refused by name, and what they lead to is neither read, changed nor removed',
    async (planted, names) => {
      const outside = await temporaryFolder();
      const below = path.join(outside, ...at.split('/').slice(names.length));
      const secret = names.length === 4 ? path.join(outside, 'secret') : below;
      await mkdir(path.dirname(secret), { recursive: true });
      await writeFile(secret, 'of globex');
      await mkdir(inRoot(...names.slice(0, -1)), { recursive: true });
      await symlink(names.length === 4 ? secret : outside, inRoot(...names));
      for (const [, call] of calls)
        await expect(call()).rejects.toMatchObject({
          type: 'Rejected',
          message: `"${planted}" in the backup store is a symbolic link`,
          hint: expect.any(String),
        });
      await store.sweep(place('acme'), 0).catch(() => undefined);
      expect(await readFile(secret, 'utf8')).toBe('of globex');
      expect((await readdir(outside, { recursive: true })).length).toBe(
        path.relative(outside, secret).split('/').length,
      );
      expect(await world.leftovers()).toEqual([]);
    },
  );

  it('that lead nowhere, or to a file of the same store, are refused too', async () => {
    await store.put(place('acme/other'), Buffer.from('x'));
    for (const target of ['nowhere', inRoot('acme/other')]) {
      await mkdir(inRoot('acme/b/documents'), { recursive: true });
      await symlink(target, inRoot(at));
      for (const [, call] of calls) await expect(call()).rejects.toMatchObject({ type: 'Rejected' });
      await rm(inRoot(at));
    }
    expect((await read(store, place('acme/other'))).toString()).toBe('x');
  });

  it('planted while a put runs lead it nowhere', async () => {
    const outside = await temporaryFolder();
    const plant = async () => {
      spawnSync('mv', [inRoot('acme'), inRoot('moved')]);
      await symlink(outside, inRoot('acme'));
    };
    await store.put(at, slowly(1, plant));
    expect(await readdir(outside)).toEqual([]);
    expect((await stat(inRoot('moved/b/documents/part.zst'))).size).toBe(1 << 20);
  });

  it('may be the root itself or above it, which the operator names', async () => {
    const link = path.join(await temporaryFolder(), 'link');
    await symlink(world.root, link);
    const linked = await openStore(link, { s3Endpoint: '' });
    await linked.put(at, Buffer.from('x'));
    expect((await read(store, at)).toString()).toBe('x');
    const deeper = await openStore(`file://${link}/deeper`, { s3Endpoint: '' });
    await deeper.put(at, Buffer.from('y'));
    expect(await listed(store)).toEqual([at, `deeper/${at}`]);
    expect(deeper.location).toBe(`file://${world.root}/deeper`);
  });

  it('that take the place of the root are refused', async () => {
    const outside = await temporaryFolder();
    await rm(world.root, { recursive: true });
    await symlink(outside, world.root);
    for (const [, call] of calls) await expect(call()).rejects.toMatchObject({ type: 'Rejected' });
    expect(await readdir(outside)).toEqual([]);
  });
});

describe('what is no file', () => {
  it.each([
    ['a pipe', async (file: string) => void spawnSync('mkfifo', [file])],
    ['a folder', (file: string) => mkdir(file)],
    ['a socket', (file: string) => vi.waitFor(() => net.createServer().listen(file).unref())],
  ])('is refused at once: %s', async (what, plant) => {
    await mkdir(inRoot('acme/b/documents'), { recursive: true });
    // The path of a socket is short.
    const cwd = process.cwd();
    process.chdir(inRoot('acme/b/documents'));
    await plant('part.zst');
    process.chdir(cwd);
    for (const [name, call] of calls) {
      if (name === 'list' && what === 'a folder') continue;
      await expect(call()).rejects.toMatchObject({
        type: 'Rejected',
        message: `"${at}" in the backup store is no file`,
      });
    }
  });

  it('is refused in a folder’s place', async () => {
    await writeFile(inRoot('acme'), 'x');
    for (const [name, call] of calls)
      if (name !== 'list')
        await expect(call()).rejects.toMatchObject({ message: '"acme" in the backup store is no folder' });
  });

  it('is passed over when no store could have made its name', async () => {
    await store.put(at, Buffer.from('x'));
    await writeFile(inRoot('.DS_Store'), 'x');
    await writeFile(inRoot('acme', 'a b'), 'x');
    await symlink('/etc', inRoot('.link'));
    expect(await listed(store)).toEqual([at]);
  });
});

describe('the folder', () => {
  it('and all in it are for its user alone, and go with the last object in them', async () => {
    const other = place('acme/b/manifest.json');
    await store.put(at, Buffer.from('x'));
    await store.put(other, Buffer.from('{}'));
    for (const folder of ['acme', 'acme/b', 'acme/b/documents']) expect(await mode(folder)).toBe(0o700);
    expect(await mode(at)).toBe(0o600);
    await store.remove(at);
    expect(await readdir(inRoot('acme/b'))).toEqual(['manifest.json']);
    await store.remove(other);
    expect(await readdir(world.root)).toEqual([]);
  });

  it('is made by the first put, but not the one above it', async () => {
    const made = await openStore(inRoot('new'), { s3Endpoint: '' });
    expect(await listed(made)).toEqual([]);
    expect(await made.head(at)).toBeUndefined();
    await made.put(at, Buffer.from('x'));
    expect(await mode('new')).toBe(0o700);
    const unmounted = await openStore(inRoot('no/such'), { s3Endpoint: '' });
    await expect(unmounted.put(at, Buffer.from('x'))).rejects.toMatchObject({
      type: 'NotFound',
      hint: 'make the folder above it, or mount the disk it is on',
    });
    expect(await readdir(world.root)).toEqual(['new']);
  });

  it('may be tidied while others write into it', async () => {
    const names = Array.from({ length: 40 }, (_, i) => place(`acme/b/documents/${i}`));
    await Promise.all(
      names.map(async (name) => {
        await store.put(name, Buffer.from(name));
        await store.remove(name);
        await store.put(name, Buffer.from(name));
      }),
    );
    expect(new Set(await listed(store))).toEqual(new Set(names));
  });

  it('loses no put that runs to a sweep, unless it has stood still', async () => {
    await store.put(
      at,
      slowly(2, () => store.sweep(place('acme'), 60_000)),
    );
    const stale = async () => {
      const [name] = await world.leftovers();
      await utimes(inRoot(name!), 0, 0);
      await store.sweep(place('acme'), 60_000);
    };
    await expect(store.put(at, slowly(1, stale))).rejects.toMatchObject({ name: 'StoreUnavailable' });
    expect((await store.head(at))!.size).toBe(2 << 20);
  });

  it('says when a file is changed by someone else while it is read', async () => {
    await store.put(at, inPieces(Buffer.alloc(1 << 20, 'a')));
    const reading = async () => {
      for await (const piece of store.get(at)) if (piece.length) await writeFile(inRoot(at), 'short');
    };
    await expect(reading()).rejects.toMatchObject({ type: 'Conflict' });
  });
});

describe('without room', () => {
  /** A small file system of one's own; where no user may mount one, files that may not grow. */
  const mount = 'mount -t tmpfs -o size=3m none "$0" && exec "$@"';
  const ways: readonly (readonly string[])[] = [
    ['unshare', '--mount', 'sh', '-c', mount],
    ['unshare', '--mount', '--map-root-user', 'sh', '-c', mount],
    ['sudo', '-n', 'unshare', '--mount', 'sh', '-c', mount],
  ];
  const limit = ['sh', '-c', 'ulimit -f 4096 && exec "$@"'];
  const script = `
    import { readdir } from 'node:fs/promises';
    import { openStore } from '@/src/backup/store/open.ts';
    const [folder] = process.argv.slice(1);
    const store = await openStore(folder, { s3Endpoint: '' });
    await store.put('acme/small', Buffer.alloc(100_000, 1));
    const tell = (error) => ({ name: error.name, how: error.how, message: error.message });
    const failed = [];
    for (let i = 0; i < 3; i++) failed.push(await store.put('acme/small', Buffer.alloc(9_000_000)).catch(tell));
    const left = await readdir(folder, { recursive: true });
    const { size } = await store.head('acme/small');
    await store.put('acme/other', Buffer.alloc(1_000_000));
    console.log(JSON.stringify({ failed, left, size }));`;

  const works = ([command, ...args]: readonly string[]) =>
    spawnSync(command!, [...args, os.tmpdir(), 'true']).status === 0;

  it.each([
    ['on the disk', ways.find(works) ?? limit],
    ['for a file', limit],
  ])('%s says so, keeps the former object, and leaves the room that it took', async (_, way) => {
    const child = typescriptChild(script, [world.root], [...way, world.root]);
    const said = JSON.parse(await text(child.stdout!)) as Record<string, unknown>;
    const failed = {
      name: 'StoreUnavailable',
      how: 'full',
      message: expect.stringMatching(/^no room in the backup store for "acme\/small" \((ENOSPC|EFBIG)\)$/),
    };
    expect(said).toEqual({ failed: [failed, failed, failed], left: ['acme', 'acme/small'], size: 100_000 });
  });
});
