/**
 * A source that a feed does not close when it ends early: after FeedBlocked, what was not acknowledged is put back, and
 * the same source is fed again.
 */
export class Resumable<T> implements AsyncIterable<T> {
  private readonly iterator: AsyncIterator<T>;
  private first: T[] = [];

  constructor(source: AsyncIterable<T>) {
    this.iterator = source[Symbol.asyncIterator]();
  }

  /** Goes before all that was not pulled yet. */
  putBack(items: readonly T[]): void {
    this.first = [...items, ...this.first];
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: async () => {
        const value = this.first.shift();
        return value === undefined ? this.iterator.next() : { done: false, value };
      },
    };
  }

  /** Closes the source itself. */
  async close(): Promise<void> {
    await this.iterator.return?.();
  }
}
