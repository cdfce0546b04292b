import type { Incarnation } from '../domain/ids.js';
import type { Queryable } from './database.js';

/** A writer that is killed is no longer waited for after this long. */
export const WRITER_SECONDS = 30;

/**
 * Says that a change of memories begins. Call it in the transaction that holds the tenant's row: whoever closes the life
 * then waits for this row, or this one finds it closed.
 *
 * @param holder new for each change
 */
export async function noteWriter(tx: Queryable, incarnation: Incarnation, holder: string): Promise<void> {
  await tx.query(
    `insert into memory_writers (holder, incarnation, expires_at)
     values ($1, $2, clock_timestamp() + make_interval(secs => $3))`,
    [holder, incarnation, WRITER_SECONDS],
  );
}

/** For another {@link WRITER_SECONDS}. @returns false when it expired, so that somebody may have gone on without it */
export async function renewWriter(db: Queryable, holder: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `update memory_writers set expires_at = clock_timestamp() + make_interval(secs => $2)
     where holder = $1 and expires_at > clock_timestamp()`,
    [holder, WRITER_SECONDS],
  );
  return rowCount === 1;
}

/** It ended; and with it go the rows of the life's killed ones. */
export async function endWriter(db: Queryable, incarnation: Incarnation, holder: string): Promise<void> {
  await db.query(
    'delete from memory_writers where holder = $2 or (incarnation = $1 and expires_at <= clock_timestamp())',
    [incarnation, holder],
  );
}

/** Changes of its memories under way: what a purge has to wait for, and a fence too. */
export async function memoryWritersOf(db: Queryable, incarnation: Incarnation): Promise<number> {
  const { rows } = await db.query<{ writers: number }>(
    'select count(*)::int as writers from memory_writers where incarnation = $1 and expires_at > clock_timestamp()',
    [incarnation],
  );
  return rows[0]!.writers;
}
