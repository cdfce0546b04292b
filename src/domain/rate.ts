/** Ends that the rate looks back over. */
const WINDOW = 64;

/** How fast things end of late, and so how long the rest will take; a pause is forgotten after a window of ends. */
export class Rate {
  private readonly ends: number[] = [];

  /** @param at milliseconds; never earlier than the one before */
  ended(at: number): void {
    this.ends.push(at);
    if (this.ends.length > WINDOW) this.ends.shift();
  }

  /** Ends a second up to now; null when too few are known to say. */
  perSecond(now: number): number | null {
    const [first] = this.ends;
    if (first === undefined || this.ends.length < 3 || now <= first) return null;
    return ((this.ends.length - 1) * 1000) / (now - first);
  }

  /** Seconds until `left` more have ended; null when it cannot be said. */
  secondsFor(left: number, now: number): number | null {
    if (left === 0) return 0;
    const rate = this.perSecond(now);
    return rate === null ? null : Math.ceil(left / rate);
  }
}

/** `95` as `1 min 35 s`, `7300` as `2 h 1 min`. */
export function spokenSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
