import type { Command } from 'commander';
import { OpsError } from '../domain/errors.js';
import { parseTenantId } from '../domain/ids.js';
import { spokenRetention } from '../domain/memory.js';
import { type WatchTimes, parseCron, parseEvery } from '../domain/watches.js';
import { type ChangeOptions, type CommonOptions, withChange, withClient, withOutput } from './context.js';
import { type RetentionOptions, retentionOf, withRetention } from './memoryKeeping.js';
import { answer, table } from './output.js';

interface SetOptions extends ChangeOptions, RetentionOptions {
  readonly every?: string;
  readonly cron?: string;
}

export function addMemoryScheduleCommands(memory: Command): void {
  const schedule = memory.command('schedule').description('prune the memory of a tenant again and again');
  addSet(schedule);
  addShow(schedule);
  addRemove(schedule);
}

function addSet(schedule: Command): void {
  withRetention(
    withChange(
      schedule
        .command('set <id>')
        .description('make the schedule, or replace what it was')
        .option('--every <interval>', '6h, 1d, 7d (default: 1d), at a time of day of the tenant’s own')
        .option('--cron <expression>', 'instead of --every: five fields, in UTC'),
    ),
  ).action(async (id: string, options: SetOptions) => {
    const tenant = parseTenantId(id);
    const { reason, dryRun, output } = options;
    const request = { tenant, retention: retentionOf(options), times: timesOf(options), reason };
    await withClient(async (client) => {
      const { every, retention, did } = await (dryRun
        ? client.memorySchedules.plan(request)
        : client.memorySchedules.set(request));
      answer(
        output,
        { ...(dryRun ? { dryRun } : {}), tenant, every, retention, did },
        () => `schedule ${dryRun ? 'would be' : 'is'} ${did}: ${every}, ${spokenRetention(retention)}`,
      );
    });
  });
}

function addShow(schedule: Command): void {
  withOutput(schedule.command('show [id]').description('how it stands, of one tenant or of all')).action(
    async (id: string | undefined, { output }: CommonOptions) => {
      const tenant = id === undefined ? undefined : parseTenantId(id);
      await withClient(async (client) => {
        const schedules = await client.memorySchedules.list(tenant);
        answer(output, { schedules }, () =>
          table(
            ['TENANT', 'EVERY', 'REMOVES', 'NEXT', 'LAST', 'OPERATION'],
            schedules.map((s) => [
              ...[s.tenant, s.every ?? '?', s.retention === null ? '?' : spokenRetention(s.retention)],
              s.missing ? 'missing' : s.paused ? 'paused' : (s.next ?? '-'),
              s.last === null
                ? '-'
                : [s.last.state, s.last.at, ...(s.last.why ? [s.last.why] : [])].join(', '),
              s.last?.operation ?? '-',
            ]),
          ),
        );
      });
    },
  );
}

function addRemove(schedule: Command): void {
  withChange(schedule.command('remove <id>').description('take it away; the memories stay')).action(
    async (id: string, { reason, dryRun, output }: ChangeOptions) => {
      const tenant = parseTenantId(id);
      await withClient(async (client) => {
        await client.memorySchedules.remove(tenant, reason, dryRun);
        answer(
          output,
          { ...(dryRun ? { dryRun } : {}), tenant, removed: !dryRun },
          () => `schedule ${dryRun ? 'would be' : 'is'} removed`,
        );
      });
    },
  );
}

function timesOf({ every, cron }: SetOptions): WatchTimes {
  if (every !== undefined && cron !== undefined)
    throw new OpsError('InvalidInput', '--every and --cron exclude each other', 'give one of them');
  return cron === undefined ? { everySeconds: parseEvery(every ?? '1d') } : { cron: parseCron(cron) };
}
