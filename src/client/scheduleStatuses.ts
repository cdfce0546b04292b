import type { Client } from '@temporalio/client';
import type { TenantId } from '../domain/ids.js';
import { schedulesOfKind } from '../registry/tenantSchedules.js';
import { getTenant } from '../registry/tenants.js';
import type { Connections } from './connections.js';

/** Schedules described at once. */
const AT_ONCE = 10;

type Row = Awaited<ReturnType<typeof schedulesOfKind>>[number];

/** How the schedules of one kind stand, of one tenant or of all. @throws OpsError `NotFound` */
export async function statusesOf<Status>(
  connections: Connections,
  kind: string,
  tenant: TenantId | undefined,
  statusOf: (client: Client, row: Row) => Promise<Status>,
): Promise<Status[]> {
  const { pool } = connections;
  if (tenant !== undefined) await getTenant(pool, tenant);
  const rows = await schedulesOfKind(pool, kind, tenant);
  const client = await connections.temporal();
  const all: Status[] = [];
  for (let from = 0; from < rows.length; from += AT_ONCE)
    all.push(...(await Promise.all(rows.slice(from, from + AT_ONCE).map((row) => statusOf(client, row)))));
  return all;
}
