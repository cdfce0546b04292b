import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRestoreLedgerActivities } from '../../activities/restore.js';
import type { ManifestPart } from '../../src/contracts/backup.js';
import { type BackupId, backupId } from '../../src/domain/backups.js';
import { parseOperationId } from '../../src/domain/ids.js';
import type { OperationKind } from '../../src/domain/states.js';
import { noLines } from '../../src/domain/lineDigests.js';
import { partsOf, replaceParts } from '../../src/registry/backupProgress.js';
import { completeBackup, getBackup, insertBackup, noteBackupFailed } from '../../src/registry/backups.js';
import { transaction } from '../../src/registry/database.js';
import { finishOperation, startOperation } from '../../src/registry/operations.js';
import { openRestored } from '../../src/registry/restores.js';
import { reactivate } from '../../src/registry/retention.js';
import { reserveSchemas, schemasOf } from '../../src/registry/schemas.js';
import { getLife, lockTenant, setTenantState } from '../../src/registry/tenants.js';
import { type Life, type TestRegistry, makeTenant, startTestRegistry } from '../support/registry.js';

const DAY_MS = 86_400_000;
let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

async function operationOf(life: Life, kind: OperationKind) {
  const operation = parseOperationId(randomUUID());
  const { tenant, incarnation } = life;
  await startOperation(registry.pool, {
    ...{
      operation,
      kind,
      tenant,
      incarnation,
      principal: 'tests',
      reason: '',
      workflowId: `test/${operation}`,
    },
  });
  return operation;
}
const newBackup = (): BackupId => backupId(new Date(), randomBytes(4).toString('hex'));

/** A restore that has begun, and the step in which it closes its tenant. */
async function restoring(life: Life) {
  const key = {
    ...{ tenant: life.tenant, incarnation: life.incarnation, backup: newBackup() },
    operation: await operationOf(life, 'restoreTenant'),
  };
  const { closeForRestore, schemasThere } = createRestoreLedgerActivities({ pool: registry.pool });
  const close = (wasOpen: boolean) => closeForRestore({ ...key, wasOpen });
  return { key, close, schemasThere: () => schemasThere(key) };
}

describe('a tenant that a restore has closed', () => {
  test('is neither opened nor backed up before the restore has ended well', async () => {
    const { pool } = registry;
    const life = await makeTenant(pool);
    const { key, close } = await restoring(life);
    await close(true);
    await close(true);
    expect(await getLife(pool, life)).toMatchObject({ state: 'inactive', unfinishedRestore: key.operation });
    expect(await reactivate(pool, life.incarnation, new Date())).toBe(false);
    for (const verb of ['backup', 'reactivate'] as const)
      await expect(lockTenant(pool, life.tenant, verb)).rejects.toMatchObject({
        type: 'WrongState',
        message: expect.stringContaining(key.operation),
      });
    expect(await openRestored(pool, key, true)).toBe('active');
    expect(await lockTenant(pool, life.tenant, 'backup')).toMatchObject({ state: 'active', purgeAt: null });
  });

  test('gets the schemas that it lacks; one that is inactive otherwise gets none', async () => {
    const { pool } = registry;
    const life = await makeTenant(pool);
    const { close, schemasThere } = await restoring(life);
    await setTenantState(pool, life.incarnation, ['active'], 'inactive', new Date(Date.now() + DAY_MS));
    const reserve = () => reserveSchemas(pool, life.tenant, life.incarnation, ['agent_memories']);
    await expect(reserve()).rejects.toMatchObject({ type: 'WrongState' });
    await close(false);
    await reserve();
    expect(await schemasOf(pool, life.incarnation)).toMatchObject([{ state: 'reserved' }]);
    // A name that was claimed and not deployed is none to restore into.
    expect(await schemasThere()).toEqual([]);
  });

  test.each(['backupTenant', 'ingestVideos'] as const)(
    'is not closed while a %s works on it that began since the restore looked',
    async (kind) => {
      const { pool } = registry;
      const life = await makeTenant(pool);
      const { close } = await restoring(life);
      const other = await operationOf(life, kind);
      await expect(close(true)).rejects.toMatchObject({
        type: 'WrongState',
        message: expect.stringContaining(`${kind} ${other}`),
      });
      expect(await getLife(pool, life)).toMatchObject({ state: 'active', unfinishedRestore: null });
      await finishOperation(pool, other, { state: 'completed' });
      await close(true);
    },
  );

  test.each(['verifyBackup', 'drillRestore', 'pruneBackups', 'softDeleteTenant'] as const)(
    'is closed though a %s runs',
    async (kind) => {
      const { pool } = registry;
      const life = await makeTenant(pool);
      const { close } = await restoring(life);
      await operationOf(life, kind);
      await close(true);
      expect(await getLife(pool, life)).toMatchObject({ state: 'inactive' });
    },
  );

  test('that somebody deactivated meanwhile is not opened by it', async () => {
    const { pool } = registry;
    const life = await makeTenant(pool);
    const { close } = await restoring(life);
    await setTenantState(pool, life.incarnation, ['active'], 'inactive', new Date(Date.now() + DAY_MS));
    await expect(close(true)).rejects.toMatchObject({
      type: 'WrongState',
      message: expect.stringContaining('deactivated'),
    });
    expect(await getLife(pool, life)).toMatchObject({ state: 'inactive', unfinishedRestore: null });
    await close(false);
  });
});

describe('a backup', () => {
  async function running(): Promise<BackupId> {
    const life = await makeTenant(registry.pool);
    const backup = newBackup();
    await insertBackup(registry.pool, {
      ...{ backup, tenant: life.tenant, incarnation: life.incarnation, store: 'file:///backups' },
      ...{ operation: await operationOf(life, 'backupTenant'), consistencyAsked: 'fuzzy', encryption: null },
    });
    return backup;
  }
  const spans = (index: number, count: number): ManifestPart => ({
    ...{ path: `traces/spans-0000${index}.jsonl.zst`, kind: 'spans', size: 9, sha256: noLines, count },
    ...{ plainSize: 9, digest: noLines },
  });

  test('traces written again are cut otherwise: no part of the former attempt stays', async () => {
    const { pool } = registry;
    const backup = await running();
    await replaceParts(pool, backup, ['config'], [{ ...spans(0, 1), path: 'config.json', kind: 'config' }]);
    await replaceParts(pool, backup, ['spans'], [spans(0, 5), spans(1, 5), spans(2, 5)]);
    await replaceParts(pool, backup, ['spans'], [spans(0, 12)]);
    expect((await partsOf(pool, backup)).map(({ path, count }) => [path, count])).toEqual([
      ['config.json', 1],
      ['traces/spans-00000.jsonl.zst', 12],
    ]);
  });

  test('that has failed is never completed by a late attempt, and one that is complete does not fail', async () => {
    const { pool } = registry;
    const end = {
      documents: 1,
      memories: 1,
      spans: 1,
      bytes: 1,
      consistency: 'fuzzy',
      endedAt: new Date(),
    } as const;
    const complete = (backup: BackupId) => transaction(pool, (tx) => completeBackup(tx, backup, end));
    const failed = await running();
    expect([await noteBackupFailed(pool, failed), await noteBackupFailed(pool, failed)]).toEqual([
      true,
      true,
    ]);
    expect(await complete(failed)).toBe(false);
    expect(await getBackup(pool, failed)).toMatchObject({ state: 'failed' });

    const whole = await running();
    expect(await complete(whole)).toBe(true);
    expect(await noteBackupFailed(pool, whole)).toBe(false);
    expect(await getBackup(pool, whole)).toMatchObject({ state: 'complete' });
  });
});
