import type { Command } from 'commander';
import { DEFAULT_CONCURRENT_VIDEOS } from '../domain/config/keys.js';
import { OpsError } from '../domain/errors.js';
import { parseTenantId } from '../domain/ids.js';
import { parseProfile } from '../domain/profiles.js';
import {
  DEFAULT_EVERY_SECONDS,
  DEFAULT_SETTLE_SECONDS,
  type WatchTimes,
  formatEvery,
  parseCron,
  parseEvery,
  parseWatchName,
} from '../domain/watches.js';
import {
  type ChangeOptions,
  type CommonOptions,
  type WaitOptions,
  wholeNumber,
  withChange,
  withClient,
  withOutput,
  withWait,
} from './context.js';
import { endWith } from './ending.js';
import { EXIT, ExitWith, answer, note, table } from './output.js';
import { typedSource } from './source.js';

interface AddOptions extends ChangeOptions {
  readonly profile: string;
  readonly list: boolean;
  readonly every?: string;
  readonly cron?: string;
  readonly name?: string;
  readonly concurrency: number;
  readonly settle: number;
}

export function addWatchCommands(program: Command): void {
  const watch = program
    .command('watch')
    .description('sources whose new and changed videos are ingested on a schedule');

  withChange(
    watch
      .command('add <id> <source>')
      .description('watch a folder or s3://bucket/prefix; the same name again changes its settings')
      .requiredOption('--profile <name>', 'how to index them')
      .option('--list', 'SOURCE is a list file: one path a line', false)
      .option('--every <interval>', `90s, 15m, 6h, 1d (default: ${formatEvery(DEFAULT_EVERY_SECONDS)})`)
      .option('--cron <expression>', 'instead of --every: five fields, in UTC')
      .option('--name <name>', 'by default made of source and profile')
      .option('--concurrency <n>', 'videos in work at once', wholeNumber, DEFAULT_CONCURRENT_VIDEOS)
      .option(
        '--settle <seconds>',
        'leave a file for the next round until it was not written to for this long',
        wholeNumber,
        DEFAULT_SETTLE_SECONDS,
      ),
  ).action(async (id: string, source: string, options: AddOptions) => {
    const request = {
      tenant: parseTenantId(id),
      source: typedSource(source, options.list),
      profile: parseProfile(options.profile),
      times: timesOf(options),
      name: options.name === undefined ? undefined : parseWatchName(options.name),
      concurrency: options.concurrency,
      settleSeconds: options.settle,
      reason: options.reason,
    };
    const { dryRun } = options;
    await withClient(async (client) => {
      const { did, ...added } = await (dryRun ? client.watches.plan(request) : client.watches.add(request));
      const json = { ...(dryRun ? { dryRun } : {}), ...added, updated: did === 'updated' };
      const verb = dryRun ? `would be ${did}` : `is ${did}`;
      answer(options.output, json, () => `watch ${added.name} ${verb}: ${added.source}, ${added.every}`);
    });
  });

  withOutput(watch.command('list [id]').description('of one tenant or of all, with their last round')).action(
    async (id: string | undefined, options: CommonOptions) => {
      const tenant = id === undefined ? undefined : parseTenantId(id);
      await withClient(async (client) => {
        const watches = await client.watches.list(tenant);
        answer(options.output, { watches }, () =>
          table(
            ['TENANT', 'NAME', 'SOURCE', 'EVERY', 'NEXT', 'LAST', 'OPERATION'],
            watches.map((w) => [
              ...[w.tenant, w.name, w.source ?? '?', w.every ?? '?'],
              w.missing ? 'missing' : w.paused ? 'paused' : (w.next ?? '-'),
              w.last === null ? '-' : `${w.last.state}, ${w.last.at}`,
              w.last?.operation ?? '-',
            ]),
          ),
        );
      });
    },
  );

  withChange(watch.command('remove <id> <name>').description('look no more; what was ingested stays')).action(
    async (id: string, name: string, { output, reason, dryRun }: ChangeOptions) => {
      const [tenant, watchName] = [parseTenantId(id), parseWatchName(name)];
      await withClient(async (client) => {
        await client.watches.remove(tenant, watchName, reason, dryRun);
        answer(
          output,
          dryRun ? { dryRun, tenant, name } : { tenant, name, removed: true },
          () => `watch ${name} ${dryRun ? 'would be' : 'is'} removed`,
        );
      });
    },
  );

  for (const verb of ['pause', 'resume'] as const) {
    const what = verb === 'pause' ? 'no rounds until it is resumed; one that runs goes on' : 'rounds again';
    withChange(watch.command(`${verb} <id> <name>`).description(what)).action(
      async (id: string, name: string, { output, reason, dryRun }: ChangeOptions) => {
        const [tenant, watchName] = [parseTenantId(id), parseWatchName(name)];
        await withClient(async (client) => {
          await client.watches.setPaused(tenant, watchName, verb === 'pause', reason, dryRun);
          answer(
            output,
            { ...(dryRun ? { dryRun } : {}), tenant, name, paused: verb === 'pause' },
            () => `watch ${name} ${dryRun ? 'would be' : 'is'} ${verb}d`,
          );
        });
      },
    );
  }

  withWait(watch.command('run <id> <name>').description('a round now, also of a paused watch')).action(
    async (id: string, name: string, options: WaitOptions) => runNow(id, name, options),
  );
}

async function runNow(id: string, name: string, options: WaitOptions): Promise<void> {
  const [tenant, watchName] = [parseTenantId(id), parseWatchName(name)];
  await withClient(async (client) => {
    if (options.dryRun) {
      await client.watches.requireWatch(tenant, watchName);
      answer(options.output, { dryRun: true, tenant, name }, () => `watch ${name} would look now`);
      return;
    }
    const round = await client.watches.run(tenant, watchName, options.reason);
    note(`round ${round.workflowId}\n  ${round.uiUrl}`);
    const result = options.wait ? await inTime(round.result(), options.timeout) : undefined;
    answer(options.output, { tenant, name, round: round.workflowId, ...result }, () => {
      if (result === undefined) return `watch ${name} looks now`;
      if (result.videos === undefined) return result.why ?? 'nothing is new or changed';
      const { stored, unchanged, failed } = result.videos;
      return `${stored} stored, ${unchanged} unchanged, ${failed} failed, by operation ${result.operation}`;
    });
    endWith('ingestVideos', (result?.videos?.failed ?? 0) === 0);
  });
}

/** @param seconds 0 waits for ever */
async function inTime<T>(work: Promise<T>, seconds: number): Promise<T> {
  if (seconds === 0) return work;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      note('still running; see it with: cvops watch list');
      reject(new ExitWith(EXIT.timeout));
    }, seconds * 1000);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function timesOf({ every, cron }: AddOptions): WatchTimes {
  if (every !== undefined && cron !== undefined)
    throw new OpsError('InvalidInput', '--every and --cron exclude each other', 'give one of them');
  if (cron !== undefined) return { cron: parseCron(cron) };
  return { everySeconds: every === undefined ? DEFAULT_EVERY_SECONDS : parseEvery(every) };
}
