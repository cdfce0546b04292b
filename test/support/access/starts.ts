import type { Incarnation, OperationId, TenantId } from '../../../src/domain/ids.js';
import { PROFILE } from './tries.js';

/** Whom the input of a workflow names, and who it says asks. */
export interface Names {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly backup: string;
  /** Of a place to read from. */
  readonly folder: string;
  readonly asked: { readonly operation: OperationId; readonly principal: string; readonly reason: string };
}

const CLUSTER = { cluster: 'default' };

/** An input of every workflow type that is to access, as its contract has it. */
export function inputsOf({
  tenant,
  incarnation,
  backup,
  folder,
  asked,
}: Names): Readonly<Record<string, object>> {
  const life = { tenant, incarnation };
  const scheduled = { version: 1, ...life };
  const videos = { profile: PROFILE, source: folder, concurrency: 1 };
  const retention = { olderThan: 1, kinds: {} };
  const values = { llm_model: 'm', max_qps: 1, max_concurrent_videos: 1, cache_ttl: 1 };
  const switches = { memory_enabled: true, optimization_enabled: false };
  // Whose it is asked for, where it is found by another id.
  const found = { ...asked, principalTenant: tenant };
  return {
    createTenant: {
      ...{ ...asked, ...life, ...CLUSTER, template: 'trial', profiles: [PROFILE] },
      values: { ...values, ...switches },
    },
    softDeleteTenant: { ...scheduled, ...CLUSTER, begin: { ...asked, retentionDays: 1, running: 'cancel' } },
    hardDeleteTenant: {
      ...{ ...asked, ...life, ...CLUSTER, trigger: 'requested', secondLookSeconds: 1, rehearsal: null },
    },
    deploySchemas: { ...asked, ...CLUSTER, tenants: [tenant], bases: null, maxFailures: 0 },
    ingestVideos: { ...asked, tenant, ...videos },
    watchVideos: { ...scheduled, ...videos, name: 'cam', settleSeconds: 0, every: '1d' },
    backupTenant: { ...found, tenant, backup: '20261101T120000Z-0123abcd', consistency: 'fuzzy' },
    verifyBackup: { ...found, backup },
    restoreTenant: { ...found, ...life, ...CLUSTER, backup, replace: true, preview: false },
    drillRestore: { ...found, tenant, ...CLUSTER },
    pruneBackups: { ...found, tenant, policy: { last: 1 } },
    scheduledBackup: { ...scheduled, every: '1d', what: 'backup', consistency: 'fuzzy' },
    clearMemory: { ...found, tenant },
    importMemory: { ...found, tenant, file: folder },
    pruneMemory: { ...found, tenant, retention },
    optimizeTenant: { ...asked, ...life },
    evaluateSpans: { ...scheduled, what: 'evaluate' },
    annotateSpans: { ...scheduled, what: 'annotate' },
    retrainRouting: { ...scheduled, what: 'retrain' },
    verifyIsolation: { ...found, tenants: [tenant, tenant] },
    testIsolation: { ...asked, ...CLUSTER },
    checkHealth: { tenant },
    reconcileQuotas: {},
    reconcileRetention: CLUSTER,
  };
}
