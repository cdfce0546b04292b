import { OpsError } from '../domain/errors.js';
import type { OperationId } from '../domain/ids.js';
import type { ItemState } from '../domain/states.js';
import { type Pool, type Queryable, transaction } from './database.js';
import { storableText } from './storable.js';

/** Rows a statement while a ledger is copied. */
const COPY_PAGE = 1000;

export interface LedgerItem {
  readonly item: number;
  readonly path: string;
  readonly video: string;
  readonly state: ItemState;
  readonly reason: string | null;
  readonly documents: number;
  /** How it looked when it was listed; null unless the run takes only changes. */
  readonly fingerprint: string | null;
}

const COLUMNS = 'item, path, video, state, reason, documents, fingerprint';

/** `video` is the path as the user knows it. */
export interface FailedItem {
  readonly item: number;
  readonly video: string;
  readonly reason: string;
}

export interface LedgerCounts {
  readonly pending: number;
  readonly stored: number;
  readonly unchanged: number;
  readonly failed: number;
  readonly documents: number;
}

/**
 * Adds the paths that are not there yet, numbered onwards from the last item: a listing may be killed and run again,
 * over a folder that has changed meanwhile, and the numbers are still 1 to n without a hole.
 *
 * @throws OpsError `NotFound` when there is no such operation
 */
export async function addItems(
  pool: Pool,
  operation: OperationId,
  items: readonly { readonly path: string; readonly video: string; readonly fingerprint?: string }[],
): Promise<void> {
  await transaction(pool, async (tx) => {
    // One listing at a time: a former attempt may still be under way, and both would give out the same numbers.
    const { rowCount } = await tx.query('select 1 from operations where operation = $1 for update', [
      operation,
    ]);
    if (rowCount !== 1) throw new OpsError('NotFound', `no operation ${operation}`);
    await tx.query(
      `insert into ingest_items (operation, item, path, video, fingerprint)
       select $1, (select coalesce(max(item), 0) from ingest_items where operation = $1)
         + row_number() over (order by min(place)), path, min(video), min(fingerprint)
       from unnest($2::text[], $3::text[], $4::text[]) with ordinality as listed (path, video, fingerprint, place)
       where not exists (select 1 from ingest_items i
         where i.operation = $1 and i.video = listed.video and md5(i.path) = md5(listed.path))
       group by path`,
      [
        operation,
        items.map(({ path }) => path),
        items.map(({ video }) => video),
        items.map(({ fingerprint }) => fingerprint ?? null),
      ],
    );
  });
}

/**
 * Adds the items of a former operation that are in a state, in their order: what a run that takes it up again works on.
 * Again is fine. Whose the former operation is, is for the caller to know.
 */
export async function copyItems(
  pool: Pool,
  operation: OperationId,
  from: OperationId,
  state: 'pending' | 'failed',
): Promise<void> {
  let after = 0;
  for (;;) {
    const { rows } = await pool.query<Pick<LedgerItem, 'item' | 'path' | 'video'>>(
      'select item, path, video from ingest_items where operation = $1 and state = $2 and item > $3 order by item limit $4',
      [from, state, after, COPY_PAGE],
    );
    if (rows.length === 0) return;
    await addItems(pool, operation, rows);
    after = rows.at(-1)!.item;
  }
}

/** @throws OpsError `NotFound` */
export async function getItem(db: Queryable, operation: OperationId, item: number): Promise<LedgerItem> {
  const { rows } = await db.query<LedgerItem>(
    `select ${COLUMNS} from ingest_items where operation = $1 and item = $2`,
    [operation, item],
  );
  if (rows[0]) return rows[0];
  throw new OpsError('NotFound', `operation ${operation} has no item ${item}`);
}

/** Those of these numbers, in their order. @throws OpsError `NotFound` when one is missing */
export async function getItems(
  db: Queryable,
  operation: OperationId,
  items: readonly number[],
): Promise<LedgerItem[]> {
  const { rows } = await db.query<LedgerItem>(
    `select ${COLUMNS} from ingest_items where operation = $1 and item = any($2::bigint[]) order by item`,
    [operation, items],
  );
  if (rows.length === new Set(items).size) return rows;
  throw new OpsError('NotFound', `operation ${operation} has no item among ${items.join(', ')}`);
}

/**
 * Items without an end yet, in order of their number: what a resumed run has left to do.
 *
 * @param after the last item of the page before, 0 for none
 */
export async function nextPendingItems(
  db: Queryable,
  operation: OperationId,
  after: number,
  limit: number,
): Promise<LedgerItem[]> {
  const { rows } = await db.query<LedgerItem>(
    `select ${COLUMNS} from ingest_items
     where operation = $1 and state = 'pending' and item > $2 order by item limit $3`,
    [operation, after, limit],
  );
  return rows;
}

/**
 * Ends an item, once.
 *
 * @returns what it ended as, which is the first end's word
 * @throws OpsError `NotFound`
 */
export async function finishItem(
  db: Queryable,
  operation: OperationId,
  item: number,
  end:
    | { readonly state: 'stored' | 'unchanged'; readonly documents: number }
    | { readonly state: 'failed'; readonly reason: string },
): Promise<LedgerItem> {
  const reason = end.state === 'failed' ? storableText(end.reason.slice(0, 2000)) : null;
  const documents = end.state === 'failed' ? 0 : end.documents;
  const { rows } = await db.query<LedgerItem>(
    `update ingest_items set state = $3, reason = $4, documents = $5, ended_at = now()
     where operation = $1 and item = $2 and state = 'pending' returning ${COLUMNS}`,
    [operation, item, end.state, reason, documents],
  );
  return rows[0] ?? getItem(db, operation, item);
}

export async function countItems(db: Queryable, operation: OperationId): Promise<LedgerCounts> {
  const { rows } = await db.query<LedgerCounts>(
    `select count(*) filter (where state = 'pending') as pending, count(*) filter (where state = 'stored') as stored,
       count(*) filter (where state = 'unchanged') as unchanged, count(*) filter (where state = 'failed') as failed,
       coalesce(sum(documents), 0)::bigint as documents
     from ingest_items where operation = $1`,
    [operation],
  );
  return rows[0]!;
}

/** Failed items in order; `after` is the last item of the page before. */
export async function failedItems(
  db: Queryable,
  operation: OperationId,
  limit: number,
  after = 0,
): Promise<FailedItem[]> {
  const { rows } = await db.query<FailedItem>(
    `select item, path as video, reason from ingest_items where operation = $1 and state = 'failed' and item > $2 order by item limit $3`,
    [operation, after, limit],
  );
  return rows;
}
