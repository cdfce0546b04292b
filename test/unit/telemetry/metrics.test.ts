import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Latencies, SKETCH_ERROR } from '../../../src/telemetry/metrics/latencies.js';
import { micros } from '../../../src/telemetry/metrics/requests.js';
import { Tally } from '../../../src/telemetry/metrics/tally.js';
import { TimeBins } from '../../../src/telemetry/metrics/timeBins.js';
import { reportPage } from '../../../src/telemetry/report/page.js';

const SHARES = [0, 0.25, 0.5, 0.95, 0.99, 1];
const durations = fc.array(fc.double({ min: 0.001, max: 1e7, noNaN: true }), {
  minLength: 1,
  maxLength: 300,
});

function filled(values: readonly number[], limit?: number): Latencies {
  const latencies = new Latencies(limit);
  for (const value of values) latencies.add(value);
  return latencies;
}

/** What a sketch may answer: within its error of a duration with that rank. */
function expectNear(latencies: Latencies, values: readonly number[]): void {
  const sorted = values.toSorted((a, b) => a - b);
  for (const share of SHARES) {
    const rank = share * (sorted.length - 1);
    const found = latencies.quantile(share)!;
    const slack = SKETCH_ERROR * 1.000001;
    expect(found).toBeGreaterThanOrEqual(sorted[Math.floor(rank)]! * (1 - slack));
    expect(found).toBeLessThanOrEqual(sorted[Math.ceil(rank)]! * (1 + slack));
  }
}

describe('latencies', () => {
  it('have the quantiles of the sorted durations, interpolated, while they are kept', () => {
    fc.assert(
      fc.property(durations, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const sorted = values.toSorted((a, b) => a - b);
        const rank = share * (sorted.length - 1);
        const low = Math.floor(rank);
        const next = sorted[Math.min(low + 1, sorted.length - 1)]!;
        const wanted = sorted[low]! * (1 - (rank - low)) + next * (rank - low);
        const latencies = filled(values);
        expect(latencies.exact).toBe(true);
        expect(latencies.quantile(share)).toBeCloseTo(wanted, 3);
      }),
    );
  });

  it('are within the stated error of a duration of the rank when there were too many to keep', () => {
    fc.assert(
      fc.property(durations, (values) => {
        const latencies = filled(values, 0);
        expect(latencies.exact).toBe(false);
        expectNear(latencies, values);
        expect(latencies.average()).toBeCloseTo(values.reduce((a, b) => a + b, 0) / values.length, 3);
      }),
    );
  });

  it('pooled are those of all durations together, kept or in sketches', () => {
    const sets = fc.array(fc.tuple(durations, fc.constantFrom(0, 50, 100_000)), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(sets, (parts) => {
        const pooled = new Latencies();
        for (const [values, limit] of parts) pooled.pool(filled(values, limit));
        const all = parts.flatMap(([values]) => values);
        expect(pooled.count).toBe(all.length);
        expectNear(pooled, all);
      }),
    );
  });

  it('know none of nothing', () => {
    const none = new Latencies();
    expect([none.count, none.average(), none.quantile(0.5)]).toEqual([0, null, null]);
    expect(new Tally().figures()).toMatchObject({ total: 0, success_rate: null, p99_latency_ms: null });
  });

  it('stay small whatever their number: a million go into a sketch of some thousand bins', () => {
    const latencies = new Latencies(1000);
    for (let i = 1; i <= 1_000_000; i++) latencies.add(i / 100);
    expect(latencies.quantile(0.95)!).toBeGreaterThan(9_500 * 0.99);
    expect(latencies.quantile(0.95)!).toBeLessThan(9_500 * 1.01);
    expect(latencies.average()).toBeCloseTo(5_000.005, 3);
    const { kept, sketch } = latencies as unknown as {
      kept: number[];
      sketch: { store: { bins: number[] } };
    };
    expect(kept).toEqual([]);
    expect(sketch.store.bins.length).toBeLessThan(2_000);
  });
});

describe('a pooled percentile', () => {
  it('is no average of percentiles: a small slow tenant does not weigh as much as a large fast one', () => {
    const [fast, slow] = [new Tally(), new Tally()];
    for (let i = 0; i < 990; i++) fast.add({ durationMs: 10, failed: false });
    for (let i = 0; i < 10; i++) slow.add({ durationMs: 1000, failed: true });
    const pooled = new Tally();
    pooled.pool(fast);
    pooled.pool(slow);
    expect(pooled.figures()).toMatchObject({
      total: 1000,
      success_rate: 0.99,
      p50_latency_ms: 10,
      p95_latency_ms: 10,
    });
    expect(pooled.figures().avg_latency_ms).toBeCloseTo(19.9, 6);
  });
});

describe('time bins', () => {
  it('lose no request and stay few, however the requests are spread', () => {
    const times = fc.array(fc.integer({ min: 0, max: 4e11 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(times, (starts) => {
        const bins = new TimeBins();
        for (const startedAt of starts) bins.add({ kind: 'search', startedAt, durationMs: 5, failed: false });
        const list = bins.list();
        expect(list.reduce((sum, { total }) => sum + total, 0)).toBe(starts.length);
        expect(list.length).toBeLessThanOrEqual(120);
        for (const { at, total } of list)
          expect(starts.filter((t) => t >= at && t < at + bins.widthMs)).toHaveLength(total);
      }),
    );
  });
});

describe('times of Phoenix', () => {
  it.each([
    ['2026-11-20T10:00:00.123456+00:00', 123456],
    ['2026-11-20T10:00:00.5Z', 500000],
    ['2026-11-20T10:00:00Z', 0],
    ['2026-11-20T11:00:00.000001+01:00', 1],
  ])('%s is read to the microsecond', (text, wanted) => {
    expect(micros(text) - Date.UTC(2026, 10, 20, 10) * 1000).toBe(wanted);
  });
});

describe('a report', () => {
  it('is one file that may load nothing, with every figure in a table', () => {
    const queries = new Tally();
    const bins = new TimeBins();
    for (let i = 0; i < 100; i++) {
      const request = { kind: 'search', startedAt: i * 60_000, durationMs: i, failed: i % 10 === 0 };
      queries.add(request);
      bins.add(request);
    }
    const { total: total_queries, ...figures } = queries.figures();
    const metrics = { total_queries, ...figures, by_kind: { '</script><b>': queries.figures() } };
    const overTime = { widthMs: bins.widthMs, bins: bins.list() };
    const page = reportPage({
      report: [{ tenant: 'acme', metrics, overTime }],
      pooled: metrics,
      madeAt: new Date(0),
    });
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(page).not.toContain('</script><b>');
    expect(page).toContain('90.00 %');
    expect(page.match(/<tr>/g)!.length).toBeGreaterThan(100);
  });
});
