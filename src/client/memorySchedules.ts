import { checkInput } from '../contracts/common.js';
import { type ScheduledPruneInput, scheduledPruneInput } from '../contracts/memory.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { type MemoryRetention, requireRetention } from '../domain/memory.js';
import { scheduleIds } from '../domain/naming.js';
import { type WatchTimes, formatTimes, parseTimes } from '../domain/watches.js';
import { schedulesOf } from '../registry/tenantSchedules.js';
import { type TenantRow, getTenant, requireTenant } from '../registry/tenants.js';
import {
  type MemoryScheduleStatus,
  SCHEDULED_PRUNE,
  memorySchedule,
  memoryScheduleStatus,
} from '../schedules/memorySchedules.js';
import { deleteTenantSchedule, ensureTenantSchedule } from '../schedules/tenantSchedules.js';
import { memoryOf } from '../tenants/memoryOf.js';
import type { Connections } from './connections.js';
import { statusesOf } from './scheduleStatuses.js';

export type { MemoryScheduleStatus } from '../schedules/memorySchedules.js';

export interface MemoryScheduleRequest {
  readonly tenant: TenantId;
  readonly retention: MemoryRetention;
  readonly times: WatchTimes;
  readonly reason: string;
}

export type MemoryScheduled = ScheduledPruneInput & { readonly did: 'made' | 'updated' };

/** The Temporal Schedule that prunes a tenant's memories: one a tenant, with its whole retention. */
export class MemoryScheduleClient {
  constructor(private readonly connections: Connections) {}

  /** What `set` would make or change. @throws OpsError as `set` would */
  async plan(request: MemoryScheduleRequest): Promise<MemoryScheduled> {
    const { input, there } = await this.prepare(request);
    return { ...input, did: there ? 'updated' : 'made' };
  }

  /** @throws OpsError `InvalidInput`, `NotFound`, `PermissionDenied`, `WrongState`, also of a tenant without memory */
  async set(request: MemoryScheduleRequest): Promise<MemoryScheduled> {
    const { input, life } = await this.prepare(request);
    const client = await this.connections.temporal();
    const schedule = memorySchedule(input, parseTimes(input.every));
    const did = await this.connections.audited(
      { verb: 'memory-schedule', tenant: input.tenant, reason: request.reason, detail: input },
      () => ensureTenantSchedule(this.connections.pool, client, life, SCHEDULED_PRUNE, schedule),
    );
    return { ...input, did };
  }

  /** Of one tenant, or of all; a tenant has one or none. @throws OpsError `NotFound`, `PermissionDenied` */
  async list(tenant?: TenantId): Promise<MemoryScheduleStatus[]> {
    const of = await this.connections.authorizeList('memory schedule show', tenant);
    return statusesOf(this.connections, SCHEDULED_PRUNE, of, memoryScheduleStatus);
  }

  /** The memories stay. @throws OpsError `NotFound` when there is none, `PermissionDenied` */
  async remove(tenant: TenantId, reason: string, dryRun = false): Promise<void> {
    const { pool } = this.connections;
    await this.connections.authorize('memory schedule remove', tenant);
    if (!(await this.isThere(await getTenant(pool, tenant))))
      throw new OpsError(
        'NotFound',
        `tenant ${tenant} has no schedule for its memory`,
        `see all of them with: cvops memory schedule show`,
      );
    if (dryRun) return;
    const client = await this.connections.temporal();
    await this.connections.audited({ verb: 'memory-unschedule', tenant, reason }, () =>
      deleteTenantSchedule(pool, client, scheduleIds.memory(tenant)),
    );
  }

  private async prepare({ tenant, retention, times }: MemoryScheduleRequest): Promise<{
    input: ScheduledPruneInput;
    there: boolean;
    life: TenantRow;
  }> {
    const { pool } = this.connections;
    await this.connections.authorize('memory schedule set', tenant);
    requireRetention(retention);
    const life = await requireTenant(pool, tenant, 'schedule');
    await memoryOf(pool, life);
    const { incarnation } = life;
    const what = { version: 1, tenant, incarnation, every: formatTimes(times), retention };
    return { input: checkInput(scheduledPruneInput, what), there: await this.isThere(life), life };
  }

  private async isThere({ tenant, incarnation }: TenantRow): Promise<boolean> {
    const rows = await schedulesOf(this.connections.pool, [incarnation]);
    return rows.some(({ scheduleId }) => scheduleId === scheduleIds.memory(tenant));
  }
}
