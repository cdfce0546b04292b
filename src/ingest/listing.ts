import { createHash } from 'node:crypto';
import { videoId } from '../domain/documents.js';
import type { Queryable } from '../registry/database.js';
import { type StoredAs, unchangedPaths } from '../registry/videos.js';
import type { VideoSourceReader } from '../sources/reader.js';

export interface ListedItem {
  readonly path: string;
  readonly video: string;
}

/**
 * The videos of a source, page by page, as items of a ledger.
 *
 * @param except leaves out what is stored in this way and looks as it did then; a page may be empty
 */
export async function* listItems(
  db: Queryable,
  reader: VideoSourceReader,
  except: StoredAs | undefined,
  signal?: AbortSignal,
): AsyncGenerator<readonly ListedItem[], void> {
  for await (const page of reader.list({ signal, fingerprints: except !== undefined })) {
    const items = page.map(({ path, fingerprint }) => ({ path, fingerprint, video: videoIdOf(path) }));
    if (except === undefined) {
      yield items;
      continue;
    }
    const marked = items.flatMap(({ fingerprint, ...item }) =>
      fingerprint === undefined ? [] : [{ ...item, fingerprint }],
    );
    const unchanged = marked.length === 0 ? new Set<string>() : await unchangedPaths(db, except, marked);
    yield items.filter(({ path }) => !unchanged.has(path));
  }
}

/** How many videos {@link listItems} gives. */
export async function countItemsOf(pages: AsyncIterable<readonly ListedItem[]>): Promise<number> {
  let count = 0;
  for await (const page of pages) count += page.length;
  return count;
}

function videoIdOf(path: string): string {
  return videoId(path, createHash('sha256').update(path).digest('hex'));
}
