/** Calls that must end before what they use is closed. */
export class RunningCalls {
  private readonly running = new Set<Promise<unknown>>();
  private closed = false;

  /** @throws Error once {@link end} was called */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.closed) throw new Error('the memories are closed');
    const call = work();
    this.running.add(call);
    try {
      return await call;
    } finally {
      this.running.delete(call);
    }
  }

  /** Takes no more calls, and waits for those that run, however they end. */
  async end(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(this.running);
  }
}
