import type { BackupId } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { listBackups } from '../registry/backups.js';
import type { Queryable } from '../registry/database.js';

/**
 * Which backup a drill restores: the one that was named, whosever it is, else the tenant's newest complete one.
 *
 * @throws OpsError `NotFound` when it has none
 */
export async function drilledBackup(
  db: Queryable,
  tenant: TenantId,
  named: BackupId | undefined,
): Promise<BackupId> {
  if (named !== undefined) return named;
  const [newest] = await listBackups(db, { tenant, state: 'complete', limit: 1 });
  if (newest !== undefined) return newest.backup;
  throw new OpsError(
    'NotFound',
    `tenant ${tenant} has no complete backup`,
    `make one: cvops backup create ${tenant}`,
  );
}
