import { z } from 'zod';
import { PURGE_STORES, type StoreCount } from '../domain/purge.js';
import { MAX_RETENTION_DAYS } from '../domain/retention.js';
import type { TenantState } from '../domain/states.js';
import { incarnation, operationId, principal, reason, tenantId } from './common.js';

const life = { tenant: tenantId, incarnation };
const asked = { operation: operationId, principal, reason };

/** What happens to a tenant's running operations when it is deactivated. */
export const RUNNING = ['drain', 'cancel'] as const;
export type Running = (typeof RUNNING)[number];

/** What `softDeleteTenant` carries from run to run; read older `version`s, never reuse a field. */
export const retentionInput = z.strictObject({
  version: z.literal(1),
  ...life,
  /** Names the `vespaApplication` workflow, for the purge. */
  cluster: z.string().min(1),
  /** Set in the first run: deactivates. Left out: takes up the wait for a tenant that is inactive already. */
  begin: z
    .strictObject({
      ...asked,
      retentionDays: z.int().min(1).max(MAX_RETENTION_DAYS),
      running: z.enum(RUNNING),
    })
    .optional(),
  /** Deactivated, and some operations had not ended yet. */
  draining: z.strictObject({ operation: operationId, running: z.enum(RUNNING) }).optional(),
  /** Milliseconds since the epoch; see `Retention`. */
  retention: z
    .strictObject({ purgeAt: z.number(), setAt: z.number(), noticed: z.number().nullable() })
    .optional(),
});
export type RetentionInput = z.infer<typeof retentionInput>;

/** Who answers a retention, and why: argument of `reactivate` and `purgeNow`. */
export const retentionRequest = z.strictObject({ ...life, ...asked });
export type RetentionRequest = z.infer<typeof retentionRequest>;

/** Argument of `extendRetention`. */
export const extendRequest = z.strictObject({
  ...retentionRequest.shape,
  days: z.int().min(1).max(MAX_RETENTION_DAYS),
});
export type ExtendRequest = z.infer<typeof extendRequest>;

/** What the updates of `softDeleteTenant` and its query `status` answer with. */
export interface RetentionStatus {
  readonly tenant: string;
  readonly state: TenantState;
  /** ISO 8601; null once the tenant is not inactive any more. */
  readonly purgeAt: string | null;
  /** Operations that had not ended when it was last looked. */
  readonly running: number;
  /** Operation that purges, once there is one. */
  readonly purge: string | null;
  /** What was asked for waits for a second administrator, so long. */
  readonly approval?: { readonly operation: string; /** ISO 8601. */ readonly expiresAt: string };
}

export const storeCount = z.strictObject({
  store: z.enum(PURGE_STORES),
  name: z.string().min(1).max(400),
  count: z.int().min(0),
});

/** What a dry run of a hard delete found: bound to the certificate, and compared with what the purge finds. */
export const rehearsal = z.strictObject({ at: z.iso.datetime(), stores: z.array(storeCount).max(500) });
export type Rehearsal = z.infer<typeof rehearsal>;

/** Input of the workflow `hardDeleteTenant`. */
export const hardDeleteInput = z.strictObject({
  ...life,
  ...asked,
  trigger: z.enum(['requested', 'expiry', 'purgeNow']),
  cluster: z.string().min(1),
  /** Between the two read-backs: what was on its way when the stores were emptied has arrived by then. */
  secondLookSeconds: z.int().min(1).max(86_400),
  rehearsal: rehearsal.nullable(),
});
export type HardDeleteInput = z.infer<typeof hardDeleteInput>;

export interface HardDeleteResult {
  readonly tenant: string;
  readonly incarnation: string;
  readonly state: 'purged';
  readonly operation: string;
  /** SHA-256 of the certificate's file, which is in the registry. */
  readonly certificateSha256: string;
}

/** What a rehearsal of a hard delete answers with. */
export interface PurgePlan {
  readonly tenant: string;
  readonly incarnation: string;
  readonly state: TenantState;
  readonly at: string;
  readonly stores: readonly StoreCount[];
}
