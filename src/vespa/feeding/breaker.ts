const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 10_000;

export type BreakerState = 'closed' | 'open' | 'half-open';

/**
 * Stops sending to a server that answers nothing but failures: after `threshold` of them in a row it opens, and from then
 * on lets one operation through at a time, after pauses that double from 200 ms to 10 s, until one succeeds.
 */
export class Breaker {
  private consecutive = 0;
  private pauseMs = FIRST_PAUSE_MS;
  private openUntil: number | undefined;
  private probing = false;

  constructor(
    private readonly threshold: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  get state(): BreakerState {
    if (this.openUntil === undefined) return 'closed';
    return this.now() >= this.openUntil ? 'half-open' : 'open';
  }

  /** Milliseconds until the next operation may be sent: 0 is now, Infinity when a probe's end decides. */
  get waitMs(): number {
    if (this.openUntil === undefined) return 0;
    return this.probing ? Infinity : Math.max(0, this.openUntil - this.now());
  }

  /** @returns whether this operation is the probe; its end is to be told with that */
  sent(): boolean {
    if (this.openUntil === undefined) return false;
    return (this.probing = true);
  }

  /** The server did something, whoever asked. */
  succeeded(): void {
    this.consecutive = 0;
    this.pauseMs = FIRST_PAUSE_MS;
    this.openUntil = undefined;
    this.probing = false;
  }

  failed(wasProbe: boolean): void {
    this.consecutive++;
    // A probe that was overtaken by another's success is one failure like any.
    if (wasProbe && this.probing) {
      this.probing = false;
      this.pauseMs = Math.min(MAX_PAUSE_MS, this.pauseMs * 2);
    } else if (this.openUntil !== undefined || this.consecutive < this.threshold) {
      // What was sent before it opened says nothing new.
      return;
    }
    this.openUntil = this.now() + this.pauseMs;
  }

  /** A probe's end that says neither: overloaded, but alive. The next may go at once. */
  undecided(wasProbe: boolean): void {
    if (wasProbe) this.probing = false;
  }
}
