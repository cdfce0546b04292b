import { SYSTEM_CONFIG } from '../domain/config/keys.js';
import { DEFAULT_PERIOD, type QuotaChanges, type QuotaState, asShown } from '../domain/quotas.js';
import { appendAudit } from '../registry/audit.js';
import { type Pool, rehearsed, transaction } from '../registry/database.js';
import { type TenantLife, lockLife } from '../registry/tenants.js';
import { writeConfigIn } from '../tenants/config.js';
import { quotaStates } from './state.js';

export interface SetBy {
  readonly principal: string;
  readonly reason: string;
  readonly dryRun?: boolean;
  /** As the URL guard's: a new rate is a new version of the system configuration, which is checked whole. */
  readonly allowedPrivate?: readonly string[];
}

/**
 * Sets limits, with their audit entry, and the rate, which is a version of the configuration and has that's: all or none.
 * A limit below what is used takes nothing away: nothing more is let in until enough is given back. Calls of a new period
 * are counted from none.
 *
 * @returns all of the tenant's limits as they are then; as they would be with `dryRun`
 * @throws OpsError `WrongState` when the tenant is not active; `InvalidInput` for a rate outside of its rule
 */
export async function setQuotas(
  pool: Pool,
  life: TenantLife,
  { changes, period, maxQps }: QuotaChanges,
  by: SetBy,
): Promise<QuotaState[]> {
  const { incarnation, tenant } = life;
  const { principal, reason, dryRun = false, allowedPrivate = [] } = by;
  return (dryRun ? rehearsed : transaction)(pool, async (tx) => {
    // First: it locks the life for writing, and two that had it locked for reading would wait for each other.
    if (maxQps !== undefined)
      await writeConfigIn(tx, {
        at: { ...SYSTEM_CONFIG, tenant },
        what: { kind: 'edits', edits: { set: { max_qps: String(maxQps) }, unset: [] } },
        ...{ principal, reason, allowedPrivate, dryRun },
      });
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
    const states = await quotaStates(tx, incarnation);
    if (changes.length === 0) return states;
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
    return states;
  });
}
