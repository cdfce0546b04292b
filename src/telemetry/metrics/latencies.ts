import { DDSketch } from '@datadog/sketches-js';

/** Durations that are kept one by one; above, they go into a sketch. */
export const EXACT_LIMIT = 100_000;
/** Of a quantile from a sketch: it is within 1 % of a duration that has its rank. */
export const SKETCH_ERROR = 0.01;

/**
 * Durations in milliseconds with their average and quantiles, in bounded memory: all of them up to a limit, then a
 * DDSketch of some ten kilobytes. The average is exact either way. Pooling two is pooling their durations, never their
 * quantiles.
 */
export class Latencies {
  private kept: number[] = [];
  private sketch: DDSketch | undefined;
  private sum = 0;
  private size = 0;

  constructor(private readonly limit = EXACT_LIMIT) {}

  get count(): number {
    return this.size;
  }

  /** Whether the quantiles are those of the durations themselves. */
  get exact(): boolean {
    return this.sketch === undefined;
  }

  add(milliseconds: number): void {
    this.size++;
    this.sum += milliseconds;
    if (this.sketch) this.sketch.accept(milliseconds);
    else {
      this.kept.push(milliseconds);
      if (this.kept.length > this.limit) this.toSketch();
    }
  }

  /** Takes the other's durations in; the other stays as it is. */
  pool(other: Latencies): void {
    if (other.sketch === undefined) {
      for (const duration of other.kept) this.add(duration);
      return;
    }
    this.toSketch().merge(other.sketch);
    this.size += other.size;
    this.sum += other.sum;
  }

  /** @returns null when there is none */
  average(): number | null {
    return this.size === 0 ? null : this.sum / this.size;
  }

  /**
   * Interpolated between the two nearest ranks, as Postgres' `percentile_cont` and NumPy do; from a sketch, within
   * {@link SKETCH_ERROR} of the lower one.
   *
   * @param share 0 to 1
   * @returns null when there is none
   */
  quantile(share: number): number | null {
    if (this.size === 0) return null;
    if (this.sketch) return this.sketch.getValueAtQuantile(share);
    this.kept.sort((a, b) => a - b);
    const rank = share * (this.kept.length - 1);
    const [below, above] = [this.kept[Math.floor(rank)]!, this.kept[Math.ceil(rank)]!];
    return below + (above - below) * (rank - Math.floor(rank));
  }

  private toSketch(): DDSketch {
    if (this.sketch) return this.sketch;
    this.sketch = new DDSketch({ relativeAccuracy: SKETCH_ERROR });
    for (const duration of this.kept) this.sketch.accept(duration);
    this.kept = [];
    return this.sketch;
  }
}
