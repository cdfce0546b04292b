import type { DocumentAddress } from '../documents.js';

/** A whole document to be stored. */
export interface FeedItem {
  readonly at: DocumentAddress;
  /** `{"fields":{…}}` */
  readonly body: Buffer;
}

/** A document to be gone; that it never was is success. */
export interface FeedRemoval {
  readonly at: DocumentAddress;
  readonly remove: true;
}

export type FeedOperation = FeedItem | FeedRemoval;

/** How an operation ended. Each one that was pulled from the source ends in exactly one. */
export type FeedOutcome =
  | { readonly state: 'acknowledged' }
  /** Its own fault: the server refuses it for good, or does everything else but this one. */
  | { readonly state: 'failed'; readonly error: Error }
  /** The run ended first. It may or may not have been done; doing it again is harmless. */
  | { readonly state: 'unacknowledged' };

export function bytesOf(operation: FeedOperation): number {
  return 'body' in operation ? operation.body.length : 0;
}
