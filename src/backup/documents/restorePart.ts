import { OpsError } from '../../domain/errors.js';
import { type DocumentAddress, documentIdText } from '../../vespa/documents.js';
import { type FeedReport, type FeedTarget, feedAll } from '../../vespa/feeding/feeder.js';
import type { FeedItem } from '../../vespa/feeding/operation.js';
import { parseDocumentId, takeBody } from '../../vespa/putLine.js';

export interface RestoreOptions {
  /** Which document a line becomes; it may take over the line's bytes. See {@link sameFields}. */
  readonly rename: (line: Buffer) => FeedItem;
  readonly signal?: AbortSignal | undefined;
  /** Called with each document that is stored. */
  readonly onProgress?: (stored: number) => void;
  /** Most puts in flight; what the target can carry by default. */
  readonly maxInFlight?: number;
}

/** A document with its fields as they are, in a place made of its former one. @throws OpsError `InvalidInput` */
export function sameFields(to: (from: DocumentAddress) => DocumentAddress): (line: Buffer) => FeedItem {
  return (line) => {
    const { id, body } = takeBody(line);
    return { at: to(parseDocumentId(id)), body };
  };
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
  const { rename, signal, onProgress, maxInFlight } = options;
  let refused: { readonly error: Error; readonly said: OpsError } | undefined;
  let stored = 0;
  async function* items(): AsyncGenerator<FeedItem> {
    for await (const line of lines) yield rename(line);
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
