import type { BackupId } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { type BackupRow, findBackup, noSuchBackup } from '../registry/backups.js';
import type { Queryable } from '../registry/database.js';

/**
 * That a principal of one tenant asks for that tenant's things alone.
 *
 * @param own undefined: the principal's rights are not bound to a tenant
 * @throws OpsError `PermissionDenied`, which does not say whether there is such a thing
 */
export function requireOwnTenant(own: TenantId | undefined, ...tenants: readonly TenantId[]): void {
  if (own !== undefined && tenants.some((tenant) => tenant !== own)) throw denied(own);
}

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
  if (own !== undefined && row?.tenant !== own) throw denied(own);
  if (row === undefined) throw noSuchBackup(backup);
  return row;
}

function denied(own: TenantId): OpsError {
  return new OpsError(
    'PermissionDenied',
    `a principal of tenant ${own} has no part in this`,
    'see your own backups with: cvops backup list; for another one ask an administrator of all tenants',
  );
}
