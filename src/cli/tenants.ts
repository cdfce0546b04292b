import type { Command } from 'commander';
import { OpsError } from '../domain/errors.js';
import { parseTenantId, quoteForMessage } from '../domain/ids.js';
import { DEFAULT_PROFILES, parseProfile } from '../domain/profiles.js';
import { DEFAULT_TEMPLATE, TEMPLATES } from '../domain/templates.js';
import { TENANT_STATES, type TenantState } from '../domain/states.js';
import {
  type CommonOptions,
  type WaitOptions,
  collectSetting,
  follow,
  withClient,
  withOutput,
  withWait,
} from './context.js';
import { answer, note, table } from './output.js';

interface CreateOptions extends WaitOptions {
  readonly template: string;
  readonly set: Record<string, string>;
  readonly profiles: string;
  readonly overrideQuarantine: boolean;
}

export function addTenantCommands(program: Command): Command {
  const tenant = program.command('tenant').description('tenants, from creation to proven erasure');

  withWait(
    tenant
      .command('create <id>')
      .description('create a tenant: configuration, schemas, Phoenix project, memory')
      .option(
        '--template <name>',
        `${Object.keys(TEMPLATES).join(', ')}, or one of: cvops template list`,
        DEFAULT_TEMPLATE,
      )
      .option('--set <key=value>', 'override a value of the template; may be repeated', collectSetting, {})
      .option('--profiles <names>', 'comma-separated', DEFAULT_PROFILES.join(','))
      .option('--override-quarantine', 'take the name of a tenant that was purged a short while ago', false),
  ).action(async (id: string, options: CreateOptions) => {
    const request = {
      tenant: parseTenantId(id),
      template: options.template,
      overrides: options.set,
      profiles: options.profiles.split(',').map(parseProfile),
      overrideQuarantine: options.overrideQuarantine,
      reason: options.reason,
    };
    await withClient(async (client) => {
      if (options.dryRun) {
        const plan = await client.planTenant(request);
        answer(options.output, { dryRun: true, ...plan }, () => JSON.stringify(plan, null, 2));
        return;
      }
      const handle = await client.createTenant(request);
      const created = await follow(handle, options);
      if (!created) {
        answer(
          options.output,
          { tenant: request.tenant, state: 'creating', operation: handle.operation },
          () => `creating ${request.tenant}`,
        );
        return;
      }
      answer(options.output, created, () =>
        [
          `tenant ${created.tenant} is active`,
          `  Phoenix project  ${created.phoenixProject}`,
          ...created.schemas.map((s) => `  schema           ${s}`),
        ].join('\n'),
      );
    });
  });

  withOutput(
    tenant.command('list').description('all tenants').option('--state <state>', TENANT_STATES.join(', ')),
  ).action(async (options: CommonOptions & { state?: string }) => {
    const state = options.state === undefined ? undefined : parseState(options.state);
    await withClient(async (client) => {
      const tenants = await client.listTenants(state);
      answer(options.output, { tenants }, () =>
        table(
          ['TENANT', 'STATE', 'TEMPLATE', 'SCHEMAS', 'CREATED'],
          tenants.map((t) => [t.tenant, t.state, t.template, t.schemas.length, t.createdAt]),
        ),
      );
    });
  });

  withOutput(tenant.command('show <id>').description('one tenant: state, schemas, configuration')).action(
    async (id: string, options: CommonOptions) => {
      const tenantId = parseTenantId(id);
      await withClient(async (client) => {
        const shown = await client.showTenant(tenantId);
        answer(options.output, shown, () => JSON.stringify(shown, null, 2));
        if (shown.state === 'creation_failed')
          note(`its creation failed; try again with: cvops tenant create ${tenantId}`);
      });
    },
  );
  return tenant;
}

function parseState(text: string): TenantState {
  if ((TENANT_STATES as readonly string[]).includes(text)) return text as TenantState;
  throw new OpsError(
    'InvalidInput',
    `no such state: ${quoteForMessage(text)}`,
    `states: ${TENANT_STATES.join(', ')}`,
  );
}
