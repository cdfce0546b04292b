import type { DocumentAddress, DocumentClient } from './documents.js';

export interface FeedItem {
  readonly at: DocumentAddress;
  /** `{"fields":{…}}` */
  readonly body: Buffer;
}

/**
 * Puts every document of the source, `concurrency` at a time, pulling the next only when one is done: memory holds a
 * window of documents, whatever the source's length. Two with one id do not overtake each other.
 *
 * @returns how many were acknowledged
 * @throws the first failure, after all in flight have ended: nothing is lost silently
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
  const inFlight = new Map<string, Promise<void>>();
  const failures: unknown[] = [];
  let stored = 0;
  try {
    for await (const { at, body } of source) {
      if (failures.length > 0) break;
      const key = `${at.namespace}/${at.schema}/${at.id}`;
      while (inFlight.size >= options.concurrency || inFlight.has(key)) {
        await (inFlight.get(key) ?? Promise.race(inFlight.values()));
      }
      const put = client
        .put(at, body, options.signal)
        .then(() => {
          stored++;
          options.onStored?.(stored);
        })
        .catch((error: unknown) => void failures.push(error))
        .finally(() => inFlight.delete(key));
      inFlight.set(key, put);
    }
  } finally {
    // Also when the source fails: a put that still runs must not land after somebody has cleaned up.
    await Promise.all(inFlight.values());
  }
  if (failures.length > 0) throw failures[0];
  return stored;
}
