import type { Command } from 'commander';
import type { Quotas } from '../client/quotas.js';
import { parseTenantId } from '../domain/ids.js';
import { QUOTA_NAMES, QUOTA_PERIODS, QUOTA_RESOURCES, parseQuotaChanges } from '../domain/quotas.js';
import { type ChangeOptions, type CommonOptions, withChange, withClient, withOutput } from './context.js';
import { answer, table } from './output.js';

interface SetOptions extends ChangeOptions {
  readonly period?: string;
}

export function addQuotaCommands(program: Command): void {
  const quota = program.command('quota').description('what a tenant may have and ask for');

  withOutput(
    quota.command('show <id>').description('limits, what is used of them, and when they reset'),
  ).action(async (id: string, options: CommonOptions) => {
    const tenant = parseTenantId(id);
    await withClient(async (client) => {
      const shown = await client.quotas.show(tenant);
      answer(options.output, shown, () => quotaTable(shown));
    });
  });

  withChange(
    quota
      .command('set <id> <resource=max...>')
      .description(`set limits, or take them away with none, all or nothing: ${QUOTA_NAMES.join(', ')}`)
      .option('--period <period>', `what api_calls are counted by: ${QUOTA_PERIODS.join(' or ')}`),
  ).action(async (id: string, texts: string[], options: SetOptions) => {
    const tenant = parseTenantId(id);
    const changes = parseQuotaChanges(texts, options.period);
    const { dryRun, reason, output } = options;
    await withClient(async (client) => {
      const set = await client.quotas.set(tenant, changes, reason, dryRun);
      answer(output, { ...(dryRun ? { dryRun } : {}), ...set }, () => quotaTable(set));
    });
  });
}

function quotaTable({ quotas: { max_qps: rate, ...quotas } }: Quotas): string {
  const limit = (max: number | null) => max ?? 'no limit';
  return table(
    ['RESOURCE', 'USED', 'RESERVED', 'LIMIT', 'RESETS'],
    [
      ...QUOTA_RESOURCES.map((name) => {
        const { used, reserved, max, resetsAt } = quotas[name];
        return [name, used, reserved, limit(max), resetsAt ?? '–'];
      }),
      ['max_qps', '–', '–', limit(rate.max), 'each second'],
    ],
  );
}
