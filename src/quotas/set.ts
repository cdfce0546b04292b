import { DEFAULT_PERIOD, type QuotaChanges, type QuotaState, asShown } from '../domain/quotas.js';
import { appendAudit } from '../registry/audit.js';
import { type Pool, transaction } from '../registry/database.js';
import { type TenantLife, lockLife } from '../registry/tenants.js';
import { quotaStates } from './state.js';

/**
 * Sets limits, with their audit entry. One below what is used takes nothing away: nothing more is let in until enough is
 * given back. Calls of a new period are counted from none.
 *
 * @returns all of the tenant's as they are then; as they would be with `dryRun`
 * @throws OpsError `WrongState` when the tenant is not active
 */
export async function setQuotas(
  pool: Pool,
  life: TenantLife,
  { changes, period }: QuotaChanges,
  by: { readonly principal: string; readonly reason: string; readonly dryRun?: boolean },
): Promise<QuotaState[]> {
  const { incarnation, tenant } = life;
  const { principal, reason, dryRun = false } = by;
  const undone = new Error('a dry run');
  let states: QuotaState[] = [];
  try {
    await transaction(pool, async (tx) => {
      await lockLife(tx, life, 'configure');
      const before = await quotaStates(tx, incarnation);
      for (const { resource, max } of changes)
        if (max === null)
          await tx.query('delete from quotas where incarnation = $1 and resource = $2', [
            incarnation,
            resource,
          ]);
        else
          await tx.query(
            `insert into quotas as q (incarnation, resource, max, period)
             values ($1, $2, $3, case when $2 = 'api_calls' then coalesce($4, $5) end)
             on conflict (incarnation, resource) do update set max = excluded.max,
               period = case when $2 = 'api_calls' then coalesce($4, q.period) end`,
            [incarnation, resource, max, period ?? null, DEFAULT_PERIOD],
          );
      states = await quotaStates(tx, incarnation);
      if (dryRun) throw undone;
      const limitOf = (of: readonly QuotaState[], name: string) => {
        const { max, resource } = of.find((state) => state.resource === name)!;
        return max === null ? null : asShown(resource, max);
      };
      const detail = Object.fromEntries(
        changes.map(({ resource }) => [
          resource,
          { from: limitOf(before, resource), to: limitOf(states, resource) },
        ]),
      );
      await appendAudit(tx, {
        ...{ principal, verb: 'quota', tenant, outcome: 'completed', reason },
        detail: { ...detail, ...(period === undefined ? {} : { period }) },
      });
    });
  } catch (error) {
    if (error !== undone) throw error;
  }
  return states;
}
