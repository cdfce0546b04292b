import type { Client } from '@temporalio/client';
import { scheduleIds } from '../domain/naming.js';
import { OPTIMIZATIONS } from '../domain/optimization.js';
import type { Pool } from '../registry/database.js';
import { type TenantLife, everyTenant } from '../registry/tenants.js';
import { schedulesOf } from '../registry/tenantSchedules.js';
import { ensureOptimizationSchedules } from '../schedules/optimizationSchedules.js';
import { optimizedLife } from './enabled.js';

/**
 * Makes the schedules of a life whose configurations say that its routing is optimized, when they are not all there.
 *
 * @returns whether some were made
 */
export async function scheduleWhereEnabled(pool: Pool, client: Client, life: TenantLife): Promise<boolean> {
  if (typeof (await optimizedLife(pool, life)) === 'string') return false;
  const there = new Set((await schedulesOf(pool, [life.incarnation])).map(({ scheduleId }) => scheduleId));
  if (OPTIMIZATIONS.every((what) => there.has(scheduleIds.optimization(life.tenant, what)))) return false;
  await ensureOptimizationSchedules(pool, client, life);
  return true;
}

/**
 * The same for all tenants: those switched on by `config set`, or made by a restore. One that fails keeps nobody else from
 * theirs.
 *
 * @returns how many got schedules
 */
export async function scheduleAllEnabled(
  pool: Pool,
  client: Client,
  onTenant: (tenant: string) => void,
  onError: (tenant: string, error: unknown) => void,
): Promise<number> {
  let made = 0;
  for (const row of await everyTenant(pool, 'active')) {
    onTenant(row.tenant);
    try {
      if (await scheduleWhereEnabled(pool, client, row)) made++;
    } catch (error) {
      onError(row.tenant, error);
    }
  }
  return made;
}
