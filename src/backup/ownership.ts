import { deniedTo } from '../access/ownTenant.js';
import type { BackupId } from '../domain/backups.js';
import type { TenantId } from '../domain/ids.js';
import { type BackupRow, findBackup, noSuchBackup } from '../registry/backups.js';
import type { Queryable } from '../registry/database.js';

/**
 * The backup, whose tenant may ask for it. A principal of one tenant is told the same of another's backup, in any state,
 * and of one that is not there.
 *
 * @throws OpsError `PermissionDenied`; `NotFound` to whom all tenants are open
 */
export async function ownBackup(
  db: Queryable,
  own: TenantId | undefined,
  backup: BackupId,
): Promise<BackupRow> {
  const row = await findBackup(db, backup);
  if (own !== undefined && row?.tenant !== own) throw deniedTo(own);
  if (row === undefined) throw noSuchBackup(backup);
  return row;
}
