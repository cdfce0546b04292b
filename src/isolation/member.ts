import type { Incarnation, TenantId } from '../domain/ids.js';

/** A life of a tenant in a verification, and what is written in its canaries. */
export interface Member {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  /** New for each verification. The ids of canaries are the life's: what a killed run left is what the next writes over. */
  readonly token: string;
}
