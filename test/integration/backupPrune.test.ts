import { mkdir, rename, rmdir, writeFile } from 'node:fs/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPruneActivities, createRemovalActivities } from '../../activities/prune.js';
import { type BackupId, MANIFEST_NAME, backupFolder, within } from '../../src/domain/backups.js';
import { type OperationId, parseTenantId } from '../../src/domain/ids.js';
import type { KeepPolicy } from '../../src/domain/keepPolicy.js';
import type { OperationKind } from '../../src/domain/states.js';
import { holdBackup, releaseBackup } from '../../src/registry/backupKeeping.js';
import { getBackup, lockCompleteBackup, noteVerified } from '../../src/registry/backups.js';
import { type Pool, transaction } from '../../src/registry/database.js';
import { finishOperation, getOperation, startOperation } from '../../src/registry/operations.js';
import { beginPurging, endLives } from '../../src/registry/retention.js';
import { folderWorld } from '../support/backupStores.js';
import { OBJECTS, countObjects, madeBackup } from '../support/madeBackups.js';
import {
  type Life,
  type TestRegistry,
  atOnce,
  makeTenant,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';

let registry: TestRegistry;
let pool: Pool;
let world: Awaited<ReturnType<typeof folderWorld>>;
beforeAll(async () => {
  registry = await startTestRegistry();
  pool = registry.pool;
  world = await folderWorld();
});
afterAll(async () => {
  await registry?.stop();
});

const day = (n: number) => `2026-11-${String(n).padStart(2, '0')}T01:00:00Z`;
const made = (life: Life, n: number, state?: 'failed' | 'running', store = world.store) =>
  madeBackup(pool, life, store, { at: day(n), ...(state ? { state } : {}) });

function activities() {
  const settings = { s3Endpoint: '' };
  return { ...createPruneActivities({ pool }), ...createRemovalActivities({ pool, settings }) };
}
type Activities = ReturnType<typeof activities>;

/** As a worker calls it. */
const call = <R>(run: (all: Activities) => Promise<R>): Promise<R> =>
  new MockActivityEnvironment({ heartbeatTimeoutMs: 20_000 }, { logger: new DefaultLogger('ERROR') }).run(
    () => run(activities()),
  );

async function begun({ tenant }: Life, policy: KeepPolicy = { last: 1 }): Promise<OperationId> {
  const operation = newOperation();
  const by = { principal: 'tests', reason: 'nightly' };
  await call((all) => all.beginPrune({ tenant, operation, policy, ...by }));
  return operation;
}
const removal = (operation: OperationId, backup: BackupId) =>
  call((all) => all.removeBackup({ operation, backup, why: 'no rule keeps it' }));
const planned = async ({ tenant }: Life, policy: KeepPolicy = { last: 1 }, after: BackupId | null = null) =>
  call((all) => all.planPrune({ tenant, policy, now: day(28), after }));

const objectsOf = (life: Life, backup: BackupId, store = world.store) =>
  countObjects(store, life.tenant, backup);
const stateOf = async (backup: BackupId) => (await getBackup(pool, backup)).state;

/** Somebody begins to read a backup, as every operation that does so begins. */
async function reading(life: Life, kind: OperationKind, backup: BackupId): Promise<OperationId> {
  const operation = newOperation();
  await transaction(pool, async (tx) => {
    await lockCompleteBackup(tx, backup);
    await startOperation(tx, {
      ...{ operation, kind, ...life, principal: 'tests', reason: '', workflowId: `test/${operation}` },
      input: { backup },
    });
  });
  return operation;
}

describe('a prune', () => {
  test('removes what the policy does not keep, oldest first, and counts what it took away', async () => {
    const life = await makeTenant(pool);
    const all = [await made(life, 1), await made(life, 2), await made(life, 3)];
    const operation = await begun(life);
    const { remove, more } = await planned(life);
    expect([remove.map(({ backup }) => backup), more]).toEqual([all.slice(0, 2), false]);
    for (const { backup } of remove)
      expect(await removal(operation, backup)).toEqual({ objects: OBJECTS.length + 1, bytes: 40 });
    expect(await removal(operation, all[0]!)).toEqual({ objects: 0, bytes: 0 });
    expect(await Promise.all(all.map((backup) => objectsOf(life, backup)))).toEqual([0, 0, 4]);
    const { tenant } = life;
    const counts = { removed: 2, objects: 8, bytes: 80, failed: 0 };
    const result = await call((a) => a.finishPrune({ tenant, operation, ...counts, unremoved: [] }));
    expect(result).toEqual({ tenant, operation, kept: 1, ...counts, unremoved: [] });
    expect(await getOperation(pool, operation)).toMatchObject({
      ...{ kind: 'pruneBackups', state: 'completed', input: { policy: { last: 1 } } },
      counts: { removed: 2, kept: 1 },
    });
  });

  test('plans a page at a time', async () => {
    const life = await makeTenant(pool);
    for (let n = 0; n < 103; n++)
      await pool.query(
        `with o as (insert into operations (operation, kind, tenant, incarnation, principal, reason, state, workflow_id, ended_at)
           values (gen_random_uuid(), 'backupTenant', $1, $2, 'tests', '', 'completed', 'w', now()) returning operation)
         insert into backups (backup, tenant, incarnation, operation, store, state, consistency_asked, consistency, started_at, ended_at)
         select $3, $1, $2, operation, 'file:///nowhere', 'complete', 'fuzzy', 'fuzzy', $4, $4 from o`,
        [
          ...[life.tenant, life.incarnation, `20261101T000000Z-${n.toString(16).padStart(8, '0')}`],
          new Date(Date.UTC(2026, 10, 1) + n * 60_000),
        ],
      );
    const first = await planned(life);
    const second = await planned(life, { last: 1 }, first.remove.at(-1)!.backup);
    expect([first.remove.length, first.more, second.remove.length, second.more]).toEqual([
      100,
      true,
      2,
      false,
    ]);
    expect(JSON.stringify(first).length).toBeLessThan(64 * 1024);
  });

  test('leaves a held backup, and takes it when it is released', async () => {
    const life = await makeTenant(pool);
    const [old] = [await made(life, 1), await made(life, 2)];
    const operation = await begun(life);
    const { remove } = await planned(life);
    // Held between the plan and the deed.
    await holdBackup(pool, old, 'lawsuit 7');
    await expect(removal(operation, remove[0]!.backup)).rejects.toMatchObject({
      type: 'WrongState',
      message: `backup ${old} stays: it is held: lawsuit 7`,
    });
    expect((await planned(life)).remove).toEqual([]);
    expect(await objectsOf(life, old)).toBe(4);
    await releaseBackup(pool, old);
    await removal(operation, old);
    await expect(holdBackup(pool, old, 'too late')).rejects.toMatchObject({ type: 'WrongState' });
  });

  test('never takes the newest complete backup, nor the newest that is not known to be unsound', async () => {
    const life = await makeTenant(pool);
    const [good, bad] = [await made(life, 1), await made(life, 2)];
    const operation = await begun(life);
    await expect(removal(operation, bad)).rejects.toMatchObject({ type: 'WrongState' });
    await noteVerified(pool, bad, false);
    for (const backup of [good, bad])
      await expect(removal(operation, backup)).rejects.toThrow('it is the newest complete one');
    await made(life, 3);
    for (const backup of [good, bad]) await removal(operation, backup);
    expect([await stateOf(good), await stateOf(bad)]).toEqual(['removed', 'removed']);
  });

  test('two at once never take the last two of a tenant', async () => {
    const life = await makeTenant(pool);
    const both = [await made(life, 1), await made(life, 2)];
    const operation = await begun(life);
    const ends = await atOnce(8, (i) => removal(operation, both[i % 2]!));
    expect(ends.filter((end) => end instanceof Error)).toHaveLength(4);
    expect(await Promise.all(both.map(stateOf))).toEqual(['removed', 'complete']);
  });

  test.each(['restoreTenant', 'verifyBackup', 'drillRestore'] as const)(
    'leaves what a %s reads until it has ended, and what is removed is read by nobody',
    async (kind) => {
      const life = await makeTenant(pool);
      const [old] = [await made(life, 1), await made(life, 2)];
      const operation = await begun(life);
      const reader = await reading(life, kind, old);
      await expect(removal(operation, old)).rejects.toMatchObject({
        ...{ type: 'WrongState', message: `backup ${old} stays: operation ${reader} reads it` },
      });
      expect(await objectsOf(life, old)).toBe(4);
      await finishOperation(pool, reader, { state: 'completed' });
      await removal(operation, old);
      await expect(reading(life, kind, old)).rejects.toMatchObject({ type: 'WrongState' });
    },
  );

  test('and a restore that begin at the same moment: one of them is refused', async () => {
    const life = await makeTenant(pool);
    const old = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => made(life, n)));
    await made(life, 7);
    const operation = await begun(life);
    for (const backup of old) {
      const [removed, read] = await Promise.allSettled([
        removal(operation, backup),
        reading(life, 'restoreTenant', backup),
      ]);
      expect([removed.status, read.status].toSorted()).toEqual(['fulfilled', 'rejected']);
      expect(await objectsOf(life, backup)).toBe(removed.status === 'fulfilled' ? 0 : 4);
    }
  });

  test('takes what failed a day ago with all that its puts have left, and leaves what runs', async () => {
    const life = await makeTenant(pool);
    const [failed, running] = [await made(life, 1, 'failed'), await made(life, 2, 'running')];
    const folder = backupFolder(life.tenant, failed);
    await writeFile(`${world.root}/${folder}/.put-left-by-a-kill`, 'half');
    const operation = await begun(life);
    expect((await planned(life)).remove).toEqual([{ backup: failed, why: 'it failed over a day ago' }]);
    await removal(operation, failed);
    expect((await world.leftovers()).filter((name) => name.includes(failed))).toEqual([]);
    await expect(removal(operation, running)).rejects.toThrow('it is running');
  });

  test('finds a backup in the store that its row names, and believes none that has become another', async () => {
    const life = await makeTenant(pool);
    const other = await folderWorld();
    const old = await made(life, 1, undefined, other.store);
    const older = await made(life, 2, undefined, other.store);
    await made(life, 3);
    const operation = await begun(life);
    // Its disk is not mounted: the folder is there, and nothing in it.
    await rename(other.root, `${other.root}-disk`);
    await mkdir(other.root);
    await expect(removal(operation, old)).rejects.toThrow('it may not be the store it was');
    expect(await stateOf(old)).toBe('complete');
    await rmdir(other.root);
    await rename(`${other.root}-disk`, other.root);
    await removal(operation, old);
    expect(await objectsOf(life, old, other.store)).toBe(0);
    // Taken away by hand, and nothing else is there to tell the store by.
    await other.store.remove(within(backupFolder(life.tenant, older), MANIFEST_NAME));
    await expect(removal(operation, older)).rejects.toThrow(`backup ${older} is not found`);
  });

  test('treats the lives of a tenant apart, and prunes what a purged one has left', async () => {
    const former = await makeTenant(pool);
    const [first, last] = [await made(former, 1), await made(former, 2)];
    await beginPurging(pool, former.incarnation, newOperation(), ['active']);
    await endLives(pool, [former.incarnation]);
    expect((await planned(former)).remove.map(({ backup }) => backup)).toEqual([first]);
    const life = await makeTenant(pool, former.tenant);
    const [next] = [await made(life, 3), await made(life, 4)];
    expect((await planned(life)).remove.map(({ backup }) => backup)).toEqual([first, next]);
    await removal(await begun(life), first);
    expect(await stateOf(last)).toBe('complete');
  });

  test('is refused without a rule, for nobody, and for another’s tenant', async () => {
    const [life, other] = [await makeTenant(pool), await makeTenant(pool)];
    await expect(begun(life, {})).rejects.toMatchObject({ type: 'InvalidInput' });
    const asked = { operation: newOperation(), policy: { last: 1 }, principal: 'eve', reason: '' };
    const foreign = { ...asked, tenant: life.tenant, principalTenant: other.tenant };
    await expect(call((all) => all.beginPrune(foreign))).rejects.toMatchObject({ type: 'PermissionDenied' });
    const nobody = { ...asked, tenant: parseTenantId('nobody_at_all') };
    await expect(call((all) => all.beginPrune(nobody))).rejects.toMatchObject({ type: 'NotFound' });
  });
});
