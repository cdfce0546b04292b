import { FeedBlocked, RetriesExhausted, backoffMs, isOverload } from '../retry.js';
import type { Attempt } from './attempt.js';
import { Backlog, type Pending } from './backlog.js';
import { Breaker } from './breaker.js';
import type { FeedOperation, FeedOutcome } from './operation.js';
import { Throttle } from './throttle.js';

/** What a feed sends through; `DocumentClient` is one. */
export interface FeedTarget {
  /** Most requests that it can carry at a time. */
  readonly capacity: number;
  /** One try. What it throws ends the feed. */
  tryOnce(operation: FeedOperation, signal?: AbortSignal): Promise<Attempt>;
}

export interface FeedOptions {
  /**
   * Ends the feed: what is in flight is cut off, and the promise rejects with the signal's reason when all of it has ended.
   * A pull that is under way is waited for: the source should heed the same signal.
   */
  readonly signal?: AbortSignal | undefined;
  /** Most operations in flight; the target's capacity by default. */
  readonly maxInFlight?: number;
  /** Bodies held at a time, 64 MiB by default; one is always held, however large. */
  readonly maxHeldBytes?: number;
  /** Milliseconds without any acknowledgement, while there is work, after which the feed gives up; 15 minutes by default. */
  readonly patienceMs?: number;
  /** The first document that fails ends the feed with its error. */
  readonly stopOnFailure?: boolean;
  /** Called once for each operation that was pulled. What it throws ends the feed. */
  readonly onEnd?: (operation: FeedOperation, outcome: FeedOutcome) => void;
}

export interface FeedReport {
  readonly acknowledged: number;
  /** Each was told to `onEnd` with its error. */
  readonly failed: number;
  readonly retries: number;
  /** Most that were in flight at a time. */
  readonly peakInFlight: number;
}

const MAX_HELD_BYTES = 64 << 20;
const PATIENCE_MS = 15 * 60_000;
/** Failures in a row, from anyone, before the breaker opens; 5 % faults come to so many never. */
const BREAKER_THRESHOLD = 20;
/** Failures of one document while the server acknowledges others. */
const OWN_FAILURES = 10;

/**
 * Sends every operation of the source, as many at a time as the server is fastest with, and holds no more of them than
 * about twice that: a slow server is a slow source. Operations for one document keep their order.
 *
 * @returns when each operation was acknowledged or failed by its own fault
 * @throws FeedBlocked on 507, with all that was pulled and not acknowledged; RetriesExhausted when nothing is acknowledged
 *   for too long; the signal's reason; the source's error. Always after everything in flight has ended, and after `onEnd`
 *   was told of each operation. The source is closed, unless it is `resumable`
 */
export async function feedAll(
  target: FeedTarget,
  source: AsyncIterable<FeedOperation>,
  options: FeedOptions = {},
): Promise<FeedReport> {
  return new FeedRun(target, options).run(source);
}

class FeedRun {
  private readonly backlog = new Backlog();
  private readonly breaker = new Breaker(BREAKER_THRESHOLD);
  private readonly throttle: Throttle;
  private readonly timers = new Set<NodeJS.Timeout>();
  private breakerTimer: NodeJS.Timeout | undefined;
  private readonly report = { acknowledged: 0, failed: 0, retries: 0, peakInFlight: 0 };
  private inFlight = 0;
  private stopped: { readonly error: unknown } | undefined;
  private lastProgress = performance.now();
  private wake: (() => void) | undefined;

  constructor(
    private readonly target: FeedTarget,
    private readonly options: FeedOptions,
  ) {
    this.throttle = new Throttle(Math.max(1, Math.min(options.maxInFlight ?? Infinity, target.capacity)));
  }

  async run(source: AsyncIterable<FeedOperation>): Promise<FeedReport> {
    const { signal } = this.options;
    const onAbort = () => this.stop(signal!.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await this.pull(source);
      while (this.stopped ? this.inFlight > 0 : this.backlog.size > 0) await this.change();
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.clearTimers();
    }
    if (this.stopped === undefined) return this.report;
    throw this.reportRest(this.stopped.error);
  }

  private async pull(source: AsyncIterable<FeedOperation>): Promise<void> {
    const iterator = source[Symbol.asyncIterator]();
    let open = true;
    try {
      while (this.stopped === undefined) {
        if (this.full) {
          await this.change();
          continue;
        }
        // Waited for even when the feed stops meanwhile: what comes is the caller's to hear of.
        const next = await iterator.next().catch((error: unknown) => {
          open = false;
          throw error;
        });
        if (next.done) {
          open = false;
          return;
        }
        if (this.backlog.size === 0) this.lastProgress = performance.now();
        this.backlog.add(next.value);
        this.drive();
      }
      if (open) await iterator.return?.();
    } catch (error) {
      this.stop(error);
    }
  }

