import { heartbeat, log } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { TenantMemories } from '../src/memory/tenantMemories.js';
import { isOpen } from '../src/operations/runs.js';
import { reconcileUsage } from '../src/quotas/reconcile.js';
import type { Pool } from '../src/registry/database.js';
import { listTenants } from '../src/registry/tenants.js';
import { memoryOf } from '../src/tenants/memoryOf.js';
import type { DocumentClient } from '../src/vespa/documents.js';
import { heartbeating } from './heartbeat.js';
import type { QuotaActivities } from './types.js';

export function createQuotaActivities({
  pool,
  client,
  documents,
  memories,
  pageSize = 50,
}: {
  readonly pool: Pool;
  readonly client: Client;
  readonly documents: DocumentClient;
  readonly memories: Pick<TenantMemories, 'open'>;
  readonly pageSize?: number;
}): QuotaActivities {
  const resources = {
    ...{ pool, documents },
    isOpen: (workflowId: string) => isOpen(client, workflowId),
  };
  return {
    async reconcileQuotaPage({ after }) {
      const page = await listTenants(pool, { after, limit: pageSize });
      const done = { checked: 0, corrected: 0, failed: 0 };
      await heartbeating(async (signal) => {
        for (const row of page) {
          if (row.state !== 'active' && row.state !== 'inactive') continue;
          heartbeat({ tenant: row.tenant });
          signal.throwIfAborted();
          const own = {
            ...resources,
            memoryOf: async () => (row.memoryEnabled ? memories.open(await memoryOf(pool, row)) : undefined),
          };
          try {
            const differences = await reconcileUsage(own, row, signal);
            for (const difference of differences)
              log.warn('usage was corrected', { tenant: row.tenant, ...difference });
            done.checked++;
            if (differences.length > 0) done.corrected++;
          } catch (error) {
            signal.throwIfAborted();
            // The others' are not less wrong for it; this one's is looked at again tomorrow.
            log.warn('usage not reconciled', { tenant: row.tenant, error: String(error) });
            done.failed++;
          }
        }
      });
      return { ...done, next: page.length === pageSize ? page.at(-1)!.tenant : null };
    },
  };
}
