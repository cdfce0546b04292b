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

export const OPERATION_KINDS = ['createTenant', 'ingestVideos'] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

export const ITEM_STATES = ['pending', 'stored', 'unchanged', 'failed'] as const;
export type ItemState = (typeof ITEM_STATES)[number];

/** Which states a verb may begin in. A verb that is not listed for a state changes nothing and exits 6. */
const ALLOWED = {
  create: ['creation_failed', 'purged'],
  ingest: ['active'],
  search: ['active'],
} as const satisfies Record<string, readonly TenantState[]>;
export type TenantVerb = keyof typeof ALLOWED;

export function isAllowed(verb: TenantVerb, state: TenantState): boolean {
  return (ALLOWED[verb] as readonly TenantState[]).includes(state);
}

/** @throws OpsError `WrongState` saying the state and what to do next */
export function requireState(verb: TenantVerb, tenant: TenantId, state: TenantState): void {
  if (isAllowed(verb, state)) return;
  throw new OpsError(
    'WrongState',
    `tenant ${tenant} is ${state}: cannot ${verb}`,
    nextStep(verb, tenant, state),
  );
}

function nextStep(verb: TenantVerb, tenant: TenantId, state: TenantState): string {
  if (verb === 'create') return `it exists already; see it with: cvops tenant show ${tenant}`;
  switch (state) {
    case 'creating':
      return `wait for its creation: cvops op list --tenant ${tenant}`;
    case 'creation_failed':
      return `create it again: cvops tenant create ${tenant}`;
    case 'inactive':
      return `reactivate it first: cvops tenant reactivate ${tenant}`;
    case 'purging':
    case 'purged':
      return 'its data is gone or going; create it again to begin anew';
    case 'active':
      return `see it with: cvops tenant show ${tenant}`;
  }
}
