import type { SchemaChangeRequest } from '../../../src/contracts/tenants.js';
import { javaHashCode, tenantSchemaName } from '../../../src/domain/naming.js';
import type { Pool } from '../../../src/registry/database.js';
import { allSchemas, markDeployed, markRemoved, schemasOf } from '../../../src/registry/schemas.js';
import { deployRequests, sdFile } from '../../../src/vespa/application.js';
import { ConfigServer } from '../../../src/vespa/configServer.js';
import { withRemovalAllowed } from '../../../src/vespa/package/overrides.js';
import { generateSd } from '../../../src/vespa/package/sd.js';
import { INITIAL_HOSTS, initialServices } from '../../../src/vespa/package/services.js';
import { loadSchema } from '../../../src/vespa/schemaFiles.js';
import type { Activities, Mutant } from './lane.js';

/** Faults that a multi-tenant system is built with every day, each in place of the code that does it right. */
export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'schemas are found by their suffix': removesBy((name, tenant) => name.endsWith(`_${tenant}`)),

  'schemas are found by the last part of their name': removesBy(
    (name, tenant) => name.split('_').at(-1) === tenant.split('_').at(-1),
  ),

  'configuration is deleted by a prefix of the tenant': (_real, { pool }) => ({
    async eraseConfiguration({ tenant }) {
      await pool.query(
        `delete from config_versions using tenants t
         where t.incarnation = config_versions.incarnation and starts_with(t.tenant, $1)`,
        [tenant],
      );
    },
  }),

  'the package is rebuilt from the rows of one tenant': (_real, { pool, vespaUrl }) => ({
    deployBatch: eachRequest(async (request) => {
      const rows = await schemasOf(pool, request.incarnation!);
      const kept = rows.filter(({ baseSchema }) => !request.remove.includes(baseSchema));
      const files = new Map([
        ['services.xml', Buffer.from(initialServices(kept.map(({ schemaName }) => schemaName)))],
        ['hosts.xml', Buffer.from(INITIAL_HOSTS)],
        ['validation-overrides.xml', Buffer.from(withRemovalAllowed(undefined, new Date()))],
        ...kept.map(({ schemaName, baseSchema }) => {
          const sd = generateSd(schemaName, loadSchema(baseSchema));
          return [sdFile(schemaName), Buffer.from(sd)] as const;
        }),
      ]);
      const generation = await new ConfigServer(vespaUrl).prepareAndActivate(files);
      await note(pool, request, generation);
      return generation;
    }),
  }),

  'names are claimed without looking whether they are taken': claims([
    'tenant_schemas_pkey',
    'tenant_schemas_java_hash_key',
  ]),

  'names are compared, and their Java hashes are not': claims(['tenant_schemas_java_hash_key']),
};

/** Takes out whatever of the registry's schemas looks like the tenant's. */
function removesBy(looksLike: (schema: string, tenant: string) => boolean): Mutant {
  return (real, { pool, vespaUrl }) => ({
    deployBatch: (input) =>
      input.requests.every(({ remove }) => remove.length === 0)
        ? real.deployBatch(input)
        : eachRequest(async (request) => {
            const { id, tenant } = request;
            const names = (await allSchemas(pool)).map(({ schemaName }) => schemaName);
            const remove = names.filter((name) => looksLike(name, tenant!));
            const server = new ConfigServer(vespaUrl);
            const { generation } = await deployRequests(server, [{ id, put: [], remove }]);
            await note(pool, request, generation);
            return generation;
          })(input),
  });
}

/** Claims whatever the table lets in, when these rules of it are gone. */
function claims(without: readonly string[]): Mutant {
  return (real, { pool }) => ({
    async reserveSchemas(input) {
      const { tenant, incarnation, bases } = input;
      const drops = without.map((rule) => `drop constraint if exists ${rule}`);
      await pool.query(`alter table tenant_schemas ${drops.join(', ')}`);
      for (const base of bases) {
        const name = tenantSchemaName(base, tenant);
        const { rowCount } = await pool.query(
          `insert into tenant_schemas (schema_name, java_hash, incarnation, base_schema, state)
           values ($1, $2, $3, $4, 'reserved') on conflict do nothing`,
          [name, javaHashCode(name), incarnation, base],
        );
        if (rowCount === 0) await real.reserveSchemas(input);
      }
    },
  });
}

function eachRequest(change: (request: SchemaChangeRequest) => Promise<number>): Activities['deployBatch'] {
  return async ({ requests }) => {
    const outcomes = [];
    for (const request of requests)
      outcomes.push({ id: request.id, ok: true, generation: await change(request) });
    return { outcomes, generation: outcomes.at(-1)?.generation ?? 0, deploys: outcomes.length };
  };
}

async function note(
  pool: Pool,
  { incarnation, add, remove }: SchemaChangeRequest,
  generation: number,
): Promise<void> {
  await markDeployed(pool, incarnation!, add, generation);
  await markRemoved(pool, incarnation!, remove);
}
