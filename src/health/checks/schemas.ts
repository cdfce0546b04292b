import type { Finding } from '../../domain/health/checks.js';
import { runningKinds } from '../../registry/operations.js';
import { type SchemaRow, schemasOf } from '../../registry/schemas.js';
import type { TenantRow } from '../../registry/tenants.js';
import { isInPackage } from '../../vespa/activePackage.js';
import { answersFor } from '../../vespa/convergence.js';
import { type Check, type CheckContext, unlessThere } from './check.js';

/** The registry's schemas of the tenant are in the live package, and the container answers for each. */
export const schemasCheck: Check = {
  name: 'schemas',
  needs: ['vespa'],
  skip: unlessThere,
  settledOnly: true,
  async run(context) {
    const { resources, row } = context;
    // Before the package: what is deployed by a row that was read is in a package that is read after it.
    const owned = await schemasOf(resources.pool, row.incarnation);
    if (owned.length === 0)
      return [
        {
          subject: 'none',
          severity: 'critical',
          message: 'it has no schema at all: nothing can be stored or found',
          fix: `cvops schema deploy --tenant ${row.tenant} --profiles PROFILE`,
        },
      ];
    const found = await Promise.all(owned.map((schema) => lookAt(context, schema)));
    return found.flat();
  },
};

async function lookAt(
  { resources, row, activePackage }: CheckContext,
  schema: SchemaRow,
): Promise<Finding[]> {
  const { schemaName, state, generation } = schema;
  const found = (severity: 'warning' | 'critical', message: string): Finding[] => [
    { subject: schemaName, severity, message, ...mending(row) },
  ];
  if (state === 'reserved') {
    // A rollout claims names some time before it deploys them.
    const rollout = (await runningKinds(resources.pool)).has('deploySchemas');
    return rollout ? [] : found('warning', `schema ${schemaName} is claimed and was never deployed`);
  }
  if (!isInPackage(await activePackage(), schemaName))
    return found(
      'critical',
      `schema ${schemaName} was deployed (generation ${generation}) and is not in the application package any more`,
    );
  if (await answersFor(resources.vespaUrl, schemaName, AbortSignal.timeout(10_000))) return [];
  return [
    {
      subject: schemaName,
      severity: 'critical',
      message: `schema ${schemaName} is in the package, and the container does not answer for it: not converged`,
      fix: `curl '${resources.configServer.convergenceUrl}'`,
    },
  ];
}

function mending({ tenant, state }: TenantRow): Pick<Finding, 'fix' | 'repair'> {
  const deploy = `cvops schema deploy --tenant ${tenant}`;
  if (state === 'active') return { fix: deploy, repair: 'deploy-schemas' };
  return { fix: `cvops tenant reactivate ${tenant} && ${deploy}` };
}
