import { OpsError } from './errors.js';
import type { TenantId } from './ids.js';

export const TENANT_STATES = [
  'creating',
  'active',
  'inactive',
  'purging',
  'purged',
  'creation_failed',
] as const;
export type TenantState = (typeof TENANT_STATES)[number];

export const OPERATION_STATES = [
  'running',
  'completed',
  'completed_with_failures',
  'failed',
  'cancelled',
] as const;
export type OperationState = (typeof OPERATION_STATES)[number];

export const OPERATION_KINDS = [
  'createTenant',
  'ingestVideos',
  'softDeleteTenant',
  'reactivateTenant',
  'extendRetention',
  'hardDeleteTenant',
  'deploySchemas',
  'backupTenant',
  'verifyBackup',
  'restoreTenant',
  'drillRestore',
  'pruneBackups',
  'optimizeTenant',
  'clearMemory',
  'pruneMemory',
  'importMemory',
  'verifyIsolation',
  'testIsolation',
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

export const ITEM_STATES = ['pending', 'stored', 'unchanged', 'failed'] as const;
export type ItemState = (typeof ITEM_STATES)[number];

/**
 * Which states a verb may begin in. In any other it changes nothing and exits 6. `inactive` also has an end: the CAS in
 * the registry refuses what comes after `purge_at`.
 */
export const ALLOWED = {
  create: ['creation_failed', 'purged'],
  deactivate: ['active'],
  reactivate: ['inactive'],
  extend: ['inactive'],
  purgeNow: ['inactive'],
  // From anywhere: a tenant that cannot be deleted because an earlier step failed is the commonest offboarding fault.
  delete: ['creating', 'active', 'inactive', 'purging', 'creation_failed'],
  ingest: ['active'],
  /** An ingest that began before its tenant was deactivated and is let end. */
  continueIngest: ['active', 'inactive'],
  search: ['active'],
  route: ['active'],
  optimize: ['active'],
  /** Read its memories; change them; and go on with a change of them that began before a deactivation. */
  recall: ['active'],
  remember: ['active'],
  continueMemory: ['active', 'inactive'],
  configure: ['active'],
  readConfig: ['creating', 'active', 'inactive', 'purging', 'creation_failed'],
  deploySchemas: ['active'],
  schedule: ['active'],
  backup: ['active', 'inactive'],
  /** Put canaries into its stores for a while. */
  verifyIsolation: ['active'],
  /** Into a tenant that is there. */
  restoreOver: ['active', 'inactive'],
} as const satisfies Record<string, readonly TenantState[]>;
export type TenantVerb = keyof typeof ALLOWED;

const PHRASES: Partial<Record<TenantVerb, string>> = {
  continueIngest: 'go on with an ingest',
  recall: 'read its memory',
  remember: 'change its memory',
  continueMemory: 'go on with a change of its memory',
  configure: 'change its configuration',
  readConfig: 'read its configuration',
  deploySchemas: 'deploy its schemas',
  extend: 'extend its retention',
  purgeNow: 'purge it before its time',
  schedule: 'make a schedule for it',
  route: 'route a query',
  optimize: 'optimize its routing',
  backup: 'back it up',
  verifyIsolation: 'verify its isolation',
  restoreOver: 'restore into it',
};

/** Verbs that change what a backup holds: refused while a fence stands. An ingest under way waits instead. */
const FENCED = new Set<TenantVerb>(['configure', 'deploySchemas', 'restoreOver', 'remember']);

export function isFenced(verb: TenantVerb): boolean {
  return FENCED.has(verb);
}

export function isAllowed(verb: TenantVerb, state: TenantState): boolean {
  return (ALLOWED[verb] as readonly TenantState[]).includes(state);
}

/**
 * @param purgeAt ISO 8601, of an inactive tenant: the message names it
 * @throws OpsError `WrongState` saying the state and what to do next
 */
export function requireState(
  verb: TenantVerb,
  tenant: TenantId,
  state: TenantState,
  purgeAt?: string | null,
): void {
  if (isAllowed(verb, state)) return;
  const until = state === 'inactive' && purgeAt ? ` and will be purged at ${purgeAt}` : '';
  throw new OpsError(
    'WrongState',
    `tenant ${tenant} is ${state}${until}: cannot ${PHRASES[verb] ?? verb}`,
    nextStep(verb, tenant, state),
  );
}

function nextStep(verb: TenantVerb, tenant: TenantId, state: TenantState): string {
  if (verb === 'create' && (state === 'active' || state === 'inactive'))
    return `it exists already; see it with: cvops tenant show ${tenant}`;
  switch (state) {
    case 'creating':
      return `wait for its creation: cvops op list --tenant ${tenant}`;
    case 'creation_failed':
      return `create it again: cvops tenant create ${tenant}`;
    case 'inactive':
      return `reactivate it first: cvops tenant reactivate ${tenant}`;
    case 'purging':
      return `it is being deleted for good; follow it with: cvops op list --tenant ${tenant}`;
    case 'purged':
      return `its data is gone; begin anew with: cvops tenant create ${tenant}`;
    case 'active':
      return verb === 'reactivate' || verb === 'extend' || verb === 'purgeNow'
        ? `only an inactive tenant has a retention; deactivate it with: cvops tenant deactivate ${tenant}`
        : `see it with: cvops tenant show ${tenant}`;
  }
}
