import type { Incarnation, TenantId } from './ids.js';

export interface TenantLife {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
}

/** A restore that makes another tenant, or another life of the same one, of a backup. */
export interface ClonePlan {
  /** Whose backup it is. */
  readonly from: TenantLife;
  readonly to: TenantLife;
}
