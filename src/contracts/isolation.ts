import { z } from 'zod';
import type { IsolationWay, LeakKind } from '../domain/canaries.js';
import { operationId, principal, reason, tenantId } from './common.js';

const asked = {
  operation: operationId,
  principal,
  /** Who may ask: a principal of one tenant has this; without it, one of all. */
  principalTenant: z.exactOptional(tenantId),
  reason,
};

/** Input of the workflow `verifyIsolation`, asked for by hand. */
export const verifyIsolationInput = z.strictObject({
  ...asked,
  tenants: z.union([z.literal('all'), z.tuple([tenantId, tenantId])]),
});
/** The same by its schedule: all tenants. */
export const scheduledIsolationInput = z.strictObject({ version: z.literal(1) });
export type VerifyIsolationInput =
  z.infer<typeof verifyIsolationInput> | z.infer<typeof scheduledIsolationInput>;

export interface IsolationCheck {
  readonly name: string;
  /** Who looked; `*` for all that did. */
  readonly a: string;
  /** For whose canaries. The same as `a`: for its own, which it must find. */
  readonly b: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Result of `verifyIsolation`, and what `cvops isolation verify` answers with. */
export interface VerifyIsolationResult {
  readonly ok: boolean;
  readonly operation: string;
  /** That looked. */
  readonly tenants: number;
  /** Ordered pairs that were checked, each by every way that the one who looks has. */
  readonly pairs: number;
  /** Each for two tenants; else one a way. Those that are not ok come first, at most 100. */
  readonly checks: readonly IsolationCheck[];
  /** Left out, such as one that was being backed up; at most 50. */
  readonly skipped: readonly { readonly tenant: string; readonly why: string }[];
}

/** How often each way was gone by those that looked: pairs, and each for itself. */
export type WayCounts = Readonly<Partial<Record<IsolationWay, number>>>;

/** Input of the workflow `testIsolation`. */
export const testIsolationInput = z.strictObject({ ...asked, cluster: z.string().min(1) });
export type TestIsolationInput = z.infer<typeof testIsolationInput>;

/** Whether the verification sees a leak of a kind. */
export interface LeakVerdict {
  readonly kind: LeakKind;
  readonly seen: boolean;
  readonly detail: string;
}
