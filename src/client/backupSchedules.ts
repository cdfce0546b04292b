import { type ScheduledBackupInput, scheduledBackupInput } from '../contracts/backupKeeping.js';
import { checkInput } from '../contracts/common.js';
import type { Consistency } from '../domain/backups.js';
import {
  DEFAULT_BACKUP_SECONDS,
  DEFAULT_PRUNE_SECONDS,
  SCHEDULED,
  type Scheduled,
} from '../domain/backupSchedules.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { type KeepPolicy, requireKeepPolicy } from '../domain/keepPolicy.js';
import { scheduleIds } from '../domain/naming.js';
import { type WatchTimes, formatTimes, parseTimes } from '../domain/watches.js';
import { schedulesOf } from '../registry/tenantSchedules.js';
import { type TenantRow, getTenant, requireTenant } from '../registry/tenants.js';
import { SCHEDULED_BACKUP, backupSchedule, scheduledBackupOf } from '../schedules/backupSchedules.js';
import { type BackupScheduleStatus, backupScheduleStatus } from '../schedules/backupScheduleStatus.js';
import {
  deleteTenantSchedule,
  describeSchedule,
  ensureTenantSchedule,
} from '../schedules/tenantSchedules.js';
import type { Connections } from './connections.js';
import { statusesOf } from './scheduleStatuses.js';

export type { BackupScheduleStatus } from '../schedules/backupScheduleStatus.js';

/** What is to be scheduled; what is left out of a schedule that is there stays as it is, and so does a whole one. */
export interface BackupScheduleRequest {
  readonly tenant: TenantId;
  /** Made in any case: daily and `settled` when nothing is said. */
  readonly backup?: {
    readonly times?: WatchTimes | undefined;
    readonly consistency?: Consistency | undefined;
  };
  readonly verify?: { readonly times?: WatchTimes | undefined; readonly samples?: number | undefined };
  /** Daily when nothing is said. */
  readonly prune?: { readonly times?: WatchTimes | undefined; readonly policy?: KeepPolicy | undefined };
  readonly drill?: { readonly times?: WatchTimes | undefined };
  readonly reason: string;
}

/** A schedule that was asked for, and whether it was there before. */
export type BackupScheduled = ScheduledBackupInput & { readonly did: 'made' | 'updated' };

/** Temporal Schedules for a tenant's backups: to make, verify, prune and prove them. */
export class BackupScheduleClient {
  constructor(private readonly connections: Connections) {}

  /** What `set` would make or change. @throws OpsError as `set` would */
  async plan(request: BackupScheduleRequest): Promise<BackupScheduled[]> {
    const { wanted, there } = await this.prepare(request);
    return wanted.map((input) => ({ ...input, did: there.has(input.what) ? 'updated' : 'made' }));
  }

  /** @throws OpsError `InvalidInput`, `NotFound`, `WrongState`, `Conflict` when a schedule's name is a former life's */
  async set(request: BackupScheduleRequest): Promise<BackupScheduled[]> {
    const { wanted, life } = await this.prepare(request);
    const client = await this.connections.temporal();
    const done: BackupScheduled[] = [];
    for (const input of wanted) {
      const schedule = backupSchedule(input, parseTimes(input.every));
      const did = await this.connections.audited(
        { verb: 'backup-schedule', tenant: input.tenant, reason: request.reason, detail: input },
        () => ensureTenantSchedule(this.connections.pool, client, life, SCHEDULED_BACKUP, schedule),
      );
      done.push({ ...input, did });
    }
    return done;
  }

  /** Of one tenant, or of all. @throws OpsError `NotFound` */
  async list(tenant?: TenantId): Promise<BackupScheduleStatus[]> {
    const of = await this.connections.authorizeList('backup schedule --list', tenant);
    return statusesOf(this.connections, SCHEDULED_BACKUP, of, backupScheduleStatus);
  }

