import type { IsolationCheck, WayCounts } from '../contracts/isolation.js';
import { ISOLATION_WAYS } from '../domain/canaries.js';
import type { TenantId } from '../domain/ids.js';
import type { Look } from './look.js';

type Named = { readonly tenant: TenantId };

/** What one looked for and is as it should be, each for itself. */
export function greenOf(me: Named, others: readonly Named[], { ways, findings }: Look): IsolationCheck[] {
  return ways.flatMap((name) =>
    [me, ...others]
      .filter(({ tenant }) => !findings.some((finding) => finding.name === name && finding.b === tenant))
      .map(({ tenant: b }) => ({
        ...{ name, a: me.tenant, b, ok: true },
        detail: b === me.tenant ? 'finds its own' : 'nothing of it is found',
      })),
  );
}

/**
 * One check a way, over all pairs.
 *
 * @param failed how many findings there are of each way
 */
export function summed(counts: WayCounts, failed: ReadonlyMap<string, number>): IsolationCheck[] {
  return ISOLATION_WAYS.flatMap((name) => {
    const count = counts[name];
    const wrong = failed.get(name) ?? 0;
    if (count === undefined) return [];
    const detail = wrong === 0 ? `${count} pairs` : `${count} pairs, ${wrong} findings`;
    return [{ name, a: '*', b: '*', ok: wrong === 0, detail }];
  });
}
