import { OpsError } from '../domain/errors.js';
import type { DocumentClient } from '../vespa/documents.js';
import { itemOf } from './documents.js';
import { positionOf } from './ids.js';
import { NEWEST_FIRST, conditionOf, find } from './query.js';
import type { MemoryItem, MemoryPage, MemoryScope, TenantLife } from './tenantMemory.js';

/** The last memory of a page: its time, and its id, which puts those of one time in an order. */
interface Place {
  readonly at: number;
  readonly id: string;
}

/**
 * A page of memories, newest first. It goes on after the last one of the page before, wherever that is now: what comes
 * or goes meanwhile moves nothing.
 *
 * @throws OpsError `InvalidInput` for a cursor that is none
 */
export async function listPage(
  documents: Pick<DocumentClient, 'search'>,
  life: TenantLife,
  options: MemoryScope & { readonly pageSize: number; readonly cursor?: string; readonly now: number },
): Promise<MemoryPage> {
  const { pageSize, cursor, now, ...scope } = options;
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const hits = await find({
    ...{ documents, life, hits: pageSize, profile: 'unranked', orderBy: NEWEST_FIRST },
    where: conditionOf(life, { ...scope, now }, after ? [laterThan(after)] : []),
  });
  const items = hits.map(({ memory }) => itemOf(memory));
  const last = items.at(-1);
  return items.length < pageSize || last === undefined ? { items } : { items, cursor: cursorOf(last) };
}

function laterThan({ at, id }: Place): string {
  return `(created_at < ${at}L or (created_at = ${at}L and id_order > ${positionOf(id)}L))`;
}

function cursorOf({ createdAt, id }: MemoryItem): string {
  return Buffer.from(`${Date.parse(createdAt)} ${id}`).toString('base64url');
}

function readCursor(cursor: string): Place {
  const match = /^(\d{1,15}) ([0-9a-f-]{36})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (match) return { at: Number(match[1]), id: match[2]! };
  throw new OpsError('InvalidInput', 'not a cursor of this list', 'give the cursor of the page before');
}
