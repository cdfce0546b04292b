/** One line of a benchmark's output. `ratio` is made so that more is better. */
export interface BenchRow {
  readonly bench: string;
  readonly row: string;
  readonly unit: string;
  readonly ours?: number;
  readonly peer?: number;
  readonly peerName?: string;
  readonly ratio?: number;
  /** Resident memory of this process at the end of the row, MiB. */
  readonly rssMb?: number;
  /** Why the row could not be measured. */
  readonly skipped?: string;
  readonly [more: string]: unknown;
}

export function print(row: BenchRow): void {
  process.stdout.write(
    `${JSON.stringify({ ...row, rssMb: Math.round(process.memoryUsage().rss / 2 ** 20) })}\n`,
  );
}

export function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
