import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';

/**
 * That a principal of one tenant asks for that tenant's backup, into that tenant.
 *
 * @param own undefined: the principal's rights are not bound to a tenant
 * @throws OpsError `PermissionDenied`, which does not say whether there is such a backup
 */
export function requireOwnTenant(own: TenantId | undefined, ...tenants: readonly TenantId[]): void {
  if (own === undefined || tenants.every((tenant) => tenant === own)) return;
  throw new OpsError(
    'PermissionDenied',
    `a principal of tenant ${own} has no part in this`,
    'ask an administrator of all tenants',
  );
}
