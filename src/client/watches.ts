import type { ScheduleDescription } from '@temporalio/client';
import { checkInput } from '../contracts/common.js';
import { type WatchVideosInput, type WatchVideosResult, watchVideosInput } from '../contracts/watches.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { scheduleIds } from '../domain/naming.js';
import { quotePlace } from '../domain/places.js';
import type { ProfileName } from '../domain/profiles.js';
import { parseSource } from '../domain/sources.js';
import type { TenantVerb } from '../domain/states.js';
import { type WatchName, type WatchTimes, defaultWatchName, formatTimes } from '../domain/watches.js';
import { schemasOf } from '../registry/schemas.js';
import { schedulesOf, setPausedForRetention } from '../registry/tenantSchedules.js';
import { type TenantRow, getTenant, requireTenant } from '../registry/tenants.js';
import {
  deleteTenantSchedule,
  describeSchedule,
  ensureTenantSchedule,
} from '../schedules/tenantSchedules.js';
import { triggerRound } from '../schedules/triggerRound.js';
import { WATCH_KIND, watchOf, watchSchedule } from '../schedules/watchSchedules.js';
import { type WatchStatus, watchStatus } from '../schedules/watchStatus.js';
import type { Connections } from './connections.js';
import { toOpsError } from './failures.js';
import { statusesOf } from './scheduleStatuses.js';

export type { WatchStatus } from '../schedules/watchStatus.js';

export interface WatchRequest {
  readonly tenant: TenantId;
  /** See `parseSource`: `/folder`, `list:/file`, `s3://bucket/prefix`. */
  readonly source: string;
  readonly profile: ProfileName;
  readonly times: WatchTimes;
  /** Made of profile and source when left out. */
  readonly name?: WatchName | undefined;
  /** Videos in work at once. */
  readonly concurrency: number;
  /** How long a file must have been left alone. */
  readonly settleSeconds: number;
  readonly reason: string;
}

/** What was asked for, and whether a watch of that name was there before. */
export interface WatchAdded extends Omit<WatchVideosInput, 'version' | 'incarnation'> {
  readonly did: 'made' | 'updated';
}

/** A round that was started now. */
export interface WatchRound {
  readonly workflowId: string;
  readonly uiUrl: string;
  /** @throws OpsError with its typed failure */
  result(): Promise<WatchVideosResult>;
}

/** Watches: sources whose new and changed videos are ingested on a schedule. */
export class WatchClient {
  constructor(private readonly connections: Connections) {}

  /** What `add` would make or change. @throws OpsError as `add` would */
  async plan(request: WatchRequest): Promise<WatchAdded> {
    const { watch, there } = await this.prepare(request);
    return added(watch, there === undefined ? 'made' : 'updated');
  }

  /**
   * Makes a watch; the same name again gives it these settings.
   *
   * @throws OpsError `InvalidInput`, `NotFound`, `WrongState`, `Conflict` when the name is a former life's
   */
  async add(request: WatchRequest): Promise<WatchAdded> {
    const { watch, life } = await this.prepare(request);
    const { tenant, name, source, profile, every } = watch;
    const { pool } = this.connections;
    const client = await this.connections.temporal();
    const detail = { name, source: quotePlace(source), profile, every };
    const did = await this.connections.audited(
      { verb: 'watch-add', tenant, reason: request.reason, detail },
      () => ensureTenantSchedule(pool, client, life, WATCH_KIND, watchSchedule(watch, request.times)),
    );
    return added(watch, did);
  }

  /** Of one tenant, or of all. @throws OpsError `NotFound` */
  async list(tenant?: TenantId): Promise<WatchStatus[]> {
    const of = await this.connections.authorizeList('watch list', tenant);
    return statusesOf(this.connections, WATCH_KIND, of, watchStatus);
  }

  /** What was ingested stays. @throws OpsError `NotFound` */
  async remove(tenant: TenantId, name: WatchName, reason: string, dryRun = false): Promise<void> {
    await this.connections.authorize('watch remove', tenant);
    const { scheduleId } = await this.existing(tenant, name);
    if (dryRun) return;
    const client = await this.connections.temporal();
    await this.connections.audited({ verb: 'watch-remove', tenant, reason, detail: { name } }, () =>
      deleteTenantSchedule(this.connections.pool, client, scheduleId),
    );
  }

