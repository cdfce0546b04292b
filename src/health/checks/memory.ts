import { tenantSchemaName } from '../../domain/naming.js';
import { addressOf } from '../../memory/documents.js';
import { MEMORY_SCHEMA } from '../../domain/profiles.js';
import { schemasOf } from '../../registry/schemas.js';
import { isInPackage } from '../../vespa/activePackage.js';
import { type Check, unlessThere } from './check.js';

const ANSWER_MS = 10_000;

/** Where a tenant has memory, its schema answers a read. Nothing is written: a creation proves that it keeps what it is given. */
export const memoryCheck: Check = {
  name: 'memory',
  needs: ['vespa'],
  skip: (row) =>
    unlessThere(row) ?? (row.memoryEnabled ? undefined : 'the tenant was created without memory'),
  settledOnly: true,
  async run({ resources, row, activePackage }) {
    const { tenant, incarnation } = row;
    const owned = await schemasOf(resources.pool, incarnation);
    const found = owned.find(({ baseSchema }) => baseSchema === MEMORY_SCHEMA);
    if (found === undefined) {
      const name = tenantSchemaName(MEMORY_SCHEMA, tenant);
      // A deploy takes no name over that the package has already: whose memories are in it nobody could say.
      const { files, mapped } = await activePackage();
      const isLeft = files.has(name) || mapped.has(name);
      return [
        {
          subject: 'schema',
          severity: 'critical',
          message: isLeft
            ? `memory is on, and the registry does not know its schema ${name}, which is in Vespa`
            : 'memory is on, and it has no memory schema in Vespa',
          fix: isLeft
            ? 'cvops schema verify'
            : `cvops schema deploy --tenant ${tenant} --profiles ${MEMORY_SCHEMA}`,
        },
      ];
    }
    const schema = found.schemaName;
    // Not deployed, or lost from the package, it is one thing that is wrong, and the schemas' to tell.
    if (found.state !== 'deployed' || !isInPackage(await activePackage(), schema)) return [];
    const signal = AbortSignal.timeout(ANSWER_MS);
    try {
      await resources.documents.get(addressOf({ tenant, incarnation, schema }, incarnation), { signal });
      return [];
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      const why = signal.aborted ? `no answer within ${ANSWER_MS / 1000} s` : said;
      const message = `a read of its memories fails: ${why}`.slice(0, 500);
      return [{ subject: 'read', severity: 'critical', message, fix: `cvops memory stats ${tenant}` }];
    }
  },
};
