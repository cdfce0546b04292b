import { type Client, type ScheduleOptions, ScheduleOverlapPolicy } from '@temporalio/client';
import type { OptimizationInput } from '../contracts/optimization.js';
import { TASK_QUEUES, scheduleIds, workflowIds } from '../domain/naming.js';
import { workflowMarks } from '../domain/operationMarks.js';
import {
  INTERVAL_SECONDS,
  JITTER_SECONDS,
  OPTIMIZATIONS,
  OPTIMIZATION_WORKFLOWS,
  type Optimization,
  slotOffset,
} from '../domain/optimization.js';
import { type Pool, transaction } from '../registry/database.js';
import { freeSlot, takeSlot } from '../registry/optimization.js';
import type { TenantLife } from '../registry/tenants.js';
import { deleteTenantSchedule, ensureTenantSchedule } from './tenantSchedules.js';

/** `kind` of the registry's rows. */
export const OPTIMIZATION_KIND = 'optimization';

const ABOUT: Readonly<Record<Optimization, string>> = {
  evaluate: 'evaluates the new spans of',
  annotate: 'labels what the router was unsure of, for',
  retrain: 'retrains the routing when there is enough to learn from, of',
};

/** @param slot the tenant's place among the optimized ones: what spreads their starts */
export function optimizationSchedule(input: OptimizationInput, slot: number): ScheduleOptions {
  const { tenant, what } = input;
  const interval = { every: INTERVAL_SECONDS[what] * 1000, offset: slotOffset(slot, what) * 1000 };
  return {
    scheduleId: scheduleIds.optimization(tenant, what),
    spec: { intervals: [interval], jitter: JITTER_SECONDS * 1000 },
    // Each run goes on where the last one was: one that was missed needs no making up for.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1m', pauseOnFailure: false },
    action: {
      type: 'startWorkflow',
      workflowType: OPTIMIZATION_WORKFLOWS[what],
      taskQueue: TASK_QUEUES.control,
      args: [input],
      memo: { principal: `schedule:optimize-${what}`, reason: `scheduled ${what}` },
      ...workflowMarks({
        kind: OPTIMIZATION_WORKFLOWS[what],
        workflowId: workflowIds.optimization(tenant, what),
        tenant,
        summary: `${ABOUT[what]} ${tenant}`,
        // Nobody waits for it.
        priority: 5,
      }),
    },
    memo: { tenant, what },
    state: { note: `${ABOUT[what]} ${tenant}` },
  };
}

/**
 * Makes the schedules of a life, or brings them up to date.
 *
 * @throws OpsError `WrongState` unless the life is active or being created, `Conflict` when a schedule is another life's
 */
export async function ensureOptimizationSchedules(
  pool: Pool,
  client: Client,
  { tenant, incarnation }: TenantLife,
): Promise<void> {
  const slot = await transaction(pool, (tx) => takeSlot(tx, incarnation));
  for (const what of OPTIMIZATIONS) {
    const input: OptimizationInput = { version: 1, tenant, incarnation, what };
    const options = optimizationSchedule(input, slot);
    await ensureTenantSchedule(pool, client, { tenant, incarnation }, OPTIMIZATION_KIND, options);
  }
}

/** Takes the schedules of a life away, and gives its place to another. */
export async function removeOptimizationSchedules(
  pool: Pool,
  client: Client,
  { tenant, incarnation }: TenantLife,
): Promise<void> {
  for (const what of OPTIMIZATIONS)
    await deleteTenantSchedule(pool, client, scheduleIds.optimization(tenant, what));
  await freeSlot(pool, incarnation);
}
