import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SlicePosition } from '../../src/backup/documents/backUpSlice.js';
import type { ManifestPart } from '../../src/contracts/backup.js';
import { type BackupId, backupId } from '../../src/domain/backups.js';
import type { OperationId } from '../../src/domain/ids.js';
import { noLines } from '../../src/domain/lineDigests.js';
import type { OperationKind } from '../../src/domain/states.js';
import { takeSlot } from '../../src/limits/slots.js';
import {
  getSlice,
  noteRestored,
  noteSliceDone,
  noteSlicePart,
  partsOf,
  partsOfSlice,
  planSlices,
  restartSlices,
  restoredParts,
  slicesOf,
} from '../../src/registry/backupProgress.js';
import {
  completeBackup,
  forgetProgress,
  getBackup,
  insertBackup,
  listBackups,
  lockCompleteBackup,
  noteBackupFailed,
} from '../../src/registry/backups.js';
import { lowerFence, raiseFence, renewFence, writersOf } from '../../src/registry/fence.js';
import { startOperation } from '../../src/registry/operations.js';
import { closeForRestore, openRestored } from '../../src/registry/restores.js';
import { getTenant, requireTenant, setTenantState } from '../../src/registry/tenants.js';
import { mayGoOn } from '../../src/registry/turns.js';
import {
  type Life,
  type TestRegistry,
  atOnce,
  makeIngest,
  makeTenant,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';

const BASE = 'video_colpali_smol500_mv_frame';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

async function operationOf(life: Life, kind: OperationKind): Promise<OperationId> {
  const operation = newOperation();
  const workflowId = `${kind}/${operation}`;
  await startOperation(registry.pool, {
    ...life,
    ...{ operation, kind, workflowId, principal: 'tests', reason: '' },
  });
  return operation;
}

/** A fence's key: a life and an operation on it. */
const holderOn = async (life: Life) => ({ ...life, operation: await operationOf(life, 'backupTenant') });
const expire = (life: Life) =>
  registry.pool.query(`update tenants set fence_until = now() where incarnation = $1`, [life.incarnation]);

describe('a fence', () => {
  test('is one operation’s, of any number that want it at once, until it lowers it', async () => {
    const { pool } = registry;
    const life = await makeTenant(pool);
    const holders = await Promise.all(Array.from({ length: 8 }, () => holderOn(life)));
    const raised = await atOnce(8, (i) => raiseFence(pool, holders[i]!));
    const winners = holders.filter((_, i) => typeof raised[i] === 'string');
    expect(winners.length).toBe(1);
    expect(raised.filter((one) => one instanceof Error)).toEqual(
      Array.from({ length: 7 }, () => expect.objectContaining({ type: 'Conflict' }) as Error),
    );
    const [winner, other] = [winners[0]!, holders.find((holder) => holder !== winners[0])!];
    // An attempt whose answer was lost raises it again; the others can neither renew nor lower it.
    await raiseFence(pool, winner);
    expect([await renewFence(pool, winner), await renewFence(pool, other)]).toEqual([true, false]);
    await lowerFence(pool, other);
    expect((await getTenant(pool, life.tenant)).fence).toBe(winner.operation);
    await lowerFence(pool, winner);
    await lowerFence(pool, winner);
    expect((await getTenant(pool, life.tenant)).fence).toBeNull();
    await raiseFence(pool, other);
  });

  test('closes its life to changes alone: ingests take no other video, what reads goes on', async () => {
    const { pool } = registry;
    const [life, neighbour] = [await makeTenant(pool), await makeTenant(pool)];
    const ingest = await makeIngest(pool, life);
    const holder = await holderOn(life);
    expect(await mayGoOn(pool, ingest)).toBe(true);
    await raiseFence(pool, holder);
    expect(await mayGoOn(pool, ingest)).toBe(false);
    for (const verb of ['configure', 'deploySchemas', 'restoreOver'] as const) {
      await expect(requireTenant(pool, life.tenant, verb)).rejects.toMatchObject({
        type: 'WrongState',
        hint: `wait for it: cvops op watch ${holder.operation}`,
      });
      await requireTenant(pool, neighbour.tenant, verb);
    }
    for (const verb of ['search', 'readConfig', 'backup', 'ingest', 'delete', 'deactivate'] as const)
      await requireTenant(pool, life.tenant, verb);
    await lowerFence(pool, holder);
    await requireTenant(pool, life.tenant, 'configure');
    expect(await mayGoOn(pool, ingest)).toBe(true);
  });

  test('falls by itself when nobody renews it, and its holder hears that it did not stand all the time', async () => {
    const { pool } = registry;
    const life = await makeTenant(pool);
    const [lost, next] = [await holderOn(life), await holderOn(life)];
    await raiseFence(pool, lost);
    await expire(life);
    await requireTenant(pool, life.tenant, 'configure');
    expect(await renewFence(pool, lost)).toBe(false);
    await raiseFence(pool, next);
    await lowerFence(pool, lost);
    expect((await getTenant(pool, life.tenant)).fence).toBe(next.operation);
    await expect(raiseFence(pool, lost)).rejects.toMatchObject({ type: 'Conflict' });
  });

  test('waits for the videos in work, of this life alone', async () => {
    const { pool } = registry;
    const [life, neighbour] = [await makeTenant(pool), await makeTenant(pool)];
    for (const of of [life, neighbour]) {
      const operation = await makeIngest(pool, of);
      expect(await takeSlot(pool, { incarnation: of.incarnation, operation, item: 1 }, randomUUID())).toBe(
        true,
      );
    }
    expect(await writersOf(pool, life.incarnation)).toBe(1);
    // As a killed worker leaves it.
    await pool.query('update ingest_slots set expires_at = now() where incarnation = $1', [life.incarnation]);
    expect(await writersOf(pool, life.incarnation)).toBe(0);
    expect(await writersOf(pool, neighbour.incarnation)).toBe(1);
  });
});

async function beginBackup(slices = 2): Promise<{ backup: BackupId; life: Life; operation: OperationId }> {
  const { pool } = registry;
  const life = await makeTenant(pool);
  const operation = await operationOf(life, 'backupTenant');
  const backup = backupId(new Date(), randomBytes(4).toString('hex'));
  await insertBackup(pool, {
    ...{ ...life, backup, operation, store: 'file:///backups' },
    ...{ consistencyAsked: 'settled', encryption: null },
  });
  await planSlices(pool, backup, { base: BASE, schema: `${BASE}_x`, slices, namespace: 'content' });
  return { backup, life, operation };
}

const partAt = (index: number, count = 10): ManifestPart => ({
  ...{ kind: 'documents', base: BASE, path: `documents/${BASE}/part-0000${index}.jsonl.zst` },
  ...{ size: 100, plainSize: 200, count, sha256: 'ab'.repeat(32), digest: noLines },
});
const positionAt = (nextPart: number): SlicePosition => ({
  token: `token ${nextPart} "ü"`,
  lastId: `id:content:x::${nextPart}`,
  nextPart,
});

describe('how far a backup is', () => {
  const slice = { base: BASE, slice: 0 } as const;

  test('moves with each part, both or neither, to the end', async () => {
    const { pool } = registry;
    const { backup } = await beginBackup();
    await noteSlicePart(pool, backup, slice, partAt(0), undefined, positionAt(1));
    expect(await getSlice(pool, backup, BASE, 0)).toMatchObject({ position: positionAt(1), done: false });
    await noteSlicePart(pool, backup, slice, partAt(2), positionAt(1), undefined);
    expect(await getSlice(pool, backup, BASE, 0)).toMatchObject({ position: null, done: true });
    await noteSliceDone(pool, backup, { base: BASE, slice: 1 });
    expect((await slicesOf(pool, backup)).map(({ done }) => done)).toEqual([true, true]);
    expect(await partsOf(pool, backup)).toEqual([partAt(0), partAt(2)]);
    expect(await partsOfSlice(pool, backup, { base: BASE, slice: 1 })).toEqual([]);
  });

  test('is moved by one attempt alone: an older one that is still alive is refused, and its part is none', async () => {
    const { pool } = registry;
    const { backup } = await beginBackup();
    await noteSlicePart(pool, backup, slice, partAt(0), undefined, positionAt(1));
    const both = await atOnce(6, (i) =>
      noteSlicePart(pool, backup, slice, partAt(1, i), positionAt(1), positionAt(2)),
    );
    const [winner, ...others] = both.flatMap((one, i) => (one instanceof Error ? [] : [i]));
    expect(others).toEqual([]);
    expect(await partsOf(pool, backup)).toEqual([partAt(0), partAt(1, winner)]);
    // From where it began, from where it never was, and after the slice is done.
    for (const before of [undefined, positionAt(1), positionAt(9)])
      await expect(noteSlicePart(pool, backup, slice, partAt(7), before, positionAt(8))).rejects.toThrow(
        'another attempt at slice 0',
      );
    await noteSlicePart(pool, backup, slice, partAt(2), positionAt(2), undefined);
    await expect(noteSlicePart(pool, backup, slice, partAt(3), undefined, undefined)).rejects.toThrow(
      'another attempt',
    );
    expect((await partsOf(pool, backup)).length).toBe(3);
  });

  test('begins anew for one slice without touching the other, and planned again stays as it is', async () => {
    const { pool } = registry;
    const { backup } = await beginBackup();
    await noteSlicePart(pool, backup, slice, partAt(0), undefined, undefined);
    await noteSlicePart(pool, backup, { base: BASE, slice: 1 }, partAt(1), undefined, undefined);
    await restartSlices(pool, backup, BASE, 0);
    expect((await slicesOf(pool, backup)).map(({ done }) => done)).toEqual([false, true]);
    expect(await partsOf(pool, backup)).toEqual([partAt(1)]);
    // By a second attempt that counted more documents.
    await planSlices(pool, backup, { base: BASE, schema: `${BASE}_x`, slices: 5, namespace: 'content' });
    expect((await slicesOf(pool, backup)).map(({ slices, done }) => [slices, done])).toEqual([
      [2, false],
      [2, true],
    ]);
    await restartSlices(pool, backup, BASE);
    expect(await partsOf(pool, backup)).toEqual([]);
  });

  test('ends once: complete or failed, whichever comes first, and what it needed is forgotten', async () => {
    const { pool } = registry;
    const end = {
      ...{ documents: 1, memories: 0, spans: 0, bytes: 2, endedAt: new Date() },
      consistency: 'settled',
    } as const;
    const [good, bad] = [await beginBackup(), await beginBackup()];
    await expect(lockCompleteBackup(pool, good.backup)).rejects.toMatchObject({ type: 'WrongState' });
    expect(await completeBackup(pool, good.backup, end)).toBe(true);
    await noteBackupFailed(pool, good.backup);
    expect(await lockCompleteBackup(pool, good.backup)).toMatchObject({
      state: 'complete',
      documents: 1,
      bytes: 2,
    });
    await noteBackupFailed(pool, bad.backup);
    expect(await completeBackup(pool, bad.backup, end)).toBe(false);
    expect(await getBackup(pool, bad.backup)).toMatchObject({ state: 'failed', consistency: null });
    await forgetProgress(pool, bad.backup);
    expect(await slicesOf(pool, bad.backup)).toEqual([]);
    const { tenant } = good.life;
    expect((await listBackups(pool, { tenant, limit: 5 })).map(({ backup }) => backup)).toEqual([
      good.backup,
    ]);
  });

  test('of a restore: parts that are done, each once, with what was stored of them', async () => {
    const { pool } = registry;
    const { life } = await beginBackup();
    const operation = await operationOf(life, 'restoreTenant');
    const digest = 'cd'.repeat(32);
    for (const count of [4, 5]) await noteRestored(pool, operation, 'documents/a', { count, digest });
    await noteRestored(pool, operation, 'documents/b', { count: 2 ** 40, digest: noLines });
    expect(await restoredParts(pool, operation)).toEqual(
      new Map([
        ['documents/a', { count: 5, digest }],
        ['documents/b', { count: 2 ** 40, digest: noLines }],
      ]),
    );
    expect((await restoredParts(pool, newOperation())).size).toBe(0);
  });
});

describe('a life that is restored into', () => {
  test('is inactive from before the first write, and not to be reactivated before a restore ended well', async () => {
    const { pool } = registry;
    const life = await makeTenant(pool);
    const first = { ...life, operation: await operationOf(life, 'restoreTenant') };
    await closeForRestore(pool, first, true);
    await closeForRestore(pool, first, true);
    const closed = await getTenant(pool, life.tenant);
    expect(closed).toMatchObject({ state: 'inactive', unfinishedRestore: first.operation });
    expect(Date.parse(closed.purgeAt!)).toBeGreaterThan(Date.now());
    for (const verb of ['reactivate', 'search', 'ingest'] as const)
      await expect(requireTenant(pool, life.tenant, verb)).rejects.toMatchObject({ type: 'WrongState' });

    const second = { ...life, operation: await operationOf(life, 'restoreTenant') };
    await closeForRestore(pool, second, true);
    await expect(openRestored(pool, first, true)).rejects.toMatchObject({ type: 'WrongState' });
    expect((await getTenant(pool, life.tenant)).state).toBe('inactive');
    expect(await openRestored(pool, second, true)).toBe('active');
    expect(await getTenant(pool, life.tenant)).toMatchObject({
      ...{ state: 'active', unfinishedRestore: null, purgeAt: null, deactivatedAt: null },
    });
  });

  test('stays inactive when it was, with its own time to be purged at', async () => {
    const { pool } = registry;
    const life = await makeTenant(pool);
    const purgeAt = new Date(Date.now() + 5 * 86_400_000);
    await setTenantState(pool, life.incarnation, ['active'], 'inactive', purgeAt);
    const before = await getTenant(pool, life.tenant);
    const key = { ...life, operation: await operationOf(life, 'restoreTenant') };
    await closeForRestore(pool, key, false);
    expect(await openRestored(pool, key, false)).toBe('inactive');
    expect(await getTenant(pool, life.tenant)).toEqual(before);
    await requireTenant(pool, life.tenant, 'reactivate');
  });

  test('that is being purged by then is neither closed nor opened', async () => {
    const { pool } = registry;
    const life = await makeTenant(pool);
    const key = { ...life, operation: await operationOf(life, 'restoreTenant') };
    await closeForRestore(pool, key, true);
    await setTenantState(pool, life.incarnation, ['inactive'], 'purging');
    await expect(openRestored(pool, key, true)).rejects.toMatchObject({ type: 'WrongState' });
    await expect(closeForRestore(pool, key, true)).rejects.toMatchObject({ type: 'WrongState' });
    expect((await getTenant(pool, life.tenant)).state).toBe('purging');
  });
});