  /** @throws OpsError `NotFound`, `WrongState` when the tenant is not active */
  async setPaused(
    tenant: TenantId,
    name: WatchName,
    paused: boolean,
    reason: string,
    dryRun = false,
  ): Promise<void> {
    await this.connections.authorize(paused ? 'watch pause' : 'watch resume', tenant);
    const { scheduleId } = await this.existing(tenant, name, 'schedule');
    const handle = (await this.connections.temporal()).schedule.getHandle(scheduleId);
    if (dryRun) return;
    const by = this.connections.principal;
    const verb = paused ? 'watch-pause' : 'watch-resume';
    const said = reason === '' ? by : `${by}: ${reason}`.slice(0, 500);
    await this.connections.audited({ verb, tenant, reason, detail: { name } }, async () => {
      // From now on the pause is a person's, not the retention's.
      await setPausedForRetention(this.connections.pool, scheduleId, false);
      await (paused ? handle.pause(`paused by ${said}`) : handle.unpause(`resumed by ${said}`));
    });
  }

  /**
   * Starts a round now, also of a paused watch.
   *
   * @throws OpsError `NotFound`, `WrongState`, `Conflict` while a round runs
   */
  async run(tenant: TenantId, name: WatchName, reason: string): Promise<WatchRound> {
    await this.connections.authorize('watch run', tenant);
    const { scheduleId } = await this.existing(tenant, name, 'schedule');
    const client = await this.connections.temporal();
    const { workflowId, firstExecutionRunId } = await this.connections.audited(
      { verb: 'watch-run', tenant, reason, detail: { name } },
      () => triggerRound(client, scheduleId),
    );
    const handle = client.workflow.getHandle(workflowId, firstExecutionRunId);
    return {
      workflowId,
      uiUrl: this.connections.uiUrl(workflowId),
      result: () =>
        handle.result().catch((error: unknown) => {
          throw toOpsError(error);
        }) as Promise<WatchVideosResult>,
    };
  }

  /** @throws OpsError as `run` would at its start */
  async requireWatch(tenant: TenantId, name: WatchName): Promise<void> {
    await this.connections.authorize('watch run', tenant);
    await this.existing(tenant, name, 'schedule');
  }

  private async prepare(
    request: WatchRequest,
  ): Promise<{ watch: WatchVideosInput; life: TenantRow; there: ScheduleDescription | undefined }> {
    const { pool } = this.connections;
    const { tenant, profile, times, concurrency, settleSeconds } = request;
    await this.connections.authorize('watch add', tenant);
    const source = parseSource(request.source);
    await this.connections.authorizePlace('watch add', tenant, source);
    const life = await requireTenant(pool, tenant, 'schedule');
    if (!(await schemasOf(pool, life.incarnation)).some((s) => s.baseSchema === profile))
      throw new OpsError('NotFound', `tenant ${tenant} does not have the profile ${profile}`);
    const name = request.name ?? defaultWatchName(profile, source);
    const watch = checkInput(watchVideosInput, {
      ...{ version: 1, tenant, incarnation: life.incarnation, name, source: request.source, profile },
      ...{ concurrency, settleSeconds, every: formatTimes(times) },
    });
    const there = await describeSchedule(await this.connections.temporal(), scheduleIds.watch(tenant, name));
    if (there !== undefined && request.name === undefined) {
      const other = watchOf(there);
      // One hash of two sources: nobody named this one, so nobody asked to change it.
      if (other.source !== watch.source || other.profile !== profile)
        throw new OpsError('Conflict', `the watch ${name} is another one`, 'give yours a --name');
    }
    return { watch, life, there };
  }

  /** The row is what says that the watch is this life's. */
  private async existing(
    tenant: TenantId,
    name: WatchName,
    verb?: TenantVerb,
  ): Promise<{ scheduleId: string }> {
    const { pool } = this.connections;
    const life = verb === undefined ? await getTenant(pool, tenant) : await requireTenant(pool, tenant, verb);
    const scheduleId = scheduleIds.watch(tenant, name);
    const rows = await schedulesOf(pool, [life.incarnation]);
    if (rows.some((row) => row.scheduleId === scheduleId && row.kind === WATCH_KIND)) return { scheduleId };
    throw new OpsError(
      'NotFound',
      `tenant ${tenant} has no watch ${name}`,
      `see them with: cvops watch list ${tenant}`,
    );
  }
}

function added(watch: WatchVideosInput, did: WatchAdded['did']): WatchAdded {
  const { tenant, name, source, profile, every, concurrency, settleSeconds } = watch;
  return { tenant, name, source, profile, every, concurrency, settleSeconds, did };
}
