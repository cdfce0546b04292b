import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { PhoenixClient, PhoenixError } from '../phoenix/client.js';
import { everyTenant, getTenant } from '../registry/tenants.js';
import {
  type MeasuredTenant,
  type MetricsRange,
  type TenantMetrics,
  measureTenant,
  named,
} from '../telemetry/metrics/metrics.js';
import { Tally } from '../telemetry/metrics/tally.js';
import type { Connections } from './connections.js';

export type { MetricsRange, TenantMetrics } from '../telemetry/metrics/metrics.js';

export interface AllMetrics {
  readonly tenants: Readonly<Record<TenantId, TenantMetrics>>;
  /** Over the queries of all tenants, as if they were one's: not an average of theirs. */
  readonly pooled: Omit<TenantMetrics, 'by_kind'>;
}

/** Figures of what tenants asked, from their spans. */
export class MetricsClient {
  private readonly phoenix: PhoenixClient;

  constructor(private readonly connections: Connections) {
    this.phoenix = new PhoenixClient(connections.settings.phoenixUrl);
  }

  /** @throws OpsError `NotFound`, `PermissionDenied`, `InvalidInput` for an empty range, `Unavailable` */
  async tenant(tenant: TenantId, range: MetricsRange): Promise<MeasuredTenant> {
    await this.connections.authorize('metrics', tenant);
    requireRange(range);
    return this.measure((await getTenant(this.connections.pool, tenant)).phoenixProject, range);
  }

  /**
   * All tenants that are there, one after the other.
   *
   * @param each hears of every tenant as it is measured
   * @throws OpsError `PermissionDenied` for a principal of one tenant, `InvalidInput`, `Unavailable`
   */
  async all(
    range: MetricsRange,
    each: (tenant: TenantId, measured: MeasuredTenant) => void = () => undefined,
  ): Promise<AllMetrics> {
    await this.connections.authorize('metrics --all');
    requireRange(range);
    const tenants: [TenantId, TenantMetrics][] = [];
    const pooled = new Tally();
    for (const { tenant, state, phoenixProject } of await everyTenant(this.connections.pool)) {
      if (state === 'purged' || state === 'creation_failed') continue;
      const measured = await this.measure(phoenixProject, range);
      pooled.pool(measured.queries);
      tenants.push([tenant, measured.metrics]);
      each(tenant, measured);
    }
    return { tenants: Object.fromEntries(tenants), pooled: named(pooled) };
  }

  private async measure(project: string, range: MetricsRange): Promise<MeasuredTenant> {
    try {
      return await measureTenant(this.phoenix, project, range);
    } catch (error) {
      if (!(error instanceof PhoenixError)) throw error;
      throw new OpsError('Unavailable', error.message, 'see whether Phoenix runs: cvops status');
    }
  }
}

function requireRange({ from, to }: MetricsRange): void {
  if (from && to && from >= to)
    throw new OpsError(
      'InvalidInput',
      `nothing lies between ${from.toISOString()} and ${to.toISOString()}`,
      '--from is before --to',
    );
}
