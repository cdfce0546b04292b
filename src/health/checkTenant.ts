import { setTimeout as delay } from 'node:timers/promises';
import {
  type CheckResult,
  type CheckResults,
  type TenantCheck,
  findingsOf,
  uncheckable,
} from '../domain/health/checks.js';
import type { OperationKind } from '../domain/states.js';
import { runningOperations } from '../registry/operations.js';
import { type TenantRow, getLife } from '../registry/tenants.js';
import { type ActivePackage, readPackage } from '../vespa/activePackage.js';
import { TENANT_CHECKS } from './checks/index.js';
import type { Check, CheckContext } from './checks/check.js';
import type { HealthResources } from './resources.js';
import { type Away, storesAway } from './stores.js';

/** What is found wrong is looked at once more after this long: it may have been in the middle of a change. */
const AGAIN_MS = 1_000;

/** While one of these runs a life is not as it is to be. */
const CHANGING: ReadonlySet<OperationKind> = new Set<OperationKind>([
  'createTenant',
  'softDeleteTenant',
  'reactivateTenant',
  'hardDeleteTenant',
  'restoreTenant',
]);

/** What the checks of a page of tenants share. */
export interface PageContext {
  readonly resources: HealthResources;
  readonly away: Away;
  /** Read at its first use. */
  readonly activePackage: () => Promise<ActivePackage>;
}

export function pageContext(resources: HealthResources, away: Away): PageContext {
  let read: Promise<ActivePackage> | undefined;
  return {
    resources,
    away,
    activePackage: () => (read ??= readPackage(resources.configServer)),
  };
}

/** Looks at everything of one life and changes nothing. One check that fails keeps no other from being made. */
export async function checkTenant(page: PageContext, row: TenantRow): Promise<CheckResults<TenantCheck>> {
  const { resources, away } = page;
  const all = TENANT_CHECKS;
  const first = await run(page, row, all);
  const suspect = all.filter(({ name }) => findingsOf(first[name]).length > 0);
  if (suspect.length === 0) return first;
  await delay(AGAIN_MS);
  // A server that went away in between is the installation's one alert, and no tenant's.
  const failed = suspect.some(({ name }) => first[name]?.state === 'unknown');
  const fresh = pageContext(resources, failed ? await storesAway(resources) : away);
  return { ...first, ...(await run(fresh, await getLife(resources.pool, row), suspect)) };
}

async function run(
  { resources, away, activePackage }: PageContext,
  row: TenantRow,
  checks: readonly Check[],
): Promise<CheckResults<TenantCheck>> {
  const running = await runningOperations(resources.pool, row.incarnation);
  const context: CheckContext = {
    ...{ resources, row, running, now: Date.now(), activePackage },
    temporal: resources.temporal,
  };
  const changing = running.find(({ kind }) => CHANGING.has(kind));
  const results = await Promise.all(
    checks.map(async (check): Promise<[TenantCheck, CheckResult]> => {
      const skipped = check.skip(row);
      if (skipped !== undefined) return [check.name, { state: 'skipped', why: skipped }];
      if (changing !== undefined && check.settledOnly)
        return [check.name, { state: 'waiting', why: `${changing.kind} ${changing.operation} is under way` }];
      const missing = check.needs.find((store) => away.has(store));
      if (missing !== undefined) return [check.name, { state: 'unknown', why: `${missing} does not answer` }];
      return [check.name, await outcome(check, context)];
    }),
  );
  return Object.fromEntries(results);
}

async function outcome(check: Check, context: CheckContext): Promise<CheckResult> {
  try {
    return { state: 'checked', findings: await check.run(context) };
  } catch (error) {
    return uncheckable(error, `cvops diagnose ${context.row.tenant}`);
  }
}
