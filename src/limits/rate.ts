import { setTimeout as delay } from 'node:timers/promises';
import type { Queryable } from '../registry/database.js';
import { Lease } from './lease.js';
import { NoTurn, type RateKey, reserve } from './reserve.js';

export { NoTurn, type RateKey, type RateKind } from './reserve.js';

/** What is not used for so long is forgotten by the process; the truth is in the database. */
const FORGET_AFTER_MS = 60_000;

/**
 * The tenants' `max_qps`, over all processes that ask here. In any span of `s` seconds a tenant is given at most
 * `max_qps × s` requests of a kind and one second's burst (below 4 a second, one request more than that).
 */
export class TenantRates {
  private readonly buckets = new Map<string, Bucket>();

  constructor(private readonly db: Queryable) {}

  /**
   * Waits for the tenant's turn to make one request. Callers of one process take turns in order, processes by the order
   * of their reservations.
   *
   * @throws the signal's reason; OpsError `WrongState` for a life that is over; what the database throws
   */
  async take(key: RateKey, signal?: AbortSignal): Promise<void> {
    await this.bucket(key).take(signal);
  }

  /**
   * The same, when the turn comes soon.
   *
   * @throws NoTurn when it does not
   */
  async takeWithin(key: RateKey, ms: number): Promise<void> {
    await this.bucket(key).takeWithin(ms);
  }

  /** The source, each item when its turn has come. The item is made first: an encoder works while its documents wait. */
  async *paced<T>(key: RateKey, source: AsyncIterable<T>, signal?: AbortSignal): AsyncGenerator<T> {
    for await (const item of source) {
      await this.take(key, signal);
      yield item;
    }
  }

  private bucket(key: RateKey): Bucket {
    const name = `${key.incarnation} ${key.kind}`;
    const known = this.buckets.get(name);
    if (known) return known;
    for (const [other, bucket] of this.buckets) if (bucket.idle) this.buckets.delete(other);
    const bucket = new Bucket(this.db, key);
    this.buckets.set(name, bucket);
    return bucket;
  }
}

/** What one process has of one bucket: a lease, and those who wait for it in a line. */
class Bucket {
  private lease: Lease | undefined;
  private line: Promise<unknown> = Promise.resolve();
  private lastUse = performance.now();
  private waiting = 0;

  constructor(
    private readonly db: Queryable,
    private readonly key: RateKey,
  ) {}

  get idle(): boolean {
    return this.waiting === 0 && performance.now() - this.lastUse > FORGET_AFTER_MS;
  }

  async takeWithin(ms: number): Promise<void> {
    const late = new AbortController();
    // In the line of this process, and then in the database's.
    const timer = setTimeout(() => late.abort(new NoTurn(this.lease?.perSecond)), ms);
    try {
      await this.take(late.signal, ms);
    } finally {
      clearTimeout(timer);
    }
  }

  async take(signal: AbortSignal | undefined, withinMs?: number): Promise<void> {
    signal?.throwIfAborted();
    this.waiting++;
    const turn = this.line.then(() => this.next(signal, withinMs));
    this.line = turn.catch(() => undefined);
    try {
      await (signal ? unlessAborted(turn, signal) : turn);
    } catch (error) {
      // A timer that was cut short says so in words of its own.
      signal?.throwIfAborted();
      throw error;
    } finally {
      this.waiting--;
      this.lastUse = performance.now();
    }
  }

  private async next(signal: AbortSignal | undefined, withinMs: number | undefined): Promise<void> {
    for (;;) {
      // Whoever leaves takes nothing along: its place is the next one's.
      signal?.throwIfAborted();
      const now = performance.now();
      const wait = this.lease?.waitMs(now);
      if (this.lease === undefined || wait === undefined) {
        const { db, key } = this;
        const reservation = await reserve(db, key, this.lease?.nextCount(now) ?? 1, withinMs);
        this.lease = new Lease(reservation, now, performance.now());
      } else if (wait > 0) {
        await delay(Math.ceil(wait), undefined, { signal });
      } else {
        this.lease.use();
        return;
      }
    }
  }
}

/** The promise, or the signal's reason as soon as it aborts. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
