import { setTimeout as delay } from 'node:timers/promises';
import type { FeedOperation } from './feeding/operation.js';

/**
 * What to do with each answer of document/v1. Our puts, removes and gets are idempotent (an id, a whole document, no
 * condition), so even an unknown outcome may be tried again; the official clients give up on 500, 502, 504 and lose the
 * document.
 */
export const RETRY_POLICY: Readonly<Record<'networkError' | number, 'retry' | 'blocked' | 'fail'>> = {
  networkError: 'retry',
  408: 'retry',
  429: 'retry',
  500: 'retry',
  502: 'retry',
  503: 'retry',
  504: 'retry',
  /** Feed block: memory or disk is short. It lifts by itself, but not in seconds: the caller parks. */
  507: 'blocked',
};

export function policyFor(status: number | 'networkError'): 'retry' | 'blocked' | 'fail' {
  return RETRY_POLICY[status] ?? 'fail';
}

/** The server has too much to do: fewer at a time, and nothing is said about the document. */
export function isOverload(status: number | 'networkError'): boolean {
  return status === 429 || status === 503;
}

/** The cluster takes no writes (507): wait longer than a retry would. */
export class FeedBlocked extends Error {
  override readonly name = 'FeedBlocked';

  /** @param unacknowledged of a feed: all that was pulled from its source and not acknowledged, in the source's order */
  constructor(
    message: string,
    readonly unacknowledged: readonly FeedOperation[] = [],
  ) {
    super(message);
  }
}

/** An operation that will not succeed by trying again; the message is the server's. */
export class DocumentError extends Error {
  override readonly name = 'DocumentError';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Still failing when its budget was spent. */
export class RetriesExhausted extends Error {
  override readonly name = 'RetriesExhausted';

  /** @param reach `document` when the server took others meanwhile: trying this one again later will not help */
  constructor(
    message: string,
    readonly reach: 'server' | 'document' = 'server',
  ) {
    super(message);
  }
}

export interface RetryBudget {
  /** Milliseconds from the first try. */
  readonly totalMs: number;
}

export const DEFAULT_BUDGET: RetryBudget = { totalMs: 120_000 };

/** Exponential with full jitter, from 50 ms to 5 s; a server's `Retry-After` in seconds wins. */
export function backoffMs(attempt: number, retryAfter?: string): number {
  const asked = Number(retryAfter);
  if (retryAfter !== undefined && Number.isFinite(asked) && asked >= 0) return Math.min(asked * 1000, 60_000);
  return Math.random() * Math.min(5_000, 50 * 2 ** attempt);
}

/** @throws the signal's reason */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await delay(ms, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
}
