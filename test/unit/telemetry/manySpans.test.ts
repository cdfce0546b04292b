import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { EXACT_LIMIT, SKETCH_ERROR } from '../../../src/telemetry/metrics/latencies.js';
import type { TenantMetrics } from '../../../src/telemetry/metrics/metrics.js';
import { FAILED_EVERY, PhoenixOfRequests, VIDEOS_EVERY } from '../../support/phoenixOfRequests.js';
import { typescriptChild } from '../../support/typescriptChild.js';

/** A million by hand. */
const SPANS = Number(process.env['METRICS_SPANS'] ?? 20_000);
/** Of V8's old objects, in MB; the spans of one page and 120 steps of a chart fit, twenty thousand spans do not. */
const HEAP_MB = 32;

const CHILD = `
import { PhoenixClient } from '@/src/phoenix/client.ts';
import { measureTenant } from '@/src/telemetry/metrics/metrics.ts';
const started = performance.now();
const { metrics, overTime } = await measureTenant(new PhoenixClient(process.argv.at(-1)), 'acme_project', {});
const seconds = (performance.now() - started) / 1000;
const peakMb = process.resourceUsage().maxRSS / 1024;
process.stdout.write(JSON.stringify({ metrics, steps: overTime.bins.length, seconds, peakMb }));
`;

it(`figures of ${SPANS} spans are made of pages in a heap of ${HEAP_MB} MB, within the stated error`, async () => {
  const phoenix = await PhoenixOfRequests.start(SPANS);
  try {
    const bounded = ['env', `NODE_OPTIONS=--max-old-space-size=${HEAP_MB}`];
    const child = typescriptChild(CHILD, [phoenix.url], bounded);
    const { metrics, ...rest } = JSON.parse(await text(child.stdout!)) as {
      metrics: TenantMetrics;
      steps: number;
      seconds: number;
      peakMb: number;
    };
    process.stderr.write(`${SPANS} spans: ${JSON.stringify({ ...metrics, ...rest })}\n`);

    expect(metrics).toMatchObject({
      ...{ total_queries: SPANS, success_rate: 1 - 1 / FAILED_EVERY, exact: SPANS <= EXACT_LIMIT },
      by_kind: { 'ingest.video': { total: SPANS / VIDEOS_EVERY } },
    });
    expect(rest.steps).toBeLessThanOrEqual(120);
    const error = metrics.exact ? 0.000_001 : SKETCH_ERROR;
    for (const [share, found] of [
      [0.5, metrics.p50_latency_ms!],
      [0.95, metrics.p95_latency_ms!],
      [0.99, metrics.p99_latency_ms!],
    ] as const) {
      const rank = share * (SPANS - 1);
      expect(found).toBeGreaterThanOrEqual(phoenix.durationOfRank(Math.floor(rank)) * (1 - error));
      expect(found).toBeLessThanOrEqual(phoenix.durationOfRank(Math.ceil(rank)) * (1 + error));
    }
    let sum = 0;
    for (let rank = 0; rank < SPANS; rank++) sum += phoenix.durationOfRank(rank);
    expect(metrics.avg_latency_ms).toBeCloseTo(sum / SPANS, 2);
  } finally {
    await phoenix.stop();
  }
}, 1_200_000);
