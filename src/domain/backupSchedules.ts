import type { TenantId } from './ids.js';
import { javaHashCode } from './naming.js';

/** What is done with a tenant's backups on a schedule; one schedule each. */
export const SCHEDULED = ['backup', 'verify', 'prune', 'drill'] as const;
export type Scheduled = (typeof SCHEDULED)[number];

/** How often, in seconds, when nobody says. `verify` and `drill` are only made when somebody does. */
export const DEFAULT_BACKUP_SECONDS = 86_400;
export const DEFAULT_PRUNE_SECONDS = 86_400;
/** As many as a sample of a verification may be one of. */
export const MAX_SAMPLES = 1000;

/**
 * Seconds into each interval: a tenant has its own, by a hash, so that not all of them begin at midnight UTC, which is
 * where intervals begin.
 */
export function scheduleOffset(tenant: TenantId, what: Scheduled | 'memory', everySeconds: number): number {
  return (javaHashCode(`${tenant}/${what}`) >>> 0) % everySeconds;
}
