import { heartbeat } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { reconcileRetention } from '../src/operations/reconcile.js';
import { scheduleAllEnabled } from '../src/optimize/schedules.js';
import type { Pool } from '../src/registry/database.js';
import type { ReconcileActivities } from './types.js';

export function createReconcileActivities({
  pool,
  client,
}: {
  readonly pool: Pool;
  readonly client: Client;
}): ReconcileActivities {
  return {
    async reconcileRetention({ cluster }) {
      const onTenant = (tenant: string) => heartbeat({ tenant });
      const started = await reconcileRetention(pool, client, cluster, onTenant);
      await scheduleAllEnabled(pool, client, onTenant);
      return started;
    },
  };
}
