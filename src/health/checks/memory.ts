import { addressOf } from '../../memory/documents.js';
import { MEMORY_SCHEMA } from '../../domain/profiles.js';
import { schemasOf } from '../../registry/schemas.js';
import { isInPackage } from '../../vespa/activePackage.js';
import { type Check, unlessThere } from './check.js';

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
    const fix = `cvops schema deploy --tenant ${tenant} --profiles ${MEMORY_SCHEMA}`;
    if (found === undefined) {
      const message = 'memory is on, and it has no memory schema in Vespa';
      return [{ subject: 'schema', severity: 'critical', message, fix }];
    }
    const schema = found.schemaName;
    // Not deployed, or lost from the package, it is one thing that is wrong, and the schemas' to tell.
    if (found.state !== 'deployed' || !isInPackage(await activePackage(), schema)) return [];
    try {
      const signal = AbortSignal.timeout(10_000);
      await resources.documents.get(addressOf({ tenant, incarnation, schema }, incarnation), { signal });
      return [];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const message = `a read of its memories fails: ${why}`.slice(0, 500);
      return [{ subject: 'read', severity: 'critical', message, fix: `cvops memory stats ${tenant}` }];
    }
  },
};
