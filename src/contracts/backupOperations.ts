import { z } from 'zod';
import { CONSISTENCIES, type BackupId, type Consistency, parseBackupId } from '../domain/backups.js';
import { accepts, incarnation, operationId, principal, reason, tenantId } from './common.js';

export const backupIdText = z.custom<BackupId>((value) => accepts(parseBackupId, value), 'not a backup id');
const cluster = z.string().min(1).max(100);

/** Who may ask: a principal of one tenant has this; without it, one of all. */
const principalTenant = z.exactOptional(tenantId);

/** Input of the workflow `backupTenant`. */
export const backupTenantInput = z.strictObject({
  tenant: tenantId,
  operation: operationId,
  backup: backupIdText,
  consistency: z.enum(CONSISTENCIES),
  principal,
  principalTenant,
  reason,
});
export type BackupTenantInput = z.infer<typeof backupTenantInput>;

/** Result of `backupTenant`. */
export interface BackupTenantResult {
  readonly backup: string;
  readonly tenant: string;
  /** Where it lies: store and folder. */
  readonly path: string;
  readonly documents: number;
  readonly memories: number;
  readonly spans: number;
  readonly bytes: number;
  /** Achieved; `asked` may have been more. */
  readonly consistency: Consistency;
  readonly asked: Consistency;
  readonly operation: string;
}

export const backupSample = z
  .strictObject({ n: z.int().min(1), t: z.int().min(1).max(1000) })
  .refine(({ n, t }) => n <= t, 'a sample is n of t, n at most t');

/** Input of the workflow `verifyBackup`. */
export const verifyBackupInput = z.strictObject({
  backup: backupIdText,
  operation: operationId,
  sample: z.exactOptional(backupSample),
  principal,
  principalTenant,
  reason,
});
export type VerifyBackupInput = z.infer<typeof verifyBackupInput>;

/** Result of `verifyBackup`: `ok` false is a result, not a failure of the operation. */
export interface VerifyBackupResult {
  readonly backup: string;
  readonly ok: boolean;
  /** At most 20. */
  readonly errors: readonly string[];
  readonly parts: number;
  readonly documents: number;
  readonly bytes: number;
  readonly operation: string;
}

/** Input of the workflow `restoreTenant`. */
export const restoreTenantInput = z.strictObject({
  /** Into which tenant: the backup's own, or another one. */
  tenant: tenantId,
  operation: operationId,
  /** Of the life that is made when there is none to restore into. */
  incarnation,
  backup: backupIdText,
  /** Over what the tenant holds now. */
  replace: z.boolean(),
  /** Only says what would be done. */
  preview: z.boolean(),
  /** Gives the name of a purged tenant to another's data before its quarantine ends. */
  overrideQuarantine: z.exactOptional(z.boolean()),
  cluster,
  principal,
  principalTenant,
  reason,
});
export type RestoreTenantInput = z.infer<typeof restoreTenantInput>;

/** What a restore is going to do, decided once at its start. */
export interface RestorePlan {
  readonly tenant: string;
  readonly backup: string;
  /** Whose backup it is. */
  readonly from: string;
  /** `create`: a new life; `fill`: into a tenant that holds nothing; `replace`: over what it holds. */
  readonly how: 'create' | 'fill' | 'replace';
  /** Ids and names are rewritten: another tenant, or another life of the same. */
  readonly renames: boolean;
  readonly schemas: readonly string[];
  readonly documents: number;
  readonly memories: number;
  readonly spans: number;
  readonly configVersions: number;
  /** What the tenant holds now and would lose. */
  readonly loses: { readonly documents: number; readonly spans: number };
}

/** Result of `restoreTenant`. */
export interface RestoreTenantResult extends RestorePlan {
  readonly incarnation: string;
  readonly state: 'active' | 'inactive' | 'previewed';
  readonly operation: string;
}

/** Input of the workflow `drillRestore`. */
export const drillRestoreInput = z.strictObject({
  tenant: tenantId,
  operation: operationId,
  /** The newest complete one when left out. */
  backup: z.exactOptional(backupIdText),
  cluster,
  principal,
  principalTenant,
  reason,
});
export type DrillRestoreInput = z.infer<typeof drillRestoreInput>;

/** Result of `drillRestore`. */
export interface DrillRestoreResult {
  readonly backup: string;
  readonly tenant: string;
  /** The throw-away tenant, which is gone again. */
  readonly into: string;
  /** Restored and compared, all of the backup. */
  readonly documents: number;
  readonly memories: number;
  readonly spans: number;
  readonly operation: string;
}
