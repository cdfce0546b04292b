import type { Client, ScheduleDescription } from '@temporalio/client';
import type { Scheduled } from '../../domain/backupSchedules.js';
import { BACKUP_AGE_MS, type Finding, PROVEN_AGE_MS } from '../../domain/health/checks.js';
import { scheduleIds } from '../../domain/naming.js';
import { parseTimes } from '../../domain/watches.js';
import { backupTimes } from '../../registry/backupTimes.js';
import { schedulesOf } from '../../registry/tenantSchedules.js';
import { scheduledBackupOf } from '../../schedules/backupSchedules.js';
import { describeSchedule } from '../../schedules/tenantSchedules.js';
import { type Check, type CheckContext, unlessActive } from './check.js';

const HOUR_MS = 3_600_000;
/** One run may fail, or be late, before anybody need know. */
const ROUNDS = 2;
/** From so many times the age that is allowed it is critical. */
const FAR_TOO_OLD = 3;

/** The newest backup is as young as its schedule promises, and one has been proven by a restore. */
export const backupsCheck: Check = {
  name: 'backups',
  needs: ['temporal'],
  skip: unlessActive,
  settledOnly: true,
  async run(context) {
    const { resources, row } = context;
    const [times] = await backupTimes(resources.pool, row.incarnation);
    const [backup, drill] = await Promise.all([allowedAge(context, 'backup'), allowedAge(context, 'drill')]);
    const { backedUpAt = null, provenAt = null } = times ?? {};
    return [
      ...age(context, backedUpAt, backup),
      ...(backedUpAt === null ? [] : proof(context, provenAt, drill)),
    ];
  },
};

interface AllowedAge {
  readonly ms: number;
  /** `1d`, as its schedule has it. */
  readonly every: string;
}

function age(
  { row, now }: CheckContext,
  backedUpAt: string | null,
  scheduled: AllowedAge | undefined,
): Finding[] {
  const { tenant, createdAt } = row;
  const allowed = scheduled?.ms ?? BACKUP_AGE_MS;
  const old = now - Date.parse(backedUpAt ?? createdAt);
  if (old <= allowed) return [];
  const rule = scheduled === undefined ? 'none is scheduled' : `one is scheduled every ${scheduled.every}`;
  const what =
    backedUpAt === null
      ? `it was never backed up since it was made ${spoken(old)} ago`
      : `its newest backup began ${spoken(old)} ago`;
  return [
    {
      subject: 'age',
      severity: old > allowed * FAR_TOO_OLD ? 'critical' : 'warning',
      message: `${what}; ${rule}`,
      fix: `cvops backup create ${tenant}`,
    },
  ];
}

function proof(
  { row, now }: CheckContext,
  provenAt: string | null,
  scheduled: AllowedAge | undefined,
): Finding[] {
  const old = now - Date.parse(provenAt ?? row.createdAt);
  if (old <= (scheduled?.ms ?? PROVEN_AGE_MS)) return [];
  const message =
    provenAt === null
      ? 'no backup of it was ever proven by a restore'
      : `a backup of it was last proven by a restore ${spoken(old)} ago`;
  return [
    {
      subject: 'proof',
      // Nobody has promised one.
      severity: scheduled === undefined ? 'info' : 'warning',
      message,
      fix: `cvops backup drill ${row.tenant}`,
    },
  ];
}

/** @returns undefined when none is scheduled, or Temporal has lost it: then the schedules' check says so */
async function allowedAge(context: CheckContext, what: Scheduled): Promise<AllowedAge | undefined> {
  const { resources, row, temporal } = context;
  const scheduleId = scheduleIds.scheduled(row.tenant, what);
  const there = await schedulesOf(resources.pool, [row.incarnation]);
  if (!there.some((schedule) => schedule.scheduleId === scheduleId)) return undefined;
  const client: Client = await temporal();
  const description = await describeSchedule(client, scheduleId);
  if (description === undefined) return undefined;
  const { every } = scheduledBackupOf(description);
  const interval = intervalMs(every, description);
  return interval === undefined ? undefined : { ms: ROUNDS * interval + HOUR_MS, every };
}

/** Of a cron expression the longest of the pauses that are to come. */
function intervalMs(every: string, { info }: ScheduleDescription): number | undefined {
  const times = parseTimes(every);
  if ('everySeconds' in times) return times.everySeconds * 1000;
  const next = info.nextActionTimes.map((time) => time.getTime());
  const pauses = next.slice(1).map((time, i) => time - next[i]!);
  return pauses.length === 0 ? undefined : Math.max(...pauses);
}

function spoken(ms: number): string {
  const hours = Math.floor(ms / HOUR_MS);
  return hours < 48 ? `${hours} hours` : `${Math.floor(hours / 24)} days`;
}
