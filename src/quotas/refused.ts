import { OpsError } from '../domain/errors.js';
import { type Amounts, type QuotaState, type StockAmounts, fits, quotaExceeded } from '../domain/quotas.js';
import type { Pool } from '../registry/database.js';
import type { TenantLife } from '../registry/tenants.js';
import { quotaStates } from './state.js';
import { OPEN } from './statements.js';

/** Not all that was asked for fits. In a transaction, what of it did is undone with it. */
export class QuotaRefused extends Error {
  override readonly name = 'QuotaRefused';

  constructor(
    readonly life: TenantLife,
    readonly asked: Amounts,
  ) {
    super(`a quota of tenant ${life.tenant} is used up`);
  }
}

/** What to tell whoever was refused: the first resource that does not fit, as it is now. */
export async function refusal(
  pool: Pool,
  { life, asked }: Pick<QuotaRefused, 'life' | 'asked'>,
): Promise<OpsError> {
  const open = await pool.query(`select 1 from tenants where incarnation = $1 and ${OPEN}`, [
    life.incarnation,
  ]);
  if (open.rowCount === 0)
    return new OpsError('WrongState', `tenant ${life.tenant} is not open any more`, 'see cvops tenant show');
  const states = await quotaStates(pool, life.incarnation);
  const amountOf = ({ resource }: QuotaState) => asked[resource] ?? 0;
  const limited = states.filter((state) => amountOf(state) > 0 && state.max !== null);
  // Freed since: what is said is still what was asked and allowed.
  const state = limited.find((one) => !fits(one, amountOf(one))) ?? limited[0];
  if (state) return quotaExceeded(life.tenant, state, amountOf(state));
  return new OpsError('Conflict', `a quota of tenant ${life.tenant} was changed meanwhile`, 'try again');
}

/**
 * That a tenant that will have so much, and nothing else, may have it.
 *
 * @throws OpsError `QuotaExceeded`
 */
export async function requireRoomFor(pool: Pool, life: TenantLife, all: StockAmounts): Promise<void> {
  const amounts: Amounts = all;
  for (const state of await quotaStates(pool, life.incarnation)) {
    const amount = amounts[state.resource] ?? 0;
    const emptied = { ...state, used: 0, reserved: 0 };
    if (!fits(emptied, amount)) throw quotaExceeded(life.tenant, emptied, amount);
  }
}
