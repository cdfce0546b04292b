import type { PhoenixClient } from '../../phoenix/client.js';
import { QUERY_KIND, readRequests } from './requests.js';
import { type Figures, Tally } from './tally.js';
import { type Bin, TimeBins } from './timeBins.js';

/** On the start of a request: from inclusive, to exclusive; absent: from the beginning, to the end. */
export interface MetricsRange {
  readonly from?: Date;
  readonly to?: Date;
}

/** Of one tenant. Rates from 0 to 1, times in milliseconds, null when there was no query. */
export interface TenantMetrics extends Omit<Figures, 'total'> {
  readonly total_queries: number;
  /** Everything that is no search, such as `ingest.video`, `memory.add` or `createTenant`. */
  readonly by_kind: Readonly<Record<string, Figures>>;
}

export interface MeasuredTenant {
  readonly metrics: TenantMetrics;
  /** The queries themselves, to be pooled with other tenants'. */
  readonly queries: Tally;
  /** The queries over time. */
  readonly overTime: { readonly widthMs: number; readonly bins: readonly Bin[] };
}

/** Kinds are names from spans; somebody's spans may have as many as they like. */
const MAX_KINDS = 100;
const OTHER = 'other';
const EXACT_PER_KIND = 10_000;

/**
 * Reads a tenant's requests and makes figures of them, in bounded memory whatever their number. A project that is not
 * there, or empty, has none.
 *
 * @throws PhoenixError
 */
export async function measureTenant(
  phoenix: PhoenixClient,
  project: string,
  range: MetricsRange,
): Promise<MeasuredTenant> {
  const queries = new Tally();
  const overTime = new TimeBins();
  const kinds = new Map<string, Tally>();
  for await (const request of readRequests(phoenix, project, range)) {
    if (request.kind === QUERY_KIND) {
      queries.add(request);
      overTime.add(request);
    } else {
      const kind = kinds.has(request.kind) || kinds.size < MAX_KINDS ? request.kind : OTHER;
      const tally = kinds.get(kind) ?? new Tally(EXACT_PER_KIND);
      kinds.set(kind, tally);
      tally.add(request);
    }
  }
  const by_kind = Object.fromEntries(
    [...kinds].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([kind, tally]) => [kind, tally.figures()]),
  );
  return {
    metrics: { ...named(queries), by_kind },
    queries,
    overTime: { widthMs: overTime.widthMs, bins: overTime.list() },
  };
}

/** Figures of queries, in the words of the command's contract. */
export function named(queries: Tally): Omit<TenantMetrics, 'by_kind'> {
  const { total: total_queries, ...rest } = queries.figures();
  return { total_queries, ...rest };
}
