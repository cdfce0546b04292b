import type { Command } from 'commander';
import type { IngestChange } from '../client/ingest.js';
import { parseOperationId, parseTenantId } from '../domain/ids.js';
import {
  type ChangeOptions,
  type CommonOptions,
  type WaitOptions,
  follow,
  wholeNumber,
  withChange,
  withClient,
  withOutput,
} from './context.js';
import { endAs } from './ending.js';
import { answer, table } from './output.js';

export function addOperationCommands(program: Command): void {
  const op = program.command('op').description('operations: what runs and what ran');

  withOutput(
    op
      .command('list')
      .description('newest first')
      .option('--tenant <id>')
      .option('--limit <n>', 'rows at most', wholeNumber, 50),
  ).action(async (options: CommonOptions & { tenant?: string; limit: number }) => {
    const tenant = options.tenant === undefined ? undefined : parseTenantId(options.tenant);
    await withClient(async (client) => {
      const operations = await client.listOperations(tenant, options.limit);
      answer(options.output, { operations }, () =>
        table(
          ['OPERATION', 'KIND', 'TENANT', 'STATE', 'STARTED', 'BY'],
          operations.map((o) => [
            o.operation,
            o.kind,
            o.tenant ?? '(many)',
            o.state,
            o.startedAt,
            o.principal,
          ]),
        ),
      );
    });
  });

  withOutput(op.command('show <operation>').description('one operation, with its failures')).action(
    async (id: string, options: CommonOptions) => {
      const operation = parseOperationId(id);
      await withClient(async (client) => {
        const shown = await client.showOperation(operation);
        answer(options.output, shown, () => JSON.stringify(shown, null, 2));
      });
    },
  );

  withOutput(
    op
      .command('watch <operation>')
      .description('follow an operation to its end')
      .option('--timeout <seconds>', 'exit 9 after this long; 0: never', wholeNumber, 0),
  ).action(async (id: string, options: CommonOptions & { timeout: number }) => {
    const operation = parseOperationId(id);
    await withClient(async (client) => {
      const handle = await client.operationHandle(operation);
      const waiting: WaitOptions = { ...options, wait: true, reason: '', dryRun: false };
      await follow(handle, waiting);
      const shown = await client.showOperation(operation);
      answer(
        options.output,
        shown,
        () => `${shown.kind} of ${shown.tenant ?? 'many tenants'}: ${shown.state}`,
      );
      endAs(shown);
    });
  });

  withChange(
    op.command('pause <operation>').description('let an ingest end what is in work and begin nothing more'),
  ).action((id: string, options: ChangeOptions) => steer(id, 'pause', options));
  withChange(op.command('resume <operation>').description('go on with a paused ingest')).action(
    (id: string, options: ChangeOptions) => steer(id, 'resume', options),
  );
  withChange(
    op
      .command('concurrency <operation> <n>')
      .description('how many videos an ingest has in work at once, from now on'),
  ).action((id: string, n: string, options: ChangeOptions) =>
    steer(id, { concurrency: wholeNumber(n) }, options),
  );

  withChange(
    op
      .command('cancel <operation>')
      .description(
        'ask an operation to stop; it cleans up after itself. One whose workflow is gone is ended',
      ),
  ).action((id: string, options: ChangeOptions) => cancel(id, options));
}

async function steer(
  id: string,
  change: IngestChange,
  { reason, dryRun, output }: ChangeOptions,
): Promise<void> {
  const operation = parseOperationId(id);
  await withClient(async (client) => {
    const progress = await (dryRun
      ? client.ingest.planChange(operation, change)
      : client.ingest.change(operation, change, reason));
    answer(output, { ...(dryRun ? { dryRun, change } : {}), operation, ...progress }, () => {
      const { phase, concurrency, videos, total } = progress;
      const done = videos.stored + videos.unchanged + videos.failed;
      const stands = `${phase}: ${done} of ${total} videos, ${concurrency} in work at most`;
      return dryRun ? `would ${spoken(change)}; it is ${stands}` : stands;
    });
  });
}

function spoken(change: IngestChange): string {
  return typeof change === 'string' ? change : `have ${change.concurrency} in work at most`;
}

async function cancel(id: string, { reason, dryRun, output }: ChangeOptions): Promise<void> {
  const operation = parseOperationId(id);
  await withClient(async (client) => {
    if (dryRun) {
      const plan = await client.planCancel(operation);
      const what = `${plan.kind} of ${plan.tenant ?? 'many tenants'}`;
      return answer(output, { dryRun, ...plan }, () =>
        plan.ended
          ? `its workflow is gone: ${what} would be ended as failed, and what it holds released`
          : `would ask ${what} to stop`,
      );
    }
    const ended = (await client.cancelOperation(operation, reason)) === 'ended';
    answer(output, { operation, requested: true, ended }, () =>
      ended
        ? `its workflow was gone: ${operation} has failed, and what it held is released`
        : `asked ${operation} to stop; follow it with: cvops op watch ${operation}`,
    );
  });
}
