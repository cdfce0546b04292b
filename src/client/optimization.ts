import { randomUUID } from 'node:crypto';
import { checkInput } from '../contracts/common.js';
import { type OptimizeTenantResult, optimizeTenantInput } from '../contracts/optimization.js';
import { ROUTING_CONFIG, SYSTEM_CONFIG } from '../domain/config/keys.js';
import { type TenantId, parseOperationId } from '../domain/ids.js';
import { scheduleIds, workflowIds } from '../domain/naming.js';
import { OPTIMIZATIONS, type Optimization } from '../domain/optimization.js';
import { optimizedLife } from '../optimize/enabled.js';
import { type ExperienceCounts, countExperiences } from '../registry/experiences.js';
import {
  type OptimizationRun,
  type Retraining,
  listRetrainings,
  optimizationState,
} from '../registry/optimization.js';
import { type TenantRow, getTenant, requireTenant } from '../registry/tenants.js';
import { schedulesOf } from '../registry/tenantSchedules.js';
import { routingConfigs } from '../routing/routeTenant.js';
import {
  ensureOptimizationSchedules,
  removeOptimizationSchedules,
} from '../schedules/optimizationSchedules.js';
import { type ScheduleStatus, scheduleStatus } from '../schedules/scheduleStatus.js';
import { describeSchedule } from '../schedules/tenantSchedules.js';
import { ownHosts } from '../settings.js';
import { writeConfig } from '../tenants/config.js';
import type { Connections } from './connections.js';
import type { OperationHandle } from './operations.js';

export interface OptimizationStatus {
  readonly tenant: TenantId;
  /** By both configurations. */
  readonly enabled: boolean;
  /** Why it is not; null: it is. */
  readonly why: string | null;
  readonly schedules: readonly (ScheduleStatus & { readonly what: Optimization })[];
  /** How the last run of each ended. */
  readonly runs: Readonly<Partial<Record<Optimization, OptimizationRun>>>;
  readonly experiences: ExperienceCounts;
  /** Newest first, at most 10. */
  readonly retrainings: readonly Retraining[];
}

export interface OptimizationSwitched {
  readonly tenant: TenantId;
  readonly enabled: boolean;
  /** Configurations that were changed. */
  readonly changed: readonly string[];
}

/** Optimization of tenants' routing: switched, run now, and looked at. */
export class OptimizationClient {
  constructor(private readonly connections: Connections) {}

  /** Whether `run` would do anything, and what it would learn from. @throws OpsError `NotFound`, `WrongState` */
  async planRun(
    tenant: TenantId,
  ): Promise<Pick<OptimizationStatus, 'tenant' | 'enabled' | 'why' | 'experiences'>> {
    await this.connections.authorize('optimize run', tenant);
    await requireTenant(this.connections.pool, tenant, 'optimize');
    const { enabled, why, experiences } = await this.status(tenant);
    return { tenant, enabled, why, experiences };
  }

  /** @throws OpsError `NotFound`, `WrongState` where it is not enabled, `Conflict` while one runs */
  async run(tenant: TenantId, reason: string): Promise<OperationHandle<OptimizeTenantResult>> {
    const { pool, principal } = this.connections;
    await this.connections.authorize('optimize run', tenant);
    const { incarnation } = await requireTenant(pool, tenant, 'optimize');
    const operation = parseOperationId(randomUUID());
    const input = checkInput(optimizeTenantInput, { tenant, incarnation, operation, principal, reason });
    return this.connections.start(
      {
        ...{ kind: 'optimizeTenant', workflowId: workflowIds.optimize(tenant), tenant, operation, reason },
        ...{ summary: `optimize the routing of ${tenant}`, priority: 3 },
      },
      input,
    );
  }

  /**
   * Sets `optimization_enabled` in the system and the routing configuration, where it is not so, and makes or removes the
   * schedules.
   *
   * @throws OpsError `NotFound`, `WrongState`
   */
  async switch(
    tenant: TenantId,
    enabled: boolean,
    reason: string,
    dryRun = false,
  ): Promise<OptimizationSwitched> {
    const { pool, settings, principal } = this.connections;
    await this.connections.authorize(enabled ? 'optimize enable' : 'optimize disable', tenant);
    const row = await requireTenant(pool, tenant, 'optimize');
    const { system, routing } = await routingConfigs(pool, row);
    const changed = [
      ...(system.optimization_enabled === enabled ? [] : [SYSTEM_CONFIG]),
      ...(routing.optimization_enabled === enabled ? [] : [ROUTING_CONFIG]),
    ];
    const names = changed.map(({ key }) => key);
    if (dryRun) return { tenant, enabled, changed: names };
    const verb = enabled ? 'optimize-enable' : 'optimize-disable';
    await this.connections.audited({ verb, tenant, reason, detail: { changed: names } }, async () => {
      for (const at of changed)
        await writeConfig(pool, {
          at: { ...at, tenant },
          what: { kind: 'edits', edits: { set: { optimization_enabled: String(enabled) }, unset: [] } },
          ...{ principal, reason, allowedPrivate: ownHosts(settings) },
        });
      const client = await this.connections.temporal();
      if (enabled) await ensureOptimizationSchedules(pool, client, row);
      else await removeOptimizationSchedules(pool, client, row);
    });
    return { tenant, enabled, changed: names };
  }

  /** @throws OpsError `NotFound` */
  async status(tenant: TenantId): Promise<OptimizationStatus> {
    const { pool } = this.connections;
    await this.connections.authorize('optimize status', tenant);
    const row = await getTenant(pool, tenant);
    const life = await optimizedLife(pool, row);
    const { runs, retrainedAt } = await optimizationState(pool, row.incarnation);
    return {
      ...{ tenant, enabled: typeof life !== 'string', why: typeof life === 'string' ? life : null },
      schedules: await this.schedules(row),
      runs,
      experiences: await countExperiences(pool, row.incarnation, retrainedAt),
      retrainings: await listRetrainings(pool, row.incarnation, 10),
    };
  }

  private async schedules({ tenant, incarnation }: TenantRow): Promise<OptimizationStatus['schedules']> {
    const ids = new Set((await schedulesOf(this.connections.pool, [incarnation])).map((s) => s.scheduleId));
    const there = OPTIMIZATIONS.filter((what) => ids.has(scheduleIds.optimization(tenant, what)));
    if (there.length === 0) return [];
    const client = await this.connections.temporal();
    return Promise.all(
      there.map(async (what) => ({
        what,
        ...(await scheduleStatus(
          client,
          await describeSchedule(client, scheduleIds.optimization(tenant, what)),
        )),
      })),
    );
  }
}
