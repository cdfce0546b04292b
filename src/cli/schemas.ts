import type { Command } from 'commander';
import { parseTenantId } from '../domain/ids.js';
import { type CommonOptions, withClient, withOutput } from './context.js';
import { EXIT, ExitWith, answer, table } from './output.js';

export function addSchemaCommands(program: Command): void {
  const schema = program.command('schema').description('see and verify the schemas of tenants');

  withOutput(
    schema.command('list').description('schemas by tenant, from the registry').option('--tenant <id>'),
  ).action(async (options: CommonOptions & { tenant?: string }) => {
    const tenant = options.tenant === undefined ? undefined : parseTenantId(options.tenant);
    await withClient(async (client) => {
      const tenants = await client.listSchemas(tenant);
      answer(options.output, { tenants }, () =>
        table(
          ['TENANT', 'SCHEMA'],
          Object.entries(tenants).flatMap(([id, names]) => names.map((name) => [id, name])),
        ),
      );
    });
  });

  withOutput(
    schema
      .command('verify')
      .description('compare the registry with the active application package; exits 8 on a difference')
      .option('--tenant <id>', 'only what this tenant owns'),
  ).action(async (options: CommonOptions & { tenant?: string }) => {
    const tenant = options.tenant === undefined ? undefined : parseTenantId(options.tenant);
    await withClient(async (client) => {
      const result = await client.verifySchemas(tenant);
      answer(options.output, result, () =>
        result.ok
          ? 'registry and package agree'
          : table(
              ['SCHEMA', 'PROBLEM'],
              [
                ...result.missing.map((s) => [s, 'not in the package']),
                ...result.unexpected.map((s) => [s, 'not in the registry']),
              ],
            ),
      );
      if (!result.ok) throw new ExitWith(EXIT.verification);
    });
  });
}
