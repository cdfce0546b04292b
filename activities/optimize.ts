import { activityInfo, heartbeat } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { checkInput } from '../src/contracts/common.js';
import { optimizeTenantInput } from '../src/contracts/optimization.js';
import type { ReferenceRules } from '../src/domain/config/references.js';
import { OpsError } from '../src/domain/errors.js';
import { redactForeign } from '../src/domain/redaction.js';
import { workflowIds } from '../src/domain/naming.js';
import type { Optimization } from '../src/domain/optimization.js';
import { annotateSpans } from '../src/optimize/annotate.js';
import { type Optimized, optimizedLife } from '../src/optimize/enabled.js';
import { evaluateSpans } from '../src/optimize/evaluate.js';
import { readLabels } from '../src/optimize/labels.js';
import { retrainRouting } from '../src/optimize/retrain.js';
import { scheduleWhereEnabled } from '../src/optimize/schedules.js';
import type { PhoenixClient } from '../src/phoenix/client.js';
import { type Pool, transaction } from '../src/registry/database.js';
import { beginOperation, closeOperation } from '../src/registry/operationLog.js';
import { noteRun } from '../src/registry/optimization.js';
import { type TenantLife, lockLife } from '../src/registry/tenants.js';
import { heartbeating } from './heartbeat.js';
import type { OptimizeActivities } from './types.js';

const VERB = 'optimize';

export interface OptimizeDependencies {
  readonly pool: Pool;
  readonly client: Client;
  readonly phoenix: PhoenixClient;
  /** As the URL guard's. */
  readonly allowedPrivate: readonly string[];
  readonly rules: ReferenceRules;
}

export function createOptimizeActivities({
  pool,
  client,
  phoenix,
  allowedPrivate,
  rules,
}: OptimizeDependencies): OptimizeActivities {
  const resources = (signal: AbortSignal) => ({
    ...{ pool, phoenix, allowedPrivate, rules, signal },
    onProgress: (done: number) => heartbeat({ done }),
  });

  /** Does nothing for a life whose routing is not optimized, and notes how it went for `optimize status`. */
  const run = async <T extends { readonly count: number; readonly why?: string }>(
    key: TenantLife,
    what: Optimization,
    none: T,
    work: (life: Optimized, signal: AbortSignal) => Promise<T>,
  ): Promise<T & { outcome: 'done' | 'skipped' }> => {
    const life = await optimizedLife(pool, key);
    if (typeof life === 'string') return { ...none, outcome: 'skipped', why: life };
    const { incarnation } = life.row;
    try {
      const done = await heartbeating((signal) => work(life, signal));
      const { count, why } = done;
      await noteRun(pool, incarnation, what, { outcome: 'done', count, ...(why ? { why } : {}) });
      return { ...done, outcome: 'done' };
    } catch (error) {
      // Tried again by Temporal; until it succeeds the status says what is wrong.
      const why = redactForeign(error instanceof Error ? error.message : String(error));
      await noteRun(pool, incarnation, what, { outcome: 'failed', count: 0, why }).catch(() => undefined);
      throw error;
    }
  };

  return {
    evaluateSpans: (key) =>
      run(key, 'evaluate', { count: 0 }, async (life, signal) => ({
        count: await evaluateSpans(resources(signal), life),
      })),

    annotateSpans: (key) =>
      run(key, 'annotate', { count: 0, failed: 0, forPeople: 0 }, async (life, signal) => {
        await readLabels({ pool, phoenix, signal }, life);
        const { annotated, ...rest } = await annotateSpans(resources(signal), life);
        return { count: annotated, ...rest };
      }),

    retrainRouting: ({ now, ...key }) =>
      run(
        key,
        'retrain',
        { count: 0, retrained: false, applied: false, before: null, after: null, version: null, why: '' },
        async (life, signal) => {
          await readLabels({ pool, phoenix, signal }, life);
          const { runId } = activityInfo().workflowExecution!;
          const retrained = await retrainRouting(pool, life, { now, allowedPrivate, run: runId });
          return { ...retrained, count: retrained.applied ? 1 : 0 };
        },
      ),

    async scheduleOptimization(life) {
      return { made: await scheduleWhereEnabled(pool, client, life) };
    },

    async beginOptimize(raw) {
      const { tenant, incarnation, operation, principal, reason } = checkInput(optimizeTenantInput, raw);
      const life = await optimizedLife(pool, { tenant, incarnation });
      if (typeof life === 'string')
        throw new OpsError(
          'WrongState',
          `the routing of tenant ${tenant} is not optimized: ${life}`,
          `switch it on with: cvops optimize enable ${tenant}`,
        );
      await transaction(pool, async (tx) => {
        await lockLife(tx, { tenant, incarnation }, 'optimize');
        const workflowId = workflowIds.optimize(tenant);
        const row = { operation, tenant, incarnation, principal, reason, workflowId };
        await beginOperation(tx, { ...row, kind: 'optimizeTenant' }, VERB);
      });
    },

    async finishOptimize({ operation, counts }) {
      await closeOperation(pool, operation, VERB, { state: 'completed', counts });
    },

    async failOptimize({ operation, state, failure }) {
      await closeOperation(pool, operation, VERB, { state, error: failure }, { ...failure });
    },
  };
}
