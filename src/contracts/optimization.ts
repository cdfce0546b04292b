import { z } from 'zod';
import { OPTIMIZATIONS } from '../domain/optimization.js';
import { incarnation, operationId, principal, reason, tenantId } from './common.js';

/** Input of the workflows `evaluateSpans`, `annotateSpans` and `retrainRouting`, kept in their schedules. */
export const optimizationInput = z.strictObject({
  version: z.literal(1),
  tenant: tenantId,
  /** A re-created tenant has not asked for it. */
  incarnation,
  what: z.enum(OPTIMIZATIONS),
});
export type OptimizationInput = z.infer<typeof optimizationInput>;

/** Result of one scheduled run. */
export interface OptimizationResult {
  /** `skipped`: there was nothing to do it with, or it is not time; `why` says how. */
  readonly outcome: 'done' | 'skipped';
  /** Spans evaluated, labels given, or 1 for a new configuration. */
  readonly count: number;
  readonly why?: string;
}

/** Input of the workflow `optimizeTenant`. */
export const optimizeTenantInput = z.strictObject({
  tenant: tenantId,
  incarnation,
  operation: operationId,
  principal,
  reason,
});
export type OptimizeTenantInput = z.infer<typeof optimizeTenantInput>;

/** Result of `optimizeTenant`. */
export interface OptimizeTenantResult {
  readonly tenant: string;
  readonly operation: string;
  /** Spans evaluated for the first time. */
  readonly evaluated: number;
  /** Labels that the judge has given. */
  readonly annotated: number;
  /** Whether there was enough that is new to learn from. */
  readonly retrained: boolean;
  /** Whether a new version of the routing configuration was written, and which. */
  readonly applied: boolean;
  readonly version: number | null;
  /** Share of right decisions on the held-out part, 0 to 1, of the running configuration and of the best candidate. */
  readonly before: number | null;
  readonly after: number | null;
  /** Why the judge stopped or was not asked; null: it was. */
  readonly judge: string | null;
  /** What came of the retraining. */
  readonly why: string;
}
