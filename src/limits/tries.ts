import { OpsError } from '../domain/errors.js';
import type { OperationId } from '../domain/ids.js';
import type { Queryable } from '../registry/database.js';
import { NoRoom } from '../sources/noRoom.js';
import { DocumentError, FeedBlocked, RetriesExhausted } from '../vespa/retry.js';

/** How often a video is begun before it is `failed` in the ledger. */
export const MAX_TRIES = 10;

/** A video was begun as often as it may be; what stopped it may well pass, so it is not the file's fault for good. */
export class TriesSpent extends Error {
  override readonly name = 'TriesSpent';
}

/**
 * Runs the work on an item as one of its {@link MAX_TRIES}. Not Temporal's attempts: those also count every wait for a
 * slot. A try is counted before its work, so that a video that takes its worker down is given up too; one that ends by
 * nothing the video did (a cancelled run, a worker that is stopped, a cluster that takes no writes or
 * does not answer, a worker's own full disk) is taken back.
 *
 * @throws TriesSpent when it was the last; else what `work` throws
 */
export async function counted<T>(
  db: Queryable,
  { operation, item, signal }: { operation: OperationId; item: number; signal: AbortSignal },
  work: () => Promise<T>,
): Promise<T> {
  const tries = await change(db, operation, item, 1);
  if (tries > MAX_TRIES)
    throw new TriesSpent(`its worker ended while at it, in the last of ${MAX_TRIES} tries`);
  try {
    return await work();
  } catch (error) {
    const silent = error instanceof RetriesExhausted && error.reach === 'server';
    if (signal.aborted || silent || error instanceof FeedBlocked || error instanceof NoRoom)
      await change(db, operation, item, -1);
    else if (tries === MAX_TRIES && !(error instanceof OpsError || error instanceof DocumentError))
      throw new TriesSpent(error instanceof Error ? error.message : String(error));
    throw error;
  }
}

async function change(db: Queryable, operation: OperationId, item: number, by: 1 | -1): Promise<number> {
  const { rows } = await db.query<{ tries: number }>(
    'update ingest_items set tries = greatest(0, tries + $3) where operation = $1 and item = $2 returning tries',
    [operation, item, by],
  );
  return rows[0]?.tries ?? 0;
}
