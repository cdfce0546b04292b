import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { HardDeleteInput, RetentionInput } from '../contracts/life.js';
import { parseOperationId } from '../domain/ids.js';
import { workflowIds } from '../domain/naming.js';
import { DEFAULT_SECOND_LOOK_SECONDS } from '../domain/purge.js';
import type { Pool } from '../registry/database.js';
import { findPurgeRequest } from '../registry/purgeStores.js';
import { type TenantRow, everyTenant } from '../registry/tenants.js';
import { operationOptions } from './start.js';
import { isOpen } from './runs.js';

const MAX_REASON = 1000;
const BY = { principal: 'system', reason: 'reconciled: nothing was waiting for it' } as const;

/** @returns how many of each were started, because none ran */
export async function reconcileRetention(
  pool: Pool,
  client: Client,
  cluster: string,
  onTenant: (tenant: string) => void,
): Promise<{ retentions: number; purges: number }> {
  const started = { retentions: 0, purges: 0 };
  for (const state of ['inactive', 'purging'] as const) {
    for (const row of await everyTenant(pool, state)) {
      onTenant(row.tenant);
      const workflowId =
        state === 'inactive' ? workflowIds.retention(row.tenant) : workflowIds.purge(row.tenant);
      if (await isOpen(client, workflowId)) continue;
      if (state === 'inactive') await startRetention(client, cluster, row);
      else await resumePurge(pool, client, cluster, row);
      started[state === 'inactive' ? 'retentions' : 'purges']++;
    }
  }
  return started;
}

/** What takes up the wait of a tenant that is inactive by the registry. */
export function waitingRetention({ tenant, incarnation }: TenantRow, cluster: string): RetentionInput {
  return { version: 1, tenant, incarnation, cluster };
}

/** Takes up the wait of an inactive tenant; one that waits already goes on. */
export async function startRetention(client: Client, cluster: string, row: TenantRow): Promise<void> {
  const start = {
    ...BY,
    kind: 'softDeleteTenant',
    workflowId: workflowIds.retention(row.tenant),
    tenant: row.tenant,
    operation: parseOperationId(randomUUID()),
    summary: `retention of tenant ${row.tenant}`,
    priority: 3,
  } as const;
  const options = operationOptions(start, waitingRetention(row, cluster));
  await client.workflow.start('softDeleteTenant', { ...options, workflowIdConflictPolicy: 'USE_EXISTING' });
}

async function resumePurge(pool: Pool, client: Client, cluster: string, row: TenantRow): Promise<void> {
  const { tenant, incarnation } = row;
  const operation = parseOperationId(randomUUID());
  const former = await findPurgeRequest(pool, row);
  const by = { ...BY, reason: resumedReason(former) };
  const input: HardDeleteInput = {
    ...by,
    tenant,
    incarnation,
    operation,
    // Why it is deleted stays what it was: the certificate says it.
    trigger: former?.trigger ?? 'requested',
    cluster,
    secondLookSeconds: DEFAULT_SECOND_LOOK_SECONDS,
    rehearsal: null,
  };
  const start = {
    ...by,
    kind: 'hardDeleteTenant',
    workflowId: workflowIds.purge(tenant),
    tenant,
    operation,
    summary: `delete tenant ${tenant} for good`,
    priority: 3,
  } as const;
  const options = operationOptions(start, input);
  await client.workflow.start('hardDeleteTenant', { ...options, workflowIdConflictPolicy: 'USE_EXISTING' });
}

/** Names the person behind it, also after several of these in a row. */
function resumedReason(former: Awaited<ReturnType<typeof findPurgeRequest>>): string {
  if (former === undefined) return BY.reason;
  const { principal, reason } = former;
  if (principal === BY.principal) return reason;
  return `reconciled: ${principal} had asked for it: ${reason}`.slice(0, MAX_REASON);
}
