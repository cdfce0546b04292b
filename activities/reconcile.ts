import { heartbeat, log } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { reconcileRetention } from '../src/operations/reconcile.js';
import { scheduleAllEnabled } from '../src/optimize/schedules.js';
import type { PhoenixClient } from '../src/phoenix/client.js';
import type { Pool } from '../src/registry/database.js';
import { everyTenant } from '../src/registry/tenants.js';
import { applyTraceRetention } from '../src/tenants/traceRetention.js';
import type { ReconcileActivities } from './types.js';

export function createReconcileActivities({
  pool,
  client,
  phoenix,
}: {
  readonly pool: Pool;
  readonly client: Client;
  readonly phoenix: PhoenixClient;
}): ReconcileActivities {
  return {
    async reconcileRetention({ cluster }) {
      const onTenant = (tenant: string) => heartbeat({ tenant });
      const started = await reconcileRetention(pool, client, cluster, onTenant);
      // Phoenix may have been away when one was configured, and a restored tenant's project is new. What waits for a
      // tenant's data comes first: this is tried again tomorrow.
      for (const state of ['active', 'inactive'] as const)
        for (const row of await everyTenant(pool, state)) {
          heartbeat({ tenant: row.tenant });
          await applyTraceRetention(pool, phoenix, row).catch((error: unknown) =>
            warn('trace retention not applied', row.tenant, error),
          );
        }
      await scheduleAllEnabled(pool, client, onTenant, (tenant, error) =>
        warn('optimization not scheduled', tenant, error),
      );
      return started;
    },
  };
}

function warn(what: string, tenant: string, error: unknown): void {
  log.warn(what, { tenant, error: String(error) });
}
