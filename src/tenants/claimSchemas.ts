import { OpsError } from '../domain/errors.js';
import type { Incarnation, TenantId } from '../domain/ids.js';
import { tenantSchemaName } from '../domain/naming.js';
import type { BaseSchema } from '../domain/profiles.js';
import type { Pool } from '../registry/database.js';
import { registeredNames, reserveSchemas } from '../registry/schemas.js';
import { readPackage } from '../vespa/activePackage.js';
import type { ConfigServer } from '../vespa/configServer.js';

/**
 * Claims the physical names of a tenant's schemas. A name that the package has and no row names is somebody else's: to
 * take it over would give the tenant their documents, and delete them with the tenant. Again is fine.
 *
 * @throws OpsError `Conflict` naming what collides; see `reserveSchemas` for the others
 */
export async function claimSchemas(
  pool: Pool,
  server: ConfigServer,
  tenant: TenantId,
  incarnation: Incarnation,
  bases: readonly BaseSchema[],
): Promise<void> {
  const names = bases.map((base) => tenantSchemaName(base, tenant));
  const registered = await registeredNames(pool, names);
  const fresh = names.filter((name) => !registered.has(name));
  if (fresh.length > 0) {
    const { files, mapped } = await readPackage(server);
    const taken = fresh.filter((name) => files.has(name) || mapped.has(name));
    if (taken.length > 0)
      throw new OpsError(
        'Conflict',
        `${taken.join(', ')} is in the Vespa application already, and is nobody's by the registry`,
        'choose another tenant id, or look whose it is: cvops schema verify',
      );
  }
  await reserveSchemas(pool, tenant, incarnation, bases);
}
