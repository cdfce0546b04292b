import { OpsError } from '../domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import type { Queryable } from './database.js';
import { memoryWritersOf } from './memoryWriters.js';

/** A fence that nobody renews falls after this long. */
export const FENCE_MINUTES = 15;

export interface FenceKey {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly operation: OperationId;
}

/**
 * Closes a life to changes by others; again by its holder it is renewed. Whoever is in the middle of a change has a slot:
 * see {@link writersOf}.
 *
 * @returns since when it stands, ISO 8601, by the database's clock
 * @throws OpsError `Conflict` while another operation holds one
 */
export async function raiseFence(
  db: Queryable,
  { tenant, incarnation, operation }: FenceKey,
): Promise<string> {
  const { rows } = await db.query<{ now: string }>(
    `update tenants set fence = $2, fence_until = now() + make_interval(mins => $3)
     where incarnation = $1 and (fence = $2 or coalesce(fence_until <= now(), true))
     returning to_json(now())#>>'{}' as now`,
    [incarnation, operation, FENCE_MINUTES],
  );
  if (rows[0]) return rows[0].now;
  throw new OpsError(
    'Conflict',
    `another operation has closed tenant ${tenant} to changes`,
    `see which: cvops op list --tenant ${tenant}`,
  );
}

/** @returns false when it has fallen, or is another's: then changes may have been made meanwhile */
export async function renewFence(db: Queryable, { incarnation, operation }: FenceKey): Promise<boolean> {
  const { rowCount } = await db.query(
    `update tenants set fence_until = now() + make_interval(mins => $3)
     where incarnation = $1 and fence = $2 and fence_until > now()`,
    [incarnation, operation, FENCE_MINUTES],
  );
  return rowCount === 1;
}

/** Opens the life again; fine when the fence has fallen, and another's stays. */
export async function lowerFence(db: Queryable, { incarnation, operation }: FenceKey): Promise<void> {
  await db.query(
    'update tenants set fence = null, fence_until = null where incarnation = $1 and fence = $2',
    [incarnation, operation],
  );
}

/** Videos of the tenant in work, and changes of its memories: what a fence has to wait for. */
export async function writersOf(db: Queryable, incarnation: Incarnation): Promise<number> {
  const { rows } = await db.query<{ videos: number }>(
    'select count(*)::int as videos from ingest_slots where incarnation = $1 and expires_at > clock_timestamp()',
    [incarnation],
  );
  return rows[0]!.videos + (await memoryWritersOf(db, incarnation));
}