  /**
   * Takes schedules away; the backups stay.
   *
   * @param what all of them when empty
   * @returns which are gone
   * @throws OpsError `NotFound` when one that is named, or any, is not there
   */
  async remove(
    tenant: TenantId,
    what: readonly Scheduled[],
    reason: string,
    dryRun = false,
  ): Promise<Scheduled[]> {
    const { pool } = this.connections;
    await this.connections.authorize('backup schedule', tenant);
    const { incarnation } = await getTenant(pool, tenant);
    const rows = new Set((await schedulesOf(pool, [incarnation])).map(({ scheduleId }) => scheduleId));
    const there = SCHEDULED.filter((each) => rows.has(scheduleIds.scheduled(tenant, each)));
    const named = what.length === 0 ? there : what;
    const missing = named.find((each) => !there.includes(each));
    if (missing !== undefined || named.length === 0)
      throw new OpsError(
        'NotFound',
        `tenant ${tenant} has no schedule ${missing ?? 'for its backups'}`,
        `see them with: cvops backup schedule ${tenant} --list`,
      );
    for (const each of dryRun ? [] : named) {
      const client = await this.connections.temporal();
      await this.connections.audited(
        { verb: 'backup-unschedule', tenant, reason, detail: { what: each } },
        () => deleteTenantSchedule(pool, client, scheduleIds.scheduled(tenant, each)),
      );
    }
    return [...named];
  }

  private async prepare(request: BackupScheduleRequest): Promise<{
    wanted: ScheduledBackupInput[];
    there: ReadonlyMap<Scheduled, ScheduledBackupInput>;
    life: TenantRow;
  }> {
    const { pool, settings } = this.connections;
    const { tenant, backup = {}, verify, prune, drill } = request;
    await this.connections.authorize('backup schedule', tenant);
    const life = await requireTenant(pool, tenant, 'schedule');
    const there = await this.inputsOf(life);
    const of = <W extends Scheduled>(what: W) =>
      there.get(what) as (ScheduledBackupInput & { readonly what: W }) | undefined;
    const common = (what: Scheduled, times: WatchTimes | undefined, seconds?: number) => {
      const every =
        times === undefined
          ? (of(what)?.every ?? (seconds && formatTimes({ everySeconds: seconds })))
          : formatTimes(times);
      if (every) return { version: 1, tenant, incarnation: life.incarnation, what, every };
      throw new OpsError('InvalidInput', `how often to ${what}?`, `say so with --${what}-every`);
    };
    const wanted: object[] = [];
    const [were, changes] = [of('backup'), Object.values(backup).some((value) => value !== undefined)];
    if (were === undefined || changes) {
      const consistency = backup.consistency ?? were?.consistency ?? 'settled';
      wanted.push({ ...common('backup', backup.times, DEFAULT_BACKUP_SECONDS), consistency });
    }
    if (verify !== undefined)
      wanted.push({
        ...common('verify', verify.times),
        samples: verify.samples ?? of('verify')?.samples ?? 1,
      });
    if (prune !== undefined) {
      const policy = requireKeepPolicy(prune.policy ?? of('prune')?.policy ?? {});
      wanted.push({ ...common('prune', prune.times, DEFAULT_PRUNE_SECONDS), policy });
    }
    if (drill !== undefined) wanted.push({ ...common('drill', drill.times), cluster: settings.vespaCluster });
    return { wanted: wanted.map((input) => checkInput(scheduledBackupInput, input)), there, life };
  }

  /** What is scheduled for this life. */
  private async inputsOf({ tenant, incarnation }: TenantRow): Promise<Map<Scheduled, ScheduledBackupInput>> {
    const client = await this.connections.temporal();
    const found = await Promise.all(
      SCHEDULED.map((what) => describeSchedule(client, scheduleIds.scheduled(tenant, what))),
    );
    const inputs = found.flatMap((description) =>
      description === undefined ? [] : [scheduledBackupOf(description)],
    );
    return new Map(
      inputs.filter((input) => input.incarnation === incarnation).map((input) => [input.what, input]),
    );
  }
}
