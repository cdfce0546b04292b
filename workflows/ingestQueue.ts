import type { ParkingState, PutBack } from './ingestParking.js';
import { Parking } from './ingestParking.js';

/** A turn's videos at most: what one activity is given. */
const MOST = 10;

/** What a run carries on about the videos that are to be handed out. */
export interface QueueState {
  /** Items from here to the last were never handed out. */
  readonly next: number;
  /** Handed back by a turn that ended before them. */
  readonly left?: readonly number[];
  /** Of a turn that failed: each is tried alone, to see which one it was. */
  readonly alone?: readonly number[];
  /** Missing in runs of the first version, which had none. */
  readonly parking?: ParkingState;
}

/** Which videos the next turn gets. */
export class Queue {
  readonly parking: Parking;
  private next: number;
  private readonly left: number[];
  private readonly alone: number[];

  constructor(
    private readonly total: number,
    carried: QueueState,
  ) {
    this.next = carried.next;
    this.left = [...(carried.left ?? [])];
    this.alone = [...(carried.alone ?? [])];
    this.parking = new Parking(carried.parking);
  }

  /** Videos that no turn has now and that have not ended. */
  get size(): number {
    return this.total - this.next + 1 + this.left.length + this.alone.length + this.parking.size;
  }

  /**
   * The videos of the next turn, of a queue that is not empty. Towards the end turns get shorter, so that all end at
   * about the same time.
   *
   * @param turns how many are to be under way at a time
   */
  take(turns: number): readonly PutBack[] {
    const fresh = this.left.length + this.total - this.next + 1;
    const most = this.parking.probing ? 1 : Math.min(MOST, Math.floor(fresh / (2 * turns)));
    // Put back ones come last: one that Vespa cannot take must not be what tries whether it takes any.
    if (fresh > 0)
      return Array.from({ length: Math.min(fresh, Math.max(1, most)) }, () => video(this.fresh()));
    const suspect = this.alone.shift();
    return [suspect === undefined ? this.parking.take()! : video(suspect)];
  }

  handBack(items: readonly number[]): void {
    this.left.push(...items);
  }

  tryAlone(items: readonly number[]): void {
    this.alone.push(...items);
  }

  carried(): QueueState {
    return { next: this.next, left: this.left, alone: this.alone, parking: this.parking.carried() };
  }

  private fresh(): number {
    return this.left.shift() ?? this.next++;
  }
}

function video(item: number): PutBack {
  return { item, silent: 0 };
}
