/** What became of the spans of a process. */
export interface SpanCounts {
  /** Held in memory: waiting to be sent, or accepted and not yet seen stored. */
  readonly held: number;
  /** Of those, accepted by Phoenix, which keeps them in its memory for a moment. */
  readonly accepted: number;
  /** Read back. */
  readonly stored: number;
  /** Sent again, because Phoenix had lost them. */
  readonly resent: number;
  /** Not for sending: tracing is switched off for the tenant, or it is being deleted or restored. */
  readonly withheld: number;
  /** Lost: too many were held. */
  readonly dropped: number;
  /** Lost: refused, or not taken until the process ended. */
  readonly failed: number;
}

/** How many spans a process may hold, over all tenants, and what became of each. */
export class SpanBudget {
  private readonly counts = {
    held: 0,
    accepted: 0,
    stored: 0,
    resent: 0,
    withheld: 0,
    dropped: 0,
    failed: 0,
  };
  private readonly idle = new Set<() => void>();

  constructor(private readonly max: number) {}

  get now(): SpanCounts {
    return { ...this.counts };
  }

  /** @returns false for a span that has no room; it is counted as dropped */
  admit(): boolean {
    if (this.counts.held >= this.max) {
      this.counts.dropped++;
      return false;
    }
    this.counts.held++;
    return true;
  }

  accept(spans: number): void {
    this.counts.accepted += spans;
    this.settle();
  }

  /** Accepted once, and not there: held as before. */
  resend(spans: number): void {
    this.counts.accepted -= spans;
    this.counts.resent += spans;
  }

  /** @param accepted whether they were accepted before */
  release(how: 'stored' | 'withheld' | 'failed', spans: number, accepted: boolean): void {
    this.counts.held -= spans;
    if (accepted) this.counts.accepted -= spans;
    this.counts[how] += spans;
    this.settle();
  }

  /** Waits until Phoenix has accepted all that is held, for so long at most. @returns whether it has */
  async settled(deadlineMs: number): Promise<boolean> {
    if (this.unsent === 0) return true;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.idle.delete(done);
        resolve();
      };
      const timer = setTimeout(done, deadlineMs);
      this.idle.add(done);
    });
    return this.unsent === 0;
  }

  private get unsent(): number {
    return this.counts.held - this.counts.accepted;
  }

  private settle(): void {
    if (this.unsent === 0) for (const done of [...this.idle]) done();
  }
}
