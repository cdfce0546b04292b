import type { Command } from 'commander';
import { parseTenantId } from '../domain/ids.js';
import { parseEvery } from '../domain/watches.js';
import {
  type ChangeOptions,
  type CommonOptions,
  wholeNumber,
  withChange,
  withClient,
  withOutput,
} from './context.js';
import { answer, table } from './output.js';

interface ListOptions extends CommonOptions {
  readonly tenant?: string;
  readonly resolved: boolean;
  readonly limit: number;
}

export function addAlertCommands(program: Command): void {
  const alert = program.command('alert').description('what health checks found wrong');

  withOutput(
    alert
      .command('list')
      .description('open alerts, newest first')
      .option('--tenant <id>')
      .option('--resolved', 'those that are over as well', false)
      .option('--limit <n>', 'rows at most', wholeNumber, 100),
  ).action(async ({ tenant: given, resolved, limit, output }: ListOptions) => {
    const tenant = given === undefined ? undefined : parseTenantId(given);
    await withClient(async (client) => {
      const alerts = await client.alerts.list(tenant, { resolved, limit });
      answer(output, { alerts }, () =>
        table(
          ['ALERT', 'SEVERITY', 'TENANT', 'OPENED', 'STATE', 'WHAT'],
          alerts.map((each) => [
            ...[each.id, each.severity, each.tenant ?? '(installation)', each.openedAt],
            each.resolvedAt !== null
              ? `resolved ${each.resolvedAt}`
              : each.silencedUntil !== null
                ? `silenced until ${each.silencedUntil}`
                : 'open',
            each.message,
          ]),
        ),
      );
    });
  });

  withChange(
    alert
      .command('silence <alert>')
      .description('tell nobody of it for a while; it stays open, and is resolved as any other')
      .requiredOption('--for <time>', '30m, 4h, 7d'),
  ).action(async (id: string, options: ChangeOptions & { for: string }) => {
    const seconds = parseEvery(options.for);
    const { reason, dryRun, output } = options;
    await withClient(async (client) => {
      const silenced = await client.alerts.silence(id, seconds, reason, dryRun);
      answer(output, { ...(dryRun ? { dryRun } : {}), ...silenced }, () =>
        dryRun
          ? `would be silenced until ${silenced.silencedUntil}: ${silenced.message}`
          : `silenced until ${silenced.silencedUntil}`,
      );
    });
  });
}
