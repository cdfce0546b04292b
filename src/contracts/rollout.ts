import { z } from 'zod';
import { baseSchema, operationId, principal, reason, tenantId } from './common.js';

/** Tenants that one request may name; more are `all`. */
export const MAX_NAMED_TENANTS = 500;

/** Input of the workflow `deploySchemas`. */
export const deploySchemasInput = z.strictObject({
  operation: operationId,
  principal,
  reason,
  cluster: z.string().min(1),
  tenants: z.union([z.literal('all'), z.array(tenantId).min(1).max(MAX_NAMED_TENANTS)]),
  /** Base schemas that each gets; null: those each has, brought to what they are defined as now. */
  bases: z.array(baseSchema).min(1).nullable(),
  /** The rollout stops after a wave when more than this many tenants have failed. */
  maxFailures: z.int().min(0),
});
export type DeploySchemasInput = z.infer<typeof deploySchemasInput>;

/** What `deploySchemas` carries from run to run. */
export interface RolloutState {
  readonly version: 1;
  readonly input: DeploySchemasInput;
  readonly waves: number;
  readonly next: number;
  readonly generations: readonly number[];
  readonly failed: number;
}

/** Result of `deploySchemas`: counts only; which tenant failed and why is in the ledger. */
export interface DeploySchemasResult {
  readonly operation: string;
  readonly tenants: { readonly done: number; readonly failed: number; readonly skipped: number };
  /** Packages that were activated for it. */
  readonly deployments: number;
}
