import type { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { denied, notOf } from './principal.js';

/**
 * That a principal of one tenant asks for that tenant's things alone.
 *
 * @param own undefined: the principal's rights are not bound to a tenant
 * @throws OpsError `PermissionDenied`, which does not say whether there is such a thing
 */
export function requireOwnTenant(own: TenantId | undefined, ...tenants: readonly TenantId[]): void {
  if (own !== undefined && tenants.some((tenant) => tenant !== own)) throw deniedTo(own);
}

/** The same whether there is such a thing or not. */
export function deniedTo(own: TenantId): OpsError {
  return denied(notOf(own));
}
