import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type PhoenixClient, PhoenixError, requireStatus } from './client.js';
import { spanPage } from './storedSpans.js';

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 500;

/** Nobody's project: holds a sentinel for as long as a drain takes. */
export const BARRIER_PROJECT = '_barrier';

/**
 * Waits until Phoenix has stored every span it had accepted before this call. Its queue is in memory and first in, first
 * out, so a sentinel span that is sent now and found stored says that all before it are. Without that, a deleted project
 * comes back with what was still queued.
 *
 * @throws PhoenixError when the sentinel does not arrive in `timeoutMs`, or the queue is full
 */
export async function drainSpans(
  phoenix: PhoenixClient,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const spanId = randomBytes(8).toString('hex');
  const now = new Date().toISOString();
  const sentinel = {
    name: 'drain',
    context: { trace_id: randomBytes(16).toString('hex'), span_id: spanId },
    span_kind: 'CHAIN',
    start_time: now,
    end_time: now,
    status_code: 'OK',
    attributes: {},
  };
  const path = `/v1/projects/${BARRIER_PROJECT}/spans`;
  requireStatus(await phoenix.send('POST', path, { data: [sentinel] }), 202);
  const deadline = Date.now() + options.timeoutMs;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(MAX_PAUSE_MS, pause * 1.5)) {
    const page = await spanPage(phoenix, BARRIER_PROJECT, { spanId, limit: 1 });
    if (page !== undefined && page.spans.length > 0) break;
    options.signal?.throwIfAborted();
    if (Date.now() > deadline)
      throw new PhoenixError(0, `Phoenix did not store a span within ${options.timeoutMs / 1000} s`);
    await delay(pause);
  }
  requireStatus(await phoenix.send('DELETE', `/v1/spans/${spanId}`), 204, 404);
}

/**
 * One drain for everybody who asks at the same time: a sentinel says of all spans before it, whoever waits for it. A
 * hundred purges that each polled for one of their own kept Phoenix from storing them.
 */
export class SharedDrain {
  private last: Round | undefined;

  constructor(
    private readonly phoenix: PhoenixClient,
    private readonly timeoutMs: number,
  ) {}

  /** As {@link drainSpans}. An abort is of this wait alone; the drain itself ends when nobody waits for it any more. */
  wait(signal: AbortSignal): Promise<void> {
    // A sentinel that is on its way is not behind what was accepted since.
    if (!this.last?.open)
      this.last = new Round(this.last?.done, (stop) =>
        drainSpans(this.phoenix, { timeoutMs: this.timeoutMs, signal: stop }),
      );
    return this.last.join(signal);
  }
}

class Round {
  /** Whether its sentinel is still to be sent, for somebody. */
  open = true;
  readonly done: Promise<void>;
  private waiting = 0;
  private readonly stop = new AbortController();

  /** @param before the round that is under way: its end, also a failed one, begins this */
  constructor(before: Promise<void> | undefined, drain: (stop: AbortSignal) => Promise<void>) {
    this.done = (before ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => {
        this.open = false;
        this.stop.signal.throwIfAborted();
        return drain(this.stop.signal);
      });
    // Whoever waits hears of it; there may be nobody left.
    this.done.catch(() => undefined);
  }

  async join(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.waiting++;
    let leave: (() => void) | undefined;
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason as Error);
      signal.addEventListener('abort', leave, { once: true });
    });
    try {
      await Promise.race([this.done, left]);
    } finally {
      signal.removeEventListener('abort', leave!);
      if (--this.waiting === 0) {
        this.open = false;
        this.stop.abort();
      }
    }
  }
}
