import { createHash } from 'node:crypto';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import type { TenantState } from '../../src/domain/states.js';
import type { PhoenixClient } from '../../src/phoenix/client.js';
import { countSpans } from '../../src/phoenix/storedSpans.js';
import type { Pool } from '../../src/registry/database.js';
import { schemasOf } from '../../src/registry/schemas.js';
import { getTenant, insertTenant, setTenantState } from '../../src/registry/tenants.js';
import { readPackage } from '../../src/vespa/activePackage.js';
import type { ConfigServer } from '../../src/vespa/configServer.js';
import type { DocumentClient } from '../../src/vespa/documents.js';
import { lifeOf } from './registry.js';

export interface Outside {
  readonly pool: Pool;
  readonly documents: DocumentClient;
  readonly configServer: ConfigServer;
  readonly phoenix: PhoenixClient;
}

/** One digest of everything a tenant has, in every store: what an operation on somebody else must leave as it was. */
export async function digestOf(
  { pool, documents, configServer, phoenix }: Outside,
  id: string,
): Promise<string> {
  const { incarnation, state, purgeAt } = await getTenant(pool, parseTenantId(id));
  const rows = async (sql: string): Promise<unknown[]> => (await pool.query<object>(sql, [incarnation])).rows;
  const { contentCluster } = await readPackage(configServer);
  const schemas: unknown[] = [];
  for (const { schemaName } of await schemasOf(pool, incarnation)) {
    const sd = await configServer.readFile(`schemas/${schemaName}.sd`);
    schemas.push([schemaName, sd?.toString('utf8'), await documents.count(schemaName, contentCluster)]);
  }
  const range = { from: new Date(0), to: new Date('9999-01-01T00:00:00Z') };
  const all = [
    [state, purgeAt],
    schemas,
    await rows('select * from config_versions where incarnation = $1 order by scope, service, key, version'),
    await rows('select * from videos where incarnation = $1 order by base_schema, video'),
    await rows('select * from tenant_schedules where incarnation = $1 order by schedule_id'),
    await countSpans(phoenix, phoenixProjectName(parseTenantId(id)), range),
  ];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}

/** A tenant that the registry says is in a state, with nothing in any other store. */
export async function tenantInState(pool: Pool, id: string, state: TenantState): Promise<TenantId> {
  const life = lifeOf(id);
  await insertTenant(pool, life);
  if (state === 'creating') return life.tenant;
  const inactiveUntil = state === 'inactive' ? new Date(Date.now() + 5 * 24 * 3600 * 1000) : undefined;
  await setTenantState(pool, life.incarnation, ['creating'], state, inactiveUntil);
  return life.tenant;
}
