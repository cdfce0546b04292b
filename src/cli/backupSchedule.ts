import { type Command, Option } from 'commander';
import type { BackupScheduleRequest, BackupScheduleStatus } from '../client/backupSchedules.js';
import { CONSISTENCIES, type Consistency } from '../domain/backups.js';
import { SCHEDULED, type Scheduled } from '../domain/backupSchedules.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseTenantId, quoteForMessage } from '../domain/ids.js';
import { type WatchTimes, parseCron, parseEvery } from '../domain/watches.js';
import { type ChangeOptions, wholeNumber, withChange, withClient } from './context.js';
import { type KeepOptions, policyOf, withKeep } from './keepOptions.js';
import { answer, table } from './output.js';

interface ScheduleOptions extends ChangeOptions, KeepOptions {
  readonly every?: string;
  readonly cron?: string;
  readonly consistency?: Consistency;
  readonly verifyEvery?: string;
  readonly verifySamples?: number;
  readonly pruneEvery?: string;
  readonly drillEvery?: string;
  readonly remove?: string | true;
  readonly list: boolean;
}

export function addScheduleCommand(backup: Command): void {
  withKeep(
    withChange(
      backup
        .command('schedule [id]')
        .description('back a tenant up on a schedule, and verify, prune and prove its backups')
        .option('--every <interval>', '6h, 1d, 7d (default: 1d), at a time of day of the tenant’s own')
        .option('--cron <expression>', 'instead of --every: five fields, in UTC')
        .addOption(
          new Option('--consistency <how>', 'of the backups (default: settled)').choices([...CONSISTENCIES]),
        )
        .option('--verify-every <interval>', 'read the newest one and compare it with its manifest')
        .option('--verify-samples <n>', 'each time one n-th of it, in turns (default: 1, all)', wholeNumber)
        .option('--drill-every <interval>', 'restore the newest one into a throw-away tenant and compare')
        .option('--prune-every <interval>', 'with the --keep-… that follow (default: 1d)')
        .option('--remove [names]', `take schedules away: some of ${SCHEDULED.join(',')}, or all`)
        .option('--list', 'how they stand, of one tenant or of all', false),
    ),
  ).action(async (id: string | undefined, options: ScheduleOptions) => {
    const tenant = id === undefined ? undefined : parseTenantId(id);
    if (options.list) return list(tenant, options);
    if (tenant === undefined)
      throw new OpsError('InvalidInput', 'whose backups?', 'name a tenant; --list is without one too');
    return options.remove === undefined ? set(tenant, options) : remove(tenant, options.remove, options);
  });
}

async function set(tenant: TenantId, options: ScheduleOptions): Promise<void> {
  const request = requestOf(tenant, options);
  const { dryRun } = options;
  await withClient(async (client) => {
    const schedules = await (dryRun
      ? client.backupSchedules.plan(request)
      : client.backupSchedules.set(request));
    answer(options.output, { ...(dryRun ? { dryRun } : {}), tenant, schedules }, () =>
      schedules.length === 0
        ? 'nothing to change'
        : schedules
            .map(({ what, every, did }) => `schedule ${what} ${dryRun ? 'would be' : 'is'} ${did}: ${every}`)
            .join('\n'),
    );
  });
}

async function remove(tenant: TenantId, names: string | true, options: ScheduleOptions): Promise<void> {
  const what = names === true ? [] : names.split(',').map(parseScheduled);
  const { dryRun, reason, output } = options;
  await withClient(async (client) => {
    const removed = await client.backupSchedules.remove(tenant, what, reason, dryRun);
    answer(
      output,
      { ...(dryRun ? { dryRun } : {}), tenant, removed },
      () => `schedule ${removed.join(', ')} ${dryRun ? 'would be' : 'is'} removed`,
    );
  });
}

async function list(tenant: TenantId | undefined, { output }: ScheduleOptions): Promise<void> {
  await withClient(async (client) => {
    const schedules = await client.backupSchedules.list(tenant);
    answer(output, { schedules }, () =>
      table(
        ['TENANT', 'WHAT', 'EVERY', 'OPTIONS', 'NEXT', 'LAST', 'OPERATION'],
        schedules.map((s) => [
          ...[s.tenant, s.what, s.every ?? '?', optionsText(s)],
          s.missing ? 'missing' : s.paused ? 'paused' : (s.next ?? '-'),
          s.last === null ? '-' : [s.last.state, s.last.at, ...(s.last.why ? [s.last.why] : [])].join(', '),
          s.last?.operation ?? '-',
        ]),
      ),
    );
  });
}

function requestOf(tenant: TenantId, options: ScheduleOptions): BackupScheduleRequest {
  const { every, cron, consistency, verifyEvery, verifySamples, pruneEvery, drillEvery, reason } = options;
  if (every !== undefined && cron !== undefined)
    throw new OpsError('InvalidInput', '--every and --cron exclude each other', 'give one of them');
  const times = cron === undefined ? timesOf(every) : { cron: parseCron(cron) };
  const policy = policyOf(options);
  return {
    ...{ tenant, backup: { times, consistency }, reason },
    ...(verifyEvery === undefined && verifySamples === undefined
      ? {}
      : { verify: { times: timesOf(verifyEvery), samples: verifySamples } }),
    ...(policy === undefined && pruneEvery === undefined
      ? {}
      : { prune: { times: timesOf(pruneEvery), policy } }),
    ...(drillEvery === undefined ? {} : { drill: { times: timesOf(drillEvery) } }),
  };
}

function timesOf(every: string | undefined): WatchTimes | undefined {
  return every === undefined ? undefined : { everySeconds: parseEvery(every) };
}

function optionsText({ options }: BackupScheduleStatus): string {
  return (
    Object.values(options)
      .map((value) => (typeof value === 'object' ? JSON.stringify(value) : String(value)))
      .join(' ') || '-'
  );
}

function parseScheduled(text: string): Scheduled {
  const found = SCHEDULED.find((what) => what === text);
  if (found !== undefined) return found;
  throw new OpsError(
    'InvalidInput',
    `no such schedule: ${quoteForMessage(text)}`,
    `they are ${SCHEDULED.join(', ')}`,
  );
}