  private get full(): boolean {
    const { size, bytes } = this.backlog;
    return size >= 2 * this.throttle.limit || bytes >= (this.options.maxHeldBytes ?? MAX_HELD_BYTES);
  }

  private drive(): void {
    while (
      this.stopped === undefined &&
      this.inFlight < this.throttle.limit &&
      this.backlog.hasReady &&
      this.breakerLets()
    )
      this.send(this.backlog.take());
  }

  private breakerLets(): boolean {
    const wait = this.breaker.waitMs;
    if (wait > 0 && wait !== Infinity && this.breakerTimer === undefined)
      this.breakerTimer = setTimeout(() => {
        this.breakerTimer = undefined;
        this.drive();
      }, wait);
    return wait === 0;
  }

  private send(pending: Pending): void {
    pending.tries++;
    pending.acknowledgedBefore = this.report.acknowledged;
    const probe = this.breaker.sent();
    this.inFlight++;
    if (this.inFlight > this.report.peakInFlight) this.report.peakInFlight = this.inFlight;
    this.throttle.sent(this.inFlight);
    this.target
      .tryOnce(pending.operation, this.options.signal)
      .then((attempt) => this.settle(pending, attempt, probe))
      .catch((error: unknown) => this.stop(error))
      .finally(() => {
        this.inFlight--;
        this.drive();
        this.changed();
      });
  }

  private settle(pending: Pending, attempt: Attempt, probe: boolean): void {
    switch (attempt.kind) {
      case 'done':
        this.report.acknowledged++;
        this.alive();
        return this.end(pending, { state: 'acknowledged' });
      case 'failed':
        this.alive();
        return this.end(pending, { state: 'failed', error: attempt.error });
      case 'blocked':
        return this.stop(new FeedBlocked(attempt.failure));
      case 'retry':
        return this.retry(pending, attempt, probe);
    }
  }

  private alive(): void {
    this.lastProgress = performance.now();
    this.throttle.ended();
    this.breaker.succeeded();
  }

  private retry(pending: Pending, attempt: Attempt & { kind: 'retry' }, probe: boolean): void {
    const { status, failure, retryAfter } = attempt;
    if (isOverload(status)) this.throttle.overloaded();
    else if (this.report.acknowledged > pending.acknowledgedBefore) pending.ownFailures++;
    if (status === 429) this.breaker.undecided(probe);
    else this.breaker.failed(probe);

    if (pending.ownFailures >= OWN_FAILURES) {
      const error = new RetriesExhausted(`gave up after ${pending.tries} tries: ${failure}`, 'document');
      return this.end(pending, { state: 'failed', error });
    }
    const idleMs = performance.now() - this.lastProgress;
    if (idleMs > (this.options.patienceMs ?? PATIENCE_MS))
      return this.stop(
        new RetriesExhausted(`nothing was acknowledged for ${Math.round(idleMs / 1000)} s: ${failure}`),
      );
    if (this.stopped) return;
    this.report.retries++;
    const timer = setTimeout(
      () => {
        this.timers.delete(timer);
        this.backlog.putBack(pending);
        this.drive();
      },
      backoffMs(pending.tries - 1, retryAfter),
    );
    this.timers.add(timer);
  }

  private end(pending: Pending, outcome: FeedOutcome): void {
    this.backlog.end(pending);
    if (outcome.state === 'failed') {
      this.report.failed++;
      if (this.options.stopOnFailure) this.stop(outcome.error);
    }
    this.options.onEnd?.(pending.operation, outcome);
  }

  /** No more is sent or pulled; what is in flight may still be acknowledged. The first reason counts. */
  private stop(error: unknown): void {
    this.stopped ??= { error };
    this.clearTimers();
    this.changed();
  }

  private reportRest(error: unknown): unknown {
    const rest = this.backlog.operations;
    for (const operation of rest) this.options.onEnd?.(operation, { state: 'unacknowledged' });
    return error instanceof FeedBlocked ? new FeedBlocked(error.message, rest) : error;
  }

  private clearTimers(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    clearTimeout(this.breakerTimer);
    this.breakerTimer = undefined;
  }

  /** The next end of an operation, or stop. */
  private change(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }

  private changed(): void {
    this.wake?.();
    this.wake = undefined;
  }
}
