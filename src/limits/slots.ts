import { DEFAULT_CONCURRENT_VIDEOS, SYSTEM_CONFIG } from '../domain/config/keys.js';
import type { Incarnation, OperationId } from '../domain/ids.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';

/** One video in work. */
export interface SlotKey {
  readonly incarnation: Incarnation;
  readonly operation: OperationId;
  readonly item: number;
}

/** A worker that is killed gives its slots up after this long; the next try of its videos takes them over before. */
export const SLOT_SECONDS = 30;

/** Any number will do, as long as nobody else locks by it. */
const LOCK = 7_301_115;

/** `$4` holds it for `$5` seconds, when fewer than the limit are held by others. */
const TAKE = `
  with expired as (
    delete from ingest_slots
    where incarnation = $1 and expires_at <= clock_timestamp() and (operation, item) <> ($2::uuid, $3::bigint)
  )
  insert into ingest_slots as slot (incarnation, operation, item, holder, expires_at)
  select $1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5)
  where (
      select count(*) from ingest_slots
      where incarnation = $1 and expires_at > clock_timestamp() and (operation, item) <> ($2::uuid, $3::bigint)
    ) < coalesce(
      (select (value->>'max_concurrent_videos')::int from config_versions
        where incarnation = $1 and scope = $6 and service = $7 and key = $8 order by version desc limit 1),
      $9::int
    )
  on conflict (incarnation, operation, item) do update set holder = excluded.holder, expires_at = excluded.expires_at`;

/**
 * Takes a slot of the tenant when one is free by its present `max_concurrent_videos`; the slot of a former try of the same
 * item is taken over. The tenant's takers come one after the other: two never both see the last one free.
 *
 * @param holder new for each try
 * @returns whether it is held now
 */
export async function takeSlot(pool: Pool, key: SlotKey, holder: string): Promise<boolean> {
  const { scope, service, key: name } = SYSTEM_CONFIG;
  return transaction(pool, async (tx) => {
    // A statement of its own: the next one then sees what was committed while this one waited.
    await tx.query('select pg_advisory_xact_lock($1, hashtext($2))', [LOCK, key.incarnation]);
    const { rowCount } = await tx.query(TAKE, [
      ...[key.incarnation, key.operation, key.item, holder, SLOT_SECONDS],
      ...[scope, service, name, DEFAULT_CONCURRENT_VIDEOS],
    ]);
    return rowCount === 1;
  });
}

/**
 * For another {@link SLOT_SECONDS}. One that expired is held again if nobody took one of the tenant's since: who takes one
 * deletes the expired.
 *
 * @returns whether it is still held
 */
export async function renewSlot(db: Queryable, key: SlotKey, holder: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `update ingest_slots set expires_at = clock_timestamp() + make_interval(secs => $5)
     where incarnation = $1 and operation = $2 and item = $3 and holder = $4`,
    [key.incarnation, key.operation, key.item, holder, SLOT_SECONDS],
  );
  return rowCount === 1;
}

export async function releaseSlot(db: Queryable, key: SlotKey, holder: string): Promise<void> {
  await db.query(
    'delete from ingest_slots where incarnation = $1 and operation = $2 and item = $3 and holder = $4',
    [key.incarnation, key.operation, key.item, holder],
  );
}
