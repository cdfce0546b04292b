import { createHash } from 'node:crypto';
import { videoId } from '../domain/documents.js';
import type { Queryable } from '../registry/database.js';
import { type StoredAs, refusedPaths, unchangedPaths } from '../registry/videos.js';
import type { VideoSourceReader } from '../sources/reader.js';

export interface ListedItem {
  readonly path: string;
  readonly video: string;
  /** Of a run that takes only changes; empty when there was nothing to look at. */
  readonly fingerprint?: string;
}

/** What a run of changes leaves out, and how. */
export interface Except {
  readonly as: StoredAs;
  readonly unattended?: { readonly settleSeconds: number } | undefined;
}

/**
 * The videos of a source, page by page, as items of a ledger.
 *
 * @param except leaves out what is stored in this way and looks as it did then; unattended, also what was refused so,
 *   and files that are being written. A page may be empty
 */
export async function* listItems(
  db: Queryable,
  reader: VideoSourceReader,
  except: Except | undefined,
  signal?: AbortSignal,
): AsyncGenerator<readonly ListedItem[], void> {
  for await (const page of reader.list({ signal, fingerprints: except !== undefined })) {
    if (except === undefined) {
      yield page.map(({ path }) => ({ path, video: videoIdOf(path) }));
      continue;
    }
    const { as, unattended } = except;
    const now = Date.now();
    const items = page
      .filter(({ writtenAt }) => unattended === undefined || isSettled(writtenAt, unattended, now))
      .map(({ path, fingerprint = '' }) => ({ path, fingerprint, video: videoIdOf(path) }));
    const known = items.length === 0 ? new Set<string>() : await unchangedPaths(db, as, items);
    if (unattended !== undefined && items.length > 0)
      for (const path of await refusedPaths(db, as, items)) known.add(path);
    yield items.filter(({ path }) => !known.has(path));
  }
}

/** A time far in the future is a wrong date, not a file under way. */
function isSettled(
  writtenAt: number | undefined,
  { settleSeconds }: NonNullable<Except['unattended']>,
  now: number,
): boolean {
  return writtenAt === undefined || Math.abs(now - writtenAt) >= settleSeconds * 1000;
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
