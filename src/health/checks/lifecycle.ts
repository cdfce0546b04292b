import type { Client } from '@temporalio/client';
import type { Finding } from '../../domain/health/checks.js';
import { workflowIds } from '../../domain/naming.js';
import { isOver, lossOf } from '../../operations/lost.js';
import { isOpen } from '../../operations/runs.js';
import { findOperation } from '../../registry/operations.js';
import type { Check, CheckContext } from './check.js';

/** What a state waits for is under way: a creation, the retention of an inactive tenant, a purge. */
export const lifecycleCheck: Check = {
  name: 'lifecycle',
  needs: ['temporal'],
  skip: ({ state }) =>
    state === 'creating' || state === 'inactive' || state === 'purging'
      ? undefined
      : `nothing is to come of a tenant that is ${state}`,
  settledOnly: false,
  async run(context) {
    const client = await context.temporal();
    switch (context.row.state) {
      case 'creating':
        return creation(context, client);
      case 'inactive':
        return retention(context, client);
      default:
        return purge(context, client);
    }
  },
};

async function creation({ resources, row, now }: CheckContext, client: Client): Promise<Finding[]> {
  const { tenant, createOperation } = row;
  const operation = await findOperation(resources.pool, createOperation);
  if (await isOpen(client, operation?.workflowId ?? workflowIds.createTenant(tenant))) return [];
  const message = 'its creation has begun and nothing goes on with it';
  const loss = operation?.state === 'running' ? await lossOf(client, operation) : undefined;
  return [
    {
      ...{ subject: 'creation', severity: 'critical', message, fix: `cvops tenant delete ${tenant} --hard` },
      ...(loss !== undefined && isOver(loss, now) ? { repair: 'end-operations' } : {}),
    },
  ];
}

async function retention({ resources, row }: CheckContext, client: Client): Promise<Finding[]> {
  const { tenant, purgeAt, unfinishedRestore } = row;
  const found: Finding[] = [];
  if (unfinishedRestore !== null) {
    const restore = await findOperation(resources.pool, unfinishedRestore);
    // It is closed while it is restored into: its retention is not what it waits for.
    if (restore?.state === 'running' && (await isOpen(client, restore.workflowId))) return [];
    found.push({
      subject: 'restore',
      severity: 'warning',
      message: `a restore into it did not end well (operation ${unfinishedRestore}): it may hold half of a backup`,
      fix: `cvops op show ${unfinishedRestore}`,
    });
  }
  if (!(await isOpen(client, workflowIds.retention(tenant))))
    found.push({
      subject: 'retention',
      severity: 'critical',
      message: `its retention is not waited out: nobody would give notice, nor purge it at ${purgeAt}`,
      fix: `cvops diagnose ${tenant} --repair`,
      repair: 'start-retention',
    });
  return found;
}

async function purge({ row: { tenant } }: CheckContext, client: Client): Promise<Finding[]> {
  if (await isOpen(client, workflowIds.purge(tenant))) return [];
  const message = 'its purge has begun and nothing goes on with it: its data is still there';
  return [{ subject: 'purge', severity: 'critical', message, fix: `cvops tenant delete ${tenant} --hard` }];
}
