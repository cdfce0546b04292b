import type { QuotaResource, StockAmounts } from '../domain/quotas.js';
import type { Pool, Queryable } from '../registry/database.js';
import type { TenantLife } from '../registry/tenants.js';
import { refusal } from './refused.js';
import { expire } from './reservations.js';
import { ASKED, listed, takeInto } from './statements.js';

const CONSUME = `with asked as (${ASKED}) ${takeInto('used', 'asked')}`;

/**
 * Uses some of one resource, by one statement: whatever the number of processes, no more than the limit is given. What
 * dead holders had reserved is freed before anybody is refused.
 *
 * @throws OpsError `QuotaExceeded`; `WrongState` for a life that is over
 */
export async function consume(
  pool: Pool,
  life: TenantLife,
  resource: QuotaResource,
  amount: number,
): Promise<void> {
  if (amount <= 0) return;
  const taken = async () =>
    (await pool.query(CONSUME, [life.incarnation, [resource], [amount]])).rowCount === 1;
  if (await taken()) return;
  if ((await expire(pool, life, [resource])) > 0 && (await taken())) return;
  throw await refusal(pool, { life, asked: { [resource]: amount } });
}

/** Of what is no longer there. */
export async function giveBack(db: Queryable, life: TenantLife, amounts: StockAmounts): Promise<void> {
  const [resources, sums] = listed(amounts);
  if (resources.length === 0) return;
  await db.query(
    `update quota_usage u set used = greatest(0, used - back.amount)
     from unnest($2::text[], $3::bigint[]) as back (resource, amount)
     where u.incarnation = $1 and u.resource = back.resource and u.period_start = '-infinity'`,
    [life.incarnation, resources, sums],
  );
}
