import { Latencies } from './latencies.js';

/** A request as its span tells of it. */
export interface Request {
  /** `search`, or another `operation.name`. */
  readonly kind: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly durationMs: number;
  readonly failed: boolean;
}

/** The figures of a set of requests. Rates from 0 to 1, times in milliseconds, null when there was no request. */
export interface Figures {
  readonly total: number;
  readonly success_rate: number | null;
  readonly avg_latency_ms: number | null;
  readonly p50_latency_ms: number | null;
  readonly p95_latency_ms: number | null;
  readonly p99_latency_ms: number | null;
  /** False: percentiles are from a sketch, within 1 %. */
  readonly exact: boolean;
}

/** Counts requests and keeps their latencies. */
export class Tally {
  private failed = 0;
  private readonly latencies: Latencies;

  /** @param exactLimit as {@link Latencies}' */
  constructor(exactLimit?: number) {
    this.latencies = new Latencies(exactLimit);
  }

  add({ durationMs, failed }: Pick<Request, 'durationMs' | 'failed'>): void {
    this.latencies.add(durationMs);
    if (failed) this.failed++;
  }

  pool(other: Tally): void {
    this.latencies.pool(other.latencies);
    this.failed += other.failed;
  }

  figures(): Figures {
    const { count, exact } = this.latencies;
    const quantile = (share: number) => rounded(this.latencies.quantile(share));
    return {
      total: count,
      success_rate: count === 0 ? null : 1 - this.failed / count,
      avg_latency_ms: rounded(this.latencies.average()),
      p50_latency_ms: quantile(0.5),
      p95_latency_ms: quantile(0.95),
      p99_latency_ms: quantile(0.99),
      exact,
    };
  }
}

/** Phoenix keeps microseconds. */
function rounded(milliseconds: number | null): number | null {
  return milliseconds === null ? null : Math.round(milliseconds * 1000) / 1000;
}
