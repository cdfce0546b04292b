import { rateExceeded } from '../domain/quotas.js';
import { NoTurn, type TenantRates } from '../limits/rate.js';
import type { Pool } from '../registry/database.js';
import type { TenantLife } from '../registry/tenants.js';
import { consume } from './take.js';

/** A search waits no longer than this for its turn by the tenant's `max_qps`. */
export const SEARCH_WAIT_MS = 2000;

/** @throws OpsError `QuotaExceeded`; `WrongState` for a life that is over */
export async function countCall(pool: Pool, life: TenantLife): Promise<void> {
  await consume(pool, life, 'api_calls', 1);
}

/**
 * Lets one search of a tenant begin: in its turn, and counted.
 *
 * @throws OpsError `QuotaExceeded` when its turn does not come soon, or the tenant's calls are used up; `WrongState`
 */
export async function admitSearch(
  { pool, rates }: { readonly pool: Pool; readonly rates: Pick<TenantRates, 'takeWithin'> },
  life: TenantLife,
): Promise<void> {
  try {
    await rates.takeWithin({ incarnation: life.incarnation, kind: 'search' }, SEARCH_WAIT_MS);
  } catch (error) {
    if (!(error instanceof NoTurn)) throw error;
    throw rateExceeded(life.tenant, 'searches', error.perSecond, SEARCH_WAIT_MS);
  }
  await countCall(pool, life);
}
