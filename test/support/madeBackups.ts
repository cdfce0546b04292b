import { randomBytes } from 'node:crypto';
import type { BackupStore } from '../../src/backup/store/store.js';
import { type BackupId, MANIFEST_NAME, backupFolder, backupId, within } from '../../src/domain/backups.js';
import type { Incarnation, TenantId } from '../../src/domain/ids.js';
import { workflowIds } from '../../src/domain/naming.js';
import { completeBackup, insertBackup, noteBackupFailed } from '../../src/registry/backups.js';
import type { Pool } from '../../src/registry/database.js';
import { finishOperation, startOperation } from '../../src/registry/operations.js';
import { newOperation } from './registry.js';

/** What lies in each made backup beside its manifest. */
export const OBJECTS = [
  'config.json',
  'documents/a/part-00000.jsonl.zst',
  'documents/a/part-00001.jsonl.zst',
];

/** A backup by the registry, and objects that nobody reads, as its run would have left them. */
export async function madeBackup(
  pool: Pool,
  life: { readonly tenant: TenantId; readonly incarnation: Incarnation },
  store: BackupStore,
  { at, state = 'complete' }: { readonly at: string; readonly state?: 'complete' | 'failed' | 'running' },
): Promise<BackupId> {
  const { tenant, incarnation } = life;
  const backup = backupId(new Date(at), randomBytes(4).toString('hex'));
  const operation = newOperation();
  await startOperation(pool, {
    ...{ operation, kind: 'backupTenant', tenant, incarnation, principal: 'tests', reason: '' },
    workflowId: workflowIds.backup(tenant, backup),
  });
  await insertBackup(pool, {
    ...{ backup, tenant, incarnation, operation, store: store.location },
    ...{ consistencyAsked: 'settled', encryption: null },
  });
  const names = state === 'complete' ? [...OBJECTS, MANIFEST_NAME] : OBJECTS;
  for (const name of names)
    await store.put(within(backupFolder(tenant, backup), ...name.split('/')), Buffer.from('0123456789'));
  if (state === 'complete')
    await completeBackup(pool, backup, {
      ...{ consistency: 'settled', endedAt: new Date(at), documents: 7, memories: 2, spans: 3, bytes: 30 },
    });
  if (state === 'failed') await noteBackupFailed(pool, backup);
  if (state !== 'running')
    await finishOperation(pool, operation, { state: state === 'complete' ? 'completed' : 'failed' });
  await pool.query(
    `update backups set started_at = $2, ended_at = case when ended_at is null then null else $2::timestamptz end where backup = $1`,
    [backup, at],
  );
  return backup;
}

export async function countObjects(store: BackupStore, tenant: TenantId, backup: BackupId): Promise<number> {
  const paths: string[] = [];
  for await (const { path } of store.list(backupFolder(tenant, backup))) paths.push(path);
  return paths.length;
}
