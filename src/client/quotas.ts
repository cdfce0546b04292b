import { checkInput, tenantId } from '../contracts/common.js';
import { SYSTEM_CONFIG } from '../domain/config/keys.js';
import type { TenantId } from '../domain/ids.js';
import {
  QUOTA_RESOURCES,
  type QuotaChanges,
  type QuotaResource,
  type QuotaState,
  type ShownQuota,
  shownQuota,
} from '../domain/quotas.js';
import { expire } from '../quotas/reservations.js';
import { setQuotas } from '../quotas/set.js';
import { quotaStates } from '../quotas/state.js';
import { getConfig } from '../registry/config.js';
import type { Pool } from '../registry/database.js';
import { type TenantLife, getTenant, requireTenant } from '../registry/tenants.js';
import { ownHosts } from '../settings.js';
import type { Connections } from './connections.js';

export interface Quotas {
  readonly tenant: TenantId;
  /** By resource; `max` null: no limit. Of `max_qps` nothing is used up: it is a rate. */
  readonly quotas: Readonly<Record<QuotaResource, ShownQuota> & { max_qps: { max: number | null } }>;
}

/** What tenants may have and ask for. */
export class QuotaClient {
  constructor(private readonly connections: Connections) {}

  /** @throws OpsError `NotFound`, `PermissionDenied` */
  async show(tenant: TenantId): Promise<Quotas> {
    const { pool } = this.connections;
    await this.connections.authorize('quota show', checkInput(tenantId, tenant));
    return quotasOf(pool, await getTenant(pool, tenant));
  }

  /**
   * Sets limits and the rate, all or none, audited; a dry run says what they would be.
   *
   * @throws OpsError `NotFound`, `WrongState` when the tenant is not active, `PermissionDenied` for a tenant's own principal,
   *   `InvalidInput` for a rate outside of its rule
   */
  async set(tenant: TenantId, changes: QuotaChanges, reason: string, dryRun = false): Promise<Quotas> {
    const { pool, principal, settings } = this.connections;
    await this.connections.authorize('quota set', checkInput(tenantId, tenant));
    const life = await requireTenant(pool, checkInput(tenantId, tenant), 'configure');
    const by = { principal, reason, dryRun, allowedPrivate: ownHosts(settings) };
    return shown(pool, life, await setQuotas(pool, life, changes, by), changes.maxQps);
  }
}

/** What is held by the dead is not shown. */
export async function quotasOf(pool: Pool, life: TenantLife): Promise<Quotas> {
  await expire(pool, life, QUOTA_RESOURCES);
  return shown(pool, life, await quotaStates(pool, life.incarnation));
}

/** @param maxQps what the rate is, or would be; left out: what the configuration says */
async function shown(
  pool: Pool,
  life: TenantLife,
  states: readonly QuotaState[],
  maxQps?: number,
): Promise<Quotas> {
  const rate = maxQps ?? (await configuredRate(pool, life));
  const quotas = Object.fromEntries(states.map((state) => [state.resource, shownQuota(state)])) as Record<
    QuotaResource,
    ShownQuota
  >;
  return {
    tenant: life.tenant,
    quotas: { ...quotas, max_qps: { max: rate } },
  };
}

async function configuredRate(pool: Pool, { incarnation }: TenantLife): Promise<number | null> {
  const system = await getConfig(pool, { ...SYSTEM_CONFIG, incarnation });
  const rate = system?.value['max_qps'];
  return typeof rate === 'number' ? rate : null;
}
