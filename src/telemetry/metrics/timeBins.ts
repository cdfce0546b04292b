import { type Figures, type Request, Tally } from './tally.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Each a multiple of the one before, so that bins can be poured together. */
const WIDTHS = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 28 * DAY, 364 * DAY] as const;
const MAX_BINS = 120;
/** Durations of one bin that are kept one by one. */
const EXACT_PER_BIN = 500;

export interface Bin extends Figures {
  /** Its beginning, in milliseconds since the epoch. */
  readonly at: number;
}

/** Requests over time, in as fine steps as keep the bins few: what the steps will be need not be known before. */
export class TimeBins {
  private width = 0;
  private bins = new Map<number, Tally>();

  get widthMs(): number {
    return WIDTHS[this.width]!;
  }

  add(request: Request): void {
    const before = this.bins.size;
    this.bin(request.startedAt).add(request);
    if (this.bins.size === before) return;
    while (this.span() > MAX_BINS && this.width < WIDTHS.length - 1) this.widen();
  }

  /** In order of time; a step without a request has no bin. */
  list(): Bin[] {
    return [...this.bins].toSorted(([a], [b]) => a - b).map(([at, tally]) => ({ at, ...tally.figures() }));
  }

  private bin(time: number): Tally {
    const at = Math.floor(time / this.widthMs) * this.widthMs;
    const there = this.bins.get(at) ?? new Tally(EXACT_PER_BIN);
    this.bins.set(at, there);
    return there;
  }

  /** Steps from the first to the last bin. */
  private span(): number {
    let [first, last] = [Infinity, -Infinity];
    for (const at of this.bins.keys()) [first, last] = [Math.min(first, at), Math.max(last, at)];
    return (last - first) / this.widthMs + 1;
  }

  private widen(): void {
    const before = this.bins;
    this.width++;
    this.bins = new Map();
    for (const [at, tally] of before) this.bin(at).pool(tally);
  }
}
