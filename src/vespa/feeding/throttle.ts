/** Ends of operations that are judged together: enough of them, over long enough that the rate is no accident. */
const WINDOW_MS = 150;
const WINDOW_ENDS_PER_SLOT = 2;
/** A rate is higher when it is so much higher. */
const BETTER = 1.05;
/** And as good as before when it is not lower than this. */
const AS_GOOD = 0.97;
const FAST_GROWTH = 1.5;
const STEP = 1.25;
const OVERLOAD_CUT = 0.7;
/** Fewer than these, and this share of a window's ends, are chance: any busy cluster has some. */
const OVERLOADS = 2;
const OVERLOAD_SHARE = 0.05;
/** Windows at rest between two tries of another limit. */
const REST_WINDOWS = 6;

/**
 * How many operations may be in flight. It begins small and grows by half while each growth brings more operations a
 * second. From then on it rests, and now and then tries the next step up or down: up is kept when it brings more, down
 * when it costs nothing, as fewer in flight at the same rate wait less. Overload (429, 503) of more than 5 % cuts it at
 * once, and so does a rate that falls to a third: with as many in flight that is a latency three times as long.
 */
export class Throttle {
  private readonly least: number;
  private current: number;
  private mode: 'growing' | 'resting' | 'trying' = 'growing';
  /** Limit and rate that a growth or a try is measured against. */
  private base: { limit: number; rate: number } | undefined;
  private rested = 0;
  private tryUp = true;
  private overloadedAt = -Infinity;
  private windowStart: number;
  private ends = 0;
  private overloads = 0;
  private used = 0;

  constructor(
    private readonly most: number,
    private readonly now: () => number = () => performance.now(),
    least = 4,
  ) {
    this.least = Math.min(least, most);
    this.current = this.least;
    this.windowStart = now();
  }

  get limit(): number {
    return this.current;
  }

  /** An operation was sent: so many are in flight now. */
  sent(inFlight: number): void {
    if (inFlight > this.used) this.used = inFlight;
  }

  /** An operation was acknowledged or refused. */
  ended(): void {
    this.ends++;
    const now = this.now();
    const ms = now - this.windowStart;
    if (ms < WINDOW_MS || this.ends < WINDOW_ENDS_PER_SLOT * this.current) return;
    // A source that does not fill the limit says nothing about it.
    if (this.used >= this.current) this.judge(this.ends / ms);
    this.newWindow(now);
  }

  /** The server had too much to do for one operation; the many answers of one overload count once. */
  overloaded(): void {
    const now = this.now();
    if (now - this.overloadedAt < WINDOW_MS) return;
    if (++this.overloads <= OVERLOADS + OVERLOAD_SHARE * this.ends) return;
    this.overloadedAt = now;
    this.cut();
    this.newWindow(now);
  }

  private judge(rate: number): void {
    const { base } = this;
    if (base !== undefined && this.mode !== 'growing' && rate < base.rate / 3) return this.cut();
    switch (this.mode) {
      case 'growing':
        if (base === undefined || rate >= base.rate * BETTER) {
          this.base = { limit: this.current, rate };
          if (this.current < this.most) return this.set(this.current * FAST_GROWTH);
        } else {
          this.set(base.limit);
        }
        return this.rest();
      case 'resting':
        this.base = {
          limit: this.current,
          rate: base === undefined ? rate : base.rate * 0.7 + rate * 0.3,
        };
        if (++this.rested < REST_WINDOWS) return;
        this.mode = 'trying';
        this.set(this.tryUp ? Math.ceil(this.current * STEP) : Math.floor(this.current / STEP));
        return;
      case 'trying': {
        const kept = rate >= base!.rate * (this.tryUp ? BETTER : AS_GOOD);
        if (kept) this.base = { limit: this.current, rate };
        else {
          this.set(base!.limit);
          this.tryUp = !this.tryUp;
        }
        return this.rest();
      }
    }
  }

  private cut(): void {
    this.set(Math.floor(this.current * OVERLOAD_CUT));
    this.base = undefined;
    this.tryUp = true;
    this.rest();
  }

  private rest(): void {
    this.mode = 'resting';
    this.rested = 0;
  }

  private set(limit: number): void {
    this.current = Math.max(this.least, Math.min(this.most, Math.round(limit)));
  }

  private newWindow(now: number): void {
    this.windowStart = now;
    this.ends = 0;
    this.overloads = 0;
    this.used = 0;
  }
}
