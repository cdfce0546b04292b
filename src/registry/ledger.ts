import { OpsError } from '../domain/errors.js';
import type { OperationId } from '../domain/ids.js';
import type { ItemState } from '../domain/states.js';
import type { Queryable } from './database.js';

export interface LedgerItem {
  readonly item: number;
  readonly path: string;
  readonly video: string;
  readonly state: ItemState;
  readonly reason: string | null;
  readonly documents: number;
}

export interface LedgerCounts {
  readonly pending: number;
  readonly stored: number;
  readonly unchanged: number;
  readonly failed: number;
  readonly documents: number;
}

/** Adds items by number; those that are there already stay as they are, so a listing may run again. */
export async function addItems(
  db: Queryable,
  operation: OperationId,
  items: readonly { item: number; path: string; video: string }[],
): Promise<void> {
  await db.query(
    `insert into ingest_items (operation, item, path, video)
     select $1, * from unnest($2::bigint[], $3::text[], $4::text[]) on conflict do nothing`,
    [operation, items.map((i) => i.item), items.map((i) => i.path), items.map((i) => i.video)],
  );
}

/** @throws OpsError `NotFound` */
export async function getItem(db: Queryable, operation: OperationId, item: number): Promise<LedgerItem> {
  const { rows } = await db.query<LedgerItem>(
    'select item, path, video, state, reason, documents from ingest_items where operation = $1 and item = $2',
    [operation, item],
  );
  if (rows[0]) return rows[0];
  throw new OpsError('NotFound', `operation ${operation} has no item ${item}`);
}

/** Ends an item, once; @returns what it ended as, which is the first end's word. */
export async function finishItem(
  db: Queryable,
  operation: OperationId,
  item: number,
  end:
    | { readonly state: 'stored' | 'unchanged'; readonly documents: number }
    | { readonly state: 'failed'; readonly reason: string },
): Promise<LedgerItem> {
  const reason = end.state === 'failed' ? end.reason.slice(0, 2000).replaceAll('\0', '') : null;
  const documents = end.state === 'failed' ? 0 : end.documents;
  await db.query(
    `update ingest_items set state = $3, reason = $4, documents = $5, ended_at = now()
     where operation = $1 and item = $2 and state = 'pending'`,
    [operation, item, end.state, reason, documents],
  );
  return getItem(db, operation, item);
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
): Promise<{ video: string; reason: string }[]> {
  const { rows } = await db.query<{ video: string; reason: string }>(
    `select path as video, reason from ingest_items where operation = $1 and state = 'failed' and item > $2 order by item limit $3`,
    [operation, after, limit],
  );
  return rows;
}
