import type { DocumentClient } from './documents.js';
import { feedAll } from './feeding/feeder.js';
import type { FeedItem } from './feeding/operation.js';
import { DEFAULT_BUDGET, DocumentError } from './retry.js';

export type { FeedItem } from './feeding/operation.js';

/**
 * Puts every document of the source, up to `concurrency` at a time, pulling the next only when there is room: memory
 * holds a window of documents, whatever the source's length. Two with one id do not overtake each other. For a source
 * where one document's failure is not the end, see `feedAll`.
 *
 * @returns how many were acknowledged
 * @throws the first failure, after all in flight have ended: nothing is lost silently. A `DocumentError` names the document
 */
export async function feed(
  client: DocumentClient,
  source: AsyncIterable<FeedItem>,
  options: {
    readonly concurrency: number;
    readonly signal?: AbortSignal;
    readonly onStored?: (stored: number) => void;
  },
): Promise<number> {
  let stored = 0;
  let refused: DocumentError | undefined;
  const { acknowledged } = await feedAll(client, source, {
    maxInFlight: options.concurrency,
    signal: options.signal,
    patienceMs: DEFAULT_BUDGET.totalMs,
    stopOnFailure: true,
    onEnd: ({ at }, outcome) => {
      if (outcome.state === 'acknowledged') options.onStored?.(++stored);
      if (outcome.state === 'failed' && outcome.error instanceof DocumentError)
        refused ??= new DocumentError(outcome.error.status, `document ${at.id}: ${outcome.error.message}`);
    },
  }).catch((error: unknown) => {
    throw error instanceof DocumentError && refused ? refused : error;
  });
  return acknowledged;
}
