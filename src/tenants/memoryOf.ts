import { OpsError } from '../domain/errors.js';
import type { Incarnation, TenantId } from '../domain/ids.js';
import { MEMORY_SCHEMA } from '../domain/profiles.js';
import type { TenantLife } from '../memory/tenantMemory.js';
import type { Queryable } from '../registry/database.js';
import { deployed, schemasOf } from '../registry/schemas.js';

/**
 * Where a life keeps its memories, by the registry's row.
 *
 * @throws OpsError `WrongState` when it was created without memory, or its schema is not in Vespa
 */
export async function memoryOf(
  db: Queryable,
  {
    tenant,
    incarnation,
    memoryEnabled,
  }: { readonly tenant: TenantId; readonly incarnation: Incarnation; readonly memoryEnabled: boolean },
): Promise<TenantLife> {
  const found = deployed(await schemasOf(db, incarnation), MEMORY_SCHEMA);
  if (found) return { tenant, incarnation, schema: found.schemaName };
  if (memoryEnabled)
    throw new OpsError(
      'WrongState',
      `the memory schema of tenant ${tenant} is not in Vespa`,
      `see what is missing: cvops schema verify --tenant ${tenant}`,
    );
  throw new OpsError(
    'WrongState',
    `tenant ${tenant} has no memory: it was created without`,
    'memory is chosen at creation: cvops tenant create ID --set memory_enabled=true',
  );
}
