import type { PoolClient } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { planPrune, removeBackup } from '../../src/backup/prune.js';
import type { BackupStore } from '../../src/backup/store/store.js';
import { type BackupId, MANIFEST_NAME, backupFolder } from '../../src/domain/backups.js';
import { listAudit, verifyAudit } from '../../src/registry/audit.js';
import { getBackup, lockCompleteBackup } from '../../src/registry/backups.js';
import { type Pool, transaction } from '../../src/registry/database.js';
import { type StoreWorld, folderWorld } from '../support/backupStores.js';
import { Mortal } from '../support/crashing.js';
import { OBJECTS, madeBackup } from '../support/madeBackups.js';
import {
  type Life,
  type TestRegistry,
  makeIngest,
  makeTenant,
  startTestRegistry,
} from '../support/registry.js';

let registry: TestRegistry;
let world: StoreWorld;
beforeAll(async () => {
  registry = await startTestRegistry();
  world = await folderWorld();
});
afterAll(async () => {
  await registry?.stop();
});

/** Each statement is a step; a transaction whose process is killed is undone by the server. */
function mortalPool(mortal: Mortal): Pool {
  const stepping = <T extends Pool | PoolClient>(target: T): T =>
    new Proxy(target, {
      get: (of, key) => {
        const value: unknown = Reflect.get(of, key);
        if (key === 'query')
          return (...args: [string]) => mortal.step(() => (of as PoolClient).query(...args));
        if (key === 'connect') return async () => stepping(await (of as Pool).connect());
        return typeof value === 'function' ? (value.bind(of) as unknown) : value;
      },
    });
  return stepping(registry.pool);
}

function mortalStore(mortal: Mortal): BackupStore {
  const { store } = world;
  return {
    location: store.location,
    put: () => Promise.reject(new Error('a prune stores nothing')),
    get: () => {
      throw new Error('a prune reads nothing');
    },
    head: (path) => mortal.step(() => store.head(path)),
    async *list(folder) {
      await mortal.step(() => undefined);
      yield* store.list(folder);
    },
    remove: (path) => mortal.step(() => store.remove(path)),
    sweep: (folder, olderThanMs) => mortal.step(() => store.sweep(folder, olderThanMs)),
    close: async () => undefined,
  };
}

/** A worker's whole prune. */
async function prune(life: Life, operation: Life['createOperation'], mortal: Mortal): Promise<number> {
  const verdicts = await planPrune(registry.pool, life.tenant, { last: 1 }, new Date('2026-11-28T00:00:00Z'));
  const going = verdicts.filter(({ verdict }) => verdict === 'remove').toReversed();
  const open = async () => mortalStore(mortal);
  for (const { backup, reasons } of going)
    await removeBackup(mortalPool(mortal), open, {
      ...{ backup, why: reasons.join() },
      by: { operation, principal: 'tests', reason: 'nightly' },
    });
  return going.length;
}

async function objectsOf(life: Life, backup: BackupId): Promise<string[]> {
  const folder = backupFolder(life.tenant, backup);
  const paths: string[] = [];
  for await (const { path } of world.store.list(folder)) paths.push(path.slice(folder.length + 1));
  return paths;
}

async function audited(life: Life, backup: BackupId): Promise<string[]> {
  const rows = await listAudit(registry.pool, { tenant: life.tenant, limit: 100 });
  return rows
    .filter((row) => (row.detail as { backup?: string }).backup === backup)
    .map(({ outcome }) => outcome)
    .toReversed();
}

test('a prune that is killed at any step is gone on with, and nobody restores from what it has begun on', async () => {
  const { pool } = registry;
  for (let at = 1; ; at++) {
    const life = await makeTenant(pool);
    const operation = await makeIngest(pool, life);
    const failed = await madeBackup(pool, life, world.store, { at: '2026-11-01T00:00:00Z', state: 'failed' });
    const old = await madeBackup(pool, life, world.store, { at: '2026-11-02T00:00:00Z' });
    const newest = await madeBackup(pool, life, world.store, { at: '2026-11-03T00:00:00Z' });
    const mortal = new Mortal(at);
    const ended = await prune(life, operation, mortal).then(
      () => true,
      (error: unknown) => {
        expect(error).toEqual(new Error('killed'));
        return false;
      },
    );
    if (ended) {
      expect(mortal.steps).toBeGreaterThan(40);
      break;
    }

    const left = await objectsOf(life, old);
    const usable = await transaction(pool, (tx) => lockCompleteBackup(tx, old)).then(
      () => true,
      () => false,
    );
    if (usable) expect(left).toHaveLength(OBJECTS.length + 1);
    if (left.length < OBJECTS.length + 1) expect(left).not.toContain(MANIFEST_NAME);

    await prune(life, operation, new Mortal());
    expect(await prune(life, operation, new Mortal())).toBe(0);
    for (const backup of [failed, old]) {
      expect(await objectsOf(life, backup)).toEqual([]);
      expect((await getBackup(pool, backup)).state).toBe('removed');
      expect(await audited(life, backup)).toEqual(['started', 'completed']);
    }
    expect(await objectsOf(life, newest)).toHaveLength(OBJECTS.length + 1);
    expect((await getBackup(pool, newest)).state).toBe('complete');
  }
  expect(await verifyAudit(pool)).not.toHaveProperty('brokenAt');
});
