import type { BackupId } from './backups.js';
import type { Scheduled } from './backupSchedules.js';
import { OpsError } from './errors.js';
import type { TenantId } from './ids.js';
import type { Optimization } from './optimization.js';
import type { BaseSchema } from './profiles.js';
import type { WatchName } from './watches.js';

/**
 * The names an operation gives to things outside. All of them go one way: from a tenant to a name. Nothing here, or
 * anywhere else, reads a tenant out of a name: `frame_acme_corp` and `acme_corp` end alike, and with
 * `video_colpali_smol500_mv` as a base both would own the same schema. Ownership is a row of `tenant_schemas`.
 */

/** Vespa document namespace of video segments, as in the original's `id:content:<schema>::…`. */
export const CONTENT_NAMESPACE = 'content';
/** Vespa document namespace of memories. */
export const MEMORY_NAMESPACE = 'memory_content';

/** A file name must hold `<schema>.sd` in 255 bytes. */
const MAX_SCHEMA_NAME = 251;

/** `<base>_<tenant>`: what the guide calls the tenant's schema. */
export function tenantSchemaName(base: BaseSchema, tenant: TenantId): string {
  const name = `${base}_${tenant}`;
  if (name.length > MAX_SCHEMA_NAME)
    throw new OpsError('InvalidInput', `schema name ${name} is over ${MAX_SCHEMA_NAME} bytes`);
  return name;
}

export function phoenixProjectName(tenant: TenantId): string {
  return `${tenant}_project`;
}

/**
 * Java's `String.hashCode`, a signed 32-bit number. Vespa keys document types by it: two schema names with one hash
 * (`tAa`, `tBB`) make every later deploy of the whole package fail, so the registry keeps hashes unique.
 */
export function javaHashCode(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash;
}

/** Workflow ids: business ids, so that a second start finds the first. */
export const workflowIds = {
  createTenant: (tenant: TenantId) => `tenant/${tenant}/create`,
  retention: (tenant: TenantId) => `tenant/${tenant}/retention`,
  purge: (tenant: TenantId) => `tenant/${tenant}/purge`,
  ingest: (tenant: TenantId, run: string) => `tenant/${tenant}/ingest/${run}`,
  /** Of one round; the server adds its time. */
  watch: (tenant: TenantId, name: WatchName) => `tenant/${tenant}/watch/${name}`,
  backup: (tenant: TenantId, backup: BackupId) => `tenant/${tenant}/backup/${backup}`,
  verifyBackup: (tenant: TenantId, run: string) => `tenant/${tenant}/verify/${run}`,
  /** One at a time into a tenant. */
  restore: (tenant: TenantId) => `tenant/${tenant}/restore`,
  drill: (tenant: TenantId, run: string) => `tenant/${tenant}/drill/${run}`,
  prune: (tenant: TenantId) => `tenant/${tenant}/prune`,
  /** Of one run; the server adds its time. */
  scheduled: (tenant: TenantId, what: Scheduled) => `tenant/${tenant}/scheduled/${what}`,
  /** One at a time, by hand. */
  optimize: (tenant: TenantId) => `tenant/${tenant}/optimize`,
  /** Of one scheduled run; the server adds its time. */
  optimization: (tenant: TenantId, what: Optimization) => `tenant/${tenant}/optimize/${what}`,
  clearMemory: (tenant: TenantId, run: string) => `tenant/${tenant}/memory/clear/${run}`,
  importMemory: (tenant: TenantId, run: string) => `tenant/${tenant}/memory/import/${run}`,
  /** One at a time; of a scheduled one the server adds its time. */
  pruneMemory: (tenant: TenantId) => `tenant/${tenant}/memory/prune`,
  deploySchemas: (run: string) => `schemas/${run}`,
  verifyIsolation: (run: string) => `isolation/${run}`,
  testIsolation: (run: string) => `isolation-test/${run}`,
  vespaApplication: (cluster: string) => `vespa/${cluster}/application`,
  /** Of one look by hand; of a scheduled one the server adds its time. */
  health: (run: string) => `system/health/${run}`,
  alertDelivery: 'system/alerts',
} as const;

/** Ids of Temporal Schedules. Whose one is, is a row of `tenant_schedules`. */
export const scheduleIds = {
  watch: (tenant: TenantId, name: WatchName) => `tenant/${tenant}/watch/${name}`,
  scheduled: (tenant: TenantId, what: Scheduled) => `tenant/${tenant}/scheduled/${what}`,
  optimization: (tenant: TenantId, what: Optimization) => `tenant/${tenant}/optimize/${what}`,
  memory: (tenant: TenantId) => `tenant/${tenant}/memory/prune`,
  /** Of no tenant. */
  system: {
    reconcile: 'system/retention-reconcile',
    isolation: 'system/isolation',
    quotas: 'system/quota-reconcile',
    health: 'system/health',
  },
} as const;

/** Task queues: `control` runs short activities and all workflows, `data` runs ffmpeg, encoding, feeding, backup. */
export const TASK_QUEUES = { control: 'control', data: 'data' } as const;
