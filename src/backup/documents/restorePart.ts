import { OpsError } from '../../domain/errors.js';
import { documentIdText } from '../../vespa/documents.js';
import { type FeedReport, type FeedTarget, feedAll } from '../../vespa/feeding/feeder.js';
import type { FeedItem } from '../../vespa/feeding/operation.js';
import { type DocumentsOf, documentLine } from '../format/documentLine.js';

export interface RestoreOptions {
  /** Which document a line becomes; it may take over the line's bytes. See {@link putOf}. */
  readonly put: (line: Buffer) => FeedItem;
  readonly signal?: AbortSignal | undefined;
  /** Called with each document that is stored. */
  readonly onProgress?: (stored: number) => void;
  /** Most puts in flight; what the target can carry by default. */
  readonly maxInFlight?: number;
}

const OPEN = '{'.charCodeAt(0);
/** Between the id and the fields object. */
const BEFORE_FIELDS = ',"fields":'.length;

/**
 * The put that stores a line's document again. Its body is the line's own bytes without a copy, the line is no document
 * afterwards.
 *
 * @throws OpsError `VerificationFailed` as {@link documentLine}
 */
export function putOf(line: Buffer, of: DocumentsOf): FeedItem {
  const { user, fields } = documentLine(line, of);
  const bodyAt = line.length - 1 - fields.length - BEFORE_FIELDS;
  // The comma before "fields" becomes the brace that opens the body.
  line[bodyAt] = OPEN;
  return { at: { ...of, id: user }, body: line.subarray(bodyAt) };
}

/**
 * Puts every document of a part, as fast as the server takes them. Puts are whole documents, so that a part may be
 * restored again from its beginning after a kill.
 *
 * @returns when each was acknowledged
 * @throws OpsError `Rejected` naming the first document that the server refuses for good; FeedBlocked, RetriesExhausted,
 *   the signal's reason, the lines' own error
 */
export async function restorePart(
  target: FeedTarget,
  lines: AsyncIterable<Buffer>,
  options: RestoreOptions,
): Promise<FeedReport> {
  const { put, signal, onProgress, maxInFlight } = options;
  let refused: { readonly error: Error; readonly said: OpsError } | undefined;
  let stored = 0;
  async function* items(): AsyncGenerator<FeedItem> {
    for await (const line of lines) yield put(line);
  }
  return feedAll(target, items(), {
    signal,
    stopOnFailure: true,
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
    onEnd: ({ at }, outcome) => {
      if (outcome.state === 'acknowledged') onProgress?.(++stored);
      if (outcome.state === 'failed')
        refused ??= {
          error: outcome.error,
          said: new OpsError(
            'Rejected',
            `Vespa refuses ${documentIdText(at)}: ${outcome.error.message}`,
            'compare its schema with the one in the backup, then run the restore again: it goes on where it was',
          ),
        };
    },
  }).catch((error: unknown) => {
    throw error === refused?.error ? refused?.said : error;
  });
}
