import { Client, Connection } from '@temporalio/client';
import { CvopsClient } from '../../src/client/index.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { type TenantRow, getTenant } from '../../src/registry/tenants.js';
import { freshTenant, stackSettings } from './cvops.js';

export const PROFILE = 'video_colpali_smol500_mv_frame' as const;

/** The stack as a look at its health sees it: registry, Temporal, and tenants of a test's own. */
export class HealthWorld {
  private constructor(
    readonly pool: Pool,
    readonly product: CvopsClient,
    readonly temporal: Client,
  ) {}

  static async connect(): Promise<HealthWorld> {
    const settings = stackSettings();
    const [product, connection] = await Promise.all([
      CvopsClient.connect(settings),
      Connection.connect({ address: settings.temporalAddress }),
    ]);
    return new HealthWorld(
      openPool(settings.databaseUrl, { name: 'test-health' }),
      product,
      new Client({ connection }),
    );
  }

  async newTenant(what: string, overrides: Record<string, string> = {}): Promise<TenantRow> {
    const tenant = parseTenantId(freshTenant(what));
    const request = { tenant, template: 'trial', overrides, profiles: [PROFILE], reason: '' };
    await (await this.product.createTenant(request)).result();
    return getTenant(this.pool, tenant);
  }

  async close(): Promise<void> {
    await this.product.close();
    await this.temporal.connection.close();
    await this.pool.end();
  }
}
