import type { Command } from 'commander';
import type { CvopsClient } from '../client/index.js';
import type { DeploySchemasRequest, SchemaDrift } from '../client/schemas.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { parseBaseSchema } from '../domain/profiles.js';
import { confirm } from './confirm.js';
import {
  type ChangeOptions,
  type CommonOptions,
  type WaitOptions,
  follow,
  wholeNumber,
  withChange,
  withClient,
  withOutput,
  withWait,
} from './context.js';
import { endWith } from './ending.js';
import { EXIT, ExitWith, answer, note, table } from './output.js';

export function addSchemaCommands(program: Command): void {
  const schema = program.command('schema').description('schemas of tenants in the Vespa application');

  withOutput(
    schema.command('list').description('schemas by tenant, from the registry').option('--tenant <id>'),
  ).action(async (options: CommonOptions & { tenant?: string }) => {
    const tenant = options.tenant === undefined ? undefined : parseTenantId(options.tenant);
    await withClient(async (client) => {
      const tenants = await client.schemas.list(tenant);
      answer(options.output, { tenants }, () =>
        table(
          ['TENANT', 'SCHEMA'],
          Object.entries(tenants).flatMap(([id, names]) => names.map((name) => [id, name])),
        ),
      );
    });
  });

  withWait(
    schema
      .command('deploy')
      .description('bring schemas to where they should be, in waves of 1, 10 % and all')
      .option('--tenant <ids...>', 'these tenants')
      .option('--all', 'every active tenant', false)
      .option('--profiles <names>', 'base schemas that each gets, comma-separated; by default those each has')
      .option(
        '--max-failures <n>',
        'stop after a wave when more tenants than this have failed',
        wholeNumber,
        0,
      ),
  ).action(async (options: DeployOptions) => {
    const request: DeploySchemasRequest = {
      tenants: whom(options),
      bases: options.profiles === undefined ? null : options.profiles.split(',').map(parseBaseSchema),
      maxFailures: options.maxFailures,
      reason: options.reason,
    };
    await withClient((client) => deploy(client, request, options));
  });

  withWait(
    schema
      .command('verify')
      .description('compare the registry with the active application package; exits 8 on a difference')
      .option('--tenant <id>', 'only what this tenant owns')
      .option('--repair', 'deploy again what is missing', false),
  ).action(async (options: WaitOptions & { tenant?: string; repair: boolean }) => {
    const tenant = options.tenant === undefined ? undefined : parseTenantId(options.tenant);
    await withClient((client) => verify(client, tenant, options));
  });

  withChange(
    schema
      .command('drop <name>')
      .description('take a schema out of the package that is nobody’s by the registry, with its documents')
      .option('--confirm <name>', 'the name once more; asked for at a terminal'),
  ).action(async (name: string, options: ChangeOptions & { confirm?: string }) => {
    if (!options.dryRun) await confirm(name, options.confirm, `dropping schema ${name}`);
    await withClient(async (client) => {
      if (options.dryRun) {
        const schemas = await client.schemas.planDrop([name]);
        return answer(
          options.output,
          { dryRun: true, schemas },
          () => `would drop ${name} with ${schemas[0]!.documents} document(s)`,
        );
      }
      const dropped = await client.schemas.dropUnregistered([name], options.reason);
      answer(options.output, dropped, () => `dropped ${name}`);
    });
  });
}

interface DeployOptions extends WaitOptions {
  readonly tenant?: string[];
  readonly all: boolean;
  readonly profiles?: string;
  readonly maxFailures: number;
}

function whom({ tenant, all }: DeployOptions): 'all' | TenantId[] {
  if (all && tenant === undefined) return 'all';
  if (!all && tenant !== undefined) return tenant.flatMap((text) => text.split(',')).map(parseTenantId);
  throw new OpsError('InvalidInput', 'for whom?', 'either --tenant ID … or --all');
}

async function deploy(
  client: CvopsClient,
  request: DeploySchemasRequest,
  options: WaitOptions,
): Promise<void> {
  if (options.dryRun) {
    const plan = await client.schemas.plan(request);
    answer(options.output, { dryRun: true, ...plan }, () => JSON.stringify(plan, null, 2));
    return;
  }
  const handle = await client.schemas.deploy(request);
  const result = await follow(handle, options);
  if (!result) {
    answer(options.output, { operation: handle.operation, deployed: [], deployments: 0 }, () => 'deploying');
    return;
  }
  const { deployed, failures } = await client.schemas.rolled(handle.operation);
  answer(options.output, { ...result, deployed, failures }, () =>
    [
      `${result.tenants.done} tenant(s) done, ${result.tenants.failed} failed, ${result.tenants.skipped} skipped, in ${result.deployments} deploy(s)`,
      ...failures.map(({ tenant, reason }) => `  ${tenant}: ${reason}`),
    ].join('\n'),
  );
  endWith('deploySchemas', failures.length === 0, { done: result.tenants.done });
}

async function verify(
  client: CvopsClient,
  tenant: TenantId | undefined,
  options: WaitOptions & { readonly repair: boolean },
): Promise<void> {
  let drift = await client.schemas.verify(tenant);
  if (options.repair && drift.repairable.length > 0 && !options.dryRun) {
    const { reason } = options;
    // A repair goes on past one that fails: each is missing already.
    const request = { tenants: drift.repairable, bases: null, maxFailures: drift.repairable.length, reason };
    await follow(await client.schemas.deploy(request), options);
    drift = await client.schemas.verify(tenant);
  }
  const { ok, missing, unexpected } = drift;
  answer(options.output, { ok, missing, unexpected }, () => driftTable(drift));
  if (missing.length > 0) note('deploy them again with: cvops schema verify --repair');
  if (unexpected.length > 0) note('nobody’s by the registry; take one out with: cvops schema drop NAME');
  if (!ok) throw new ExitWith(EXIT.verification);
}

function driftTable({ ok, missing, unexpected }: SchemaDrift): string {
  if (ok) return 'registry and package agree';
  return table(
    ['SCHEMA', 'PROBLEM'],
    [...missing.map((s) => [s, 'not in the package']), ...unexpected.map((s) => [s, 'not in the registry'])],
  );
}
