import type { Client } from '@temporalio/client';
import type { Finding, Store, TenantCheck } from '../../domain/health/checks.js';
import type { OperationRow } from '../../registry/operations.js';
import type { TenantRow } from '../../registry/tenants.js';
import type { ActivePackage } from '../../vespa/activePackage.js';
import type { HealthResources } from '../resources.js';

/** One life, and what several checks of it share. */
export interface CheckContext {
  readonly resources: HealthResources;
  readonly row: TenantRow;
  /** What runs for it. */
  readonly running: readonly OperationRow[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The active package; one read may serve a page of tenants. */
  readonly activePackage: () => Promise<ActivePackage>;
  readonly temporal: () => Promise<Client>;
}

/** One thing that is looked at of a tenant. It changes nothing. */
export interface Check {
  readonly name: TenantCheck;
  /** Without one of these it cannot be made. */
  readonly needs: readonly Store[];
  /** Why it does not apply to a life as it is; undefined: it does. */
  readonly skip: (row: TenantRow) => string | undefined;
  /** Whether it is left until no operation makes, fills or ends the life. */
  readonly settledOnly: boolean;
  /** @throws Error when it could not be made: its outcome is unknown then */
  readonly run: (context: CheckContext) => Promise<readonly Finding[]>;
}

/** For checks of what a tenant has while it is there. */
export function unlessThere({ state }: TenantRow): string | undefined {
  return state === 'active' || state === 'inactive' ? undefined : `the tenant is ${state}`;
}

export function unlessActive({ state }: TenantRow): string | undefined {
  return state === 'active' ? undefined : `the tenant is ${state}`;
}
