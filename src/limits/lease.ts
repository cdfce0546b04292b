import { LEASE_SECONDS, type Reservation } from './reserve.js';

/**
 * A place may be used up to this long after its time. With it, what is used in any span of `s` seconds had its place
 * in `s + 0.75` seconds: at most `perSecond × (s + 0.75) + 1`, whoever uses it.
 */
const USE_WITHIN_MS = 750;
/** One turn of a process in a line: at the limit, so many statements a second and no more, however many processes. */
const TURN_SECONDS = 1 / 16;

/** A reservation as one process uses it up. Times are milliseconds of one monotonic clock of the process. */
export class Lease {
  private used = 0;
  private gone = 0;

  /**
   * The database's answer was made between `sentAt` and `receivedAt`: no place is used before it is due by the one, or
   * after it is void by the other.
   */
  constructor(
    private readonly reservation: Reservation,
    private readonly sentAt: number,
    private readonly receivedAt: number,
  ) {}

  get perSecond(): number {
    return this.reservation.perSecond;
  }

  /** Milliseconds until the next place is due, 0 or less when it is; undefined when none is left. */
  waitMs(now: number): number | undefined {
    const { count, waitMs, perSecond } = this.reservation;
    while (this.gone < count) {
      const offset = waitMs + (this.gone * 1000) / perSecond;
      if (now <= this.sentAt + offset + USE_WITHIN_MS) return this.receivedAt + offset - now;
      this.gone++;
    }
    return undefined;
  }

  use(): void {
    this.used++;
    this.gone++;
  }

  /**
   * How many the next one should have. Unhindered, a quarter of a second's worth of what this process uses. When it had
   * to wait, others are at it too, and all take small leases of one size by turns: nobody is served more than the others.
   * A place that was not used is taken from them, so who left some reserves no more than it used.
   */
  nextCount(now: number): number {
    const { count, perSecond, waitMs } = this.reservation;
    if (this.used < this.gone) return Math.max(1, this.used);
    const seconds = Math.max(1, now - this.receivedAt) / 1000;
    const wanted = waitMs > 0 ? perSecond * TURN_SECONDS : (this.used / seconds) * LEASE_SECONDS;
    return Math.max(1, Math.min(Math.round(wanted), 2 * count));
  }
}
