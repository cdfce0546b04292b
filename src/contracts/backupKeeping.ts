import { z } from 'zod';
import { type BackupId, CONSISTENCIES } from '../domain/backups.js';
import { MAX_SAMPLES } from '../domain/backupSchedules.js';
import { KEEP_MAX } from '../domain/keepPolicy.js';
import { incarnation, operationId, principal, reason, tenantId } from './common.js';

const count = z.exactOptional(z.int().min(1).max(KEEP_MAX));
/** That it has a rule at all is `requireKeepPolicy`'s to say, with what to do. */
export const keepPolicy = z.strictObject({
  last: count,
  withinDays: count,
  daily: count,
  weekly: count,
  monthly: count,
  yearly: count,
});

/** Input of the workflow `pruneBackups`. */
export const pruneBackupsInput = z.strictObject({
  tenant: tenantId,
  operation: operationId,
  policy: keepPolicy,
  principal,
  /** Who may ask: a principal of one tenant has this; without it, one of all. */
  principalTenant: z.exactOptional(tenantId),
  reason,
});
export type PruneBackupsInput = z.infer<typeof pruneBackupsInput>;

/** A backup that was to go and stays, with the reason. */
export interface Unremoved {
  readonly backup: BackupId;
  readonly why: string;
}

/** Counts of a prune; all of what was found in the store and taken away. */
export interface PruneCounts {
  /** Backups whose folder was found empty afterwards. */
  readonly removed: number;
  readonly objects: number;
  readonly bytes: number;
}

/** What `pruneBackups` carries from run to run. */
export interface PruneState extends PruneCounts {
  readonly version: 1;
  readonly input: PruneBackupsInput;
  /** ISO 8601: the policy is applied as of one time. */
  readonly now: string;
  /** The last one of the pages before. */
  readonly after: BackupId;
  /** At most 20. */
  readonly unremoved: readonly Unremoved[];
  readonly failed: number;
}

/** Result of `pruneBackups`. */
export interface PruneBackupsResult extends PruneCounts {
  readonly tenant: string;
  readonly operation: string;
  readonly kept: number;
  /** How many were to go and stay: held or in use since the plan, or the store refused. */
  readonly failed: number;
  /** The first 20 of them. */
  readonly unremoved: readonly Unremoved[];
}

const scheduled = {
  version: z.literal(1),
  tenant: tenantId,
  /** A re-created tenant has not asked for it. */
  incarnation,
  /** `1d` or a cron expression, as it was asked for: the server gives it back in another form. */
  every: z.string().max(200),
};

/** Input of the workflow `scheduledBackup`, kept in its schedule: what a schedule is. */
export const scheduledBackupInput = z.discriminatedUnion('what', [
  z.strictObject({ ...scheduled, what: z.literal('backup'), consistency: z.enum(CONSISTENCIES) }),
  /** Each time one of so many samples, in turns; 1: all. */
  z.strictObject({ ...scheduled, what: z.literal('verify'), samples: z.int().min(1).max(MAX_SAMPLES) }),
  z.strictObject({ ...scheduled, what: z.literal('prune'), policy: keepPolicy }),
  z.strictObject({ ...scheduled, what: z.literal('drill'), cluster: z.string().min(1).max(100) }),
]);
export type ScheduledBackupInput = z.infer<typeof scheduledBackupInput>;

/** Result of one run of `scheduledBackup`. */
export interface ScheduledBackupResult {
  /** `skipped`: there was nothing to do it with, or the tenant is not open for it; `why` says how. */
  readonly outcome: 'done' | 'done_with_failures' | 'skipped';
  readonly operation?: string;
  readonly backup?: string;
  readonly why?: string;
}
