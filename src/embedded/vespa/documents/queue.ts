/** Operations that may wait; as the real handler's `maxThrottled`. */
const MAX_QUEUED = 256;

/** Above the queue's bound; answered with 429. */
export class Overloaded extends Error {
  constructor(queued: number) {
    super(`Rejecting execution due to overload: ${queued} requests already enqueued`);
  }
}

/** Runs operations one after the other, a bounded number waiting, and lets I/O go on in between. */
export class OperationQueue {
  private readonly waiting: (() => void)[] = [];
  private running = false;

  constructor(private readonly limit = MAX_QUEUED) {}

  /** @throws Overloaded */
  run<T>(operation: () => T): Promise<T> {
    if (this.waiting.length >= this.limit) throw new Overloaded(this.waiting.length);
    return new Promise((resolve, reject) => {
      this.waiting.push(() => {
        try {
          resolve(operation());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
      this.drain();
    });
  }

  private drain(): void {
    if (this.running) return;
    this.running = true;
    setImmediate(() => {
      const until = performance.now() + 5;
      while (this.waiting.length > 0 && performance.now() < until) this.waiting.shift()!();
      this.running = false;
      if (this.waiting.length > 0) this.drain();
    });
  }
}
