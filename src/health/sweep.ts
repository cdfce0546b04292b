import type { CheckResults, TenantCheck } from '../domain/health/checks.js';
import type { TenantId } from '../domain/ids.js';
import { type Settled, forgetResolved, settleAlerts, settleEndedLives } from '../registry/alerts.js';
import { type TenantRow, getTenant, listTenants } from '../registry/tenants.js';
import { checkInstallation } from './checkInstallation.js';
import { type PageContext, checkTenant, pageContext } from './checkTenant.js';
import type { HealthResources } from './resources.js';
import { storesAway } from './stores.js';

/** Tenants of one page: some seconds of work. */
export const PAGE = 25;
/** Looked at in one go: each asks several servers. */
const AT_ONCE = 4;

export interface Swept {
  /** Tenants looked at. */
  readonly checked: number;
  readonly opened: number;
  readonly resolved: number;
  /** Where the next page begins; null: this was the last one. */
  readonly next: string | null;
}

/** Looks at what all tenants share, and settles its alerts. */
export async function sweepInstallation(resources: HealthResources): Promise<Settled> {
  const { results, audited } = await checkInstallation(resources, await storesAway(resources));
  return settleAlerts(resources.pool, null, results, audited);
}

/**
 * Looks at a page of tenants, and settles their alerts one by one: killed half-way, the page is done again.
 *
 * @param after the id that the page before ended with; '' for the first
 */
export async function sweepTenants(
  resources: HealthResources,
  after: string,
  onTenant: (tenant: TenantId) => void = () => undefined,
): Promise<Swept> {
  const rows = await listTenants(resources.pool, { after, limit: PAGE });
  const page = pageContext(resources, await storesAway(resources));
  const sum = { checked: 0, opened: 0, resolved: 0 };
  const waiting = rows.filter(({ state }) => state !== 'purged');
  const line = async (): Promise<void> => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      onTenant(row.tenant);
      const { opened, resolved } = await sweepOne(page, row);
      sum.checked++;
      sum.opened += opened;
      sum.resolved += resolved;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, line));
  if (rows.length === PAGE) return { ...sum, next: rows.at(-1)!.tenant };
  const ended = await settleEndedLives(resources.pool);
  await forgetResolved(resources.pool);
  return { ...sum, resolved: sum.resolved + ended, next: null };
}

export interface TenantLooked extends Settled {
  readonly row: TenantRow;
  readonly results: CheckResults<TenantCheck>;
}

/** The same for one tenant. @throws OpsError `NotFound` */
export async function sweepTenant(resources: HealthResources, tenant: TenantId): Promise<TenantLooked> {
  const row = await getTenant(resources.pool, tenant);
  return sweepOne(pageContext(resources, await storesAway(resources)), row);
}

async function sweepOne(page: PageContext, row: TenantRow): Promise<TenantLooked> {
  const results = await checkTenant(page, row);
  return { row, results, ...(await settleAlerts(page.resources.pool, row, results)) };
}
