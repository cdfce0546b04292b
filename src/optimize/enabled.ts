import { isAllowed } from '../domain/states.js';
import { type RoutingConfigs, routingConfigs } from '../routing/routeTenant.js';
import type { Pool } from '../registry/database.js';
import { type TenantLife, type TenantRow, getLife } from '../registry/tenants.js';

/** A life whose routing is to be optimized, and by what. */
export interface Optimized extends RoutingConfigs {
  readonly row: TenantRow;
}

/**
 * Looked at anew by every step: a schedule that fires after its tenant was closed, or its optimization was switched off,
 * does nothing.
 *
 * @returns why not, as a text
 * @throws OpsError `NotFound`
 */
export async function optimizedLife(pool: Pool, life: TenantLife): Promise<Optimized | string> {
  const row = await getLife(pool, life);
  if (!isAllowed('optimize', row.state)) return `this life of tenant ${row.tenant} is ${row.state}`;
  const configs = await routingConfigs(pool, row);
  if (!configs.system.optimization_enabled)
    return 'optimization_enabled is false in the system configuration';
  if (!configs.routing.optimization_enabled)
    return 'optimization_enabled is false in the routing configuration';
  return { row, ...configs };
}
