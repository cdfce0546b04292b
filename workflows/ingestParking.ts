/** First and longest wait before a blocked cluster is tried again. */
const FIRST_MS = 15_000;
const LONGEST_MS = 600_000;
/** Times one video may find a Vespa that does not answer before the fault is thought to be the video's. */
const SILENT_TRIES = 5;

/** A video that was put back, to be tried again after those that were not tried yet. */
export interface PutBack {
  readonly item: number;
  /** How often Vespa did not answer it. */
  readonly silent: number;
}

/** What a run carries on about a Vespa that takes no writes. */
export interface ParkingState {
  readonly again: readonly PutBack[];
  readonly blocks: number;
  readonly until: number;
  readonly why: string;
}

/**
 * Where a run waits while Vespa takes no writes (507: disk or memory is short) or does not answer. It waits as a whole, on a
 * durable timer that doubles; then one video at a time is tried until one is stored. No video is failed for a full disk,
 * however long that lasts.
 */
export class Parking {
  private readonly again: PutBack[];
  private blocks: number;
  private until: number;
  private why: string;

  constructor(carried?: ParkingState) {
    this.again = [...(carried?.again ?? [])];
    this.blocks = carried?.blocks ?? 0;
    this.until = carried?.until ?? 0;
    this.why = carried?.why ?? '';
  }

  /** @returns false when this video has been put back too often for a Vespa that is silent: it is to be failed */
  putBack(video: PutBack, how: 'blocked' | 'silent', why: string, now: number): boolean {
    const silent = video.silent + (how === 'silent' ? 1 : 0);
    const kept = silent < SILENT_TRIES;
    if (kept) this.again.push({ item: video.item, silent });
    // Those that were in work when it began are of the same block.
    if (now >= this.until) {
      this.until = now + Math.min(LONGEST_MS, FIRST_MS * 2 ** this.blocks++);
      this.why = why;
    }
    return kept;
  }

  /** Documents were stored: it is over. */
  stored(): void {
    this.blocks = 0;
    this.until = 0;
    this.why = '';
  }

  /** Somebody knows better: try now. */
  tryNow(): void {
    this.until = 0;
  }

  /** Milliseconds until a video may be tried; 0: now. */
  waitMs(now: number): number {
    return Math.max(0, this.until - now);
  }

  /** Whether only one video may be in work, to see whether it is over. */
  get probing(): boolean {
    return this.blocks > 0;
  }

  /** Vespa's own words. */
  get reason(): string {
    return this.why;
  }

  get size(): number {
    return this.again.length;
  }

  take(): PutBack | undefined {
    return this.again.shift();
  }

  carried(): ParkingState {
    return { again: this.again, blocks: this.blocks, until: this.until, why: this.why };
  }
}
