import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { retentionOf } from '../../src/phoenix/retention.js';
import { type StoredSpan, countSpans, listSpans } from '../../src/phoenix/storedSpans.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { type TenantRow, getTenant } from '../../src/registry/tenants.js';
import { openTelemetry } from '../../src/telemetry/open.js';
import type { Telemetry } from '../../src/telemetry/telemetry.js';
import { cvops, cvopsJson, cvopsWith, errorOf, freshTenant } from '../support/cvops.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { madeSpan } from '../support/telemetry.js';
import { tokenOf } from '../support/principals.js';

/** A day of its own, also beside former runs on the same stack: a report over all tenants is then of these two. */
const DAY_MS = 86_400_000;
const DAY = Date.UTC(2030, 0, 1) + Math.floor(Math.random() * 20_000) * DAY_MS;
const date = (time: number) => new Date(time).toISOString().slice(0, 10);
const RANGE = ['--from', date(DAY), '--to', date(DAY + DAY_MS)];

interface Metrics {
  readonly total_queries: number;
  readonly success_rate: number | null;
  readonly avg_latency_ms: number | null;
  readonly p50_latency_ms: number | null;
  readonly p95_latency_ms: number | null;
  readonly p99_latency_ms: number | null;
  readonly by_kind?: Record<string, { total: number }>;
}

let pool: Pool;
let phoenix: PhoenixClient;
let telemetry: Telemetry;
let [acme, globex] = [undefined, undefined] as unknown as [TenantRow, TenantRow];
const [a, b] = [freshTenant('metrics_a'), freshTenant('metrics_b')];
/** A prime step: every percentile is another number, and none is a round one. */
const durationsOf = { [a]: spread(200, 7.31), [b]: spread(50, 101.7) };

function spread(count: number, step: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.round(((i * 37) % count) * step * 1000 + 500) / 1000);
}

beforeAll(async () => {
  const { addresses } = inject('stack');
  pool = openPool(addresses.databaseUrl, { name: 'telemetry-tests', max: 4 });
  phoenix = new PhoenixClient(addresses.phoenixUrl);
  telemetry = openTelemetry({ phoenixUrl: addresses.phoenixUrl }, pool);
  const create = (id: string) =>
    cvopsJson([
      'tenant',
      'create',
      id,
      '--template',
      'trial',
      '--profiles',
      'video_colpali_smol500_mv_frame',
    ]);
  await Promise.all([a, b].map(create));
  acme = await getTenant(pool, parseTenantId(a));
  globex = await getTenant(pool, parseTenantId(b));
  for (const { tenant } of [acme, globex]) {
    for (const [i, durationMs] of durationsOf[tenant]!.entries())
      telemetry.record(
        tenant,
        madeSpan({
          startedAt: new Date(DAY + i * 1000),
          durationMs,
          ...(i % 10 === 0 ? { error: 'e' } : {}),
        }),
      );
    const video = { 'operation.name': 'ingest.video', 'cvops.request': 'yes' };
    telemetry.record(
      tenant,
      madeSpan({ startedAt: new Date(DAY), attributes: video, parentId: 'a'.repeat(16) }),
    );
    telemetry.record(
      tenant,
      madeSpan({ startedAt: new Date(DAY), attributes: { 'operation.name': 'step' } }),
    );
    // Just outside of the range, on both sides.
    for (const at of [DAY - 1, DAY + DAY_MS]) telemetry.record(tenant, madeSpan({ startedAt: new Date(at) }));
  }
  await telemetry.flush(20_000);
  const stored = async () => {
    expect(await Promise.all([acme, globex].map(({ tenant }) => spansOf(tenant)))).toEqual([204, 54]);
  };
  await vi.waitFor(stored, { timeout: 120_000, interval: 500 });
});
afterAll(async () => {
  await telemetry?.close();
  await pool?.end();
});

async function spansOf(tenant: TenantId): Promise<number | undefined> {
  const from = new Date(DAY - 1000);
  // Another end each time: Phoenix may keep the answer for a range.
  return countSpans(phoenix, phoenixProjectName(tenant), {
    from,
    to: new Date(DAY + 1e8 + Math.random() * 1e6),
  });
}

function byHand(durations: readonly number[]): Omit<Metrics, 'success_rate' | 'by_kind'> {
  const sorted = durations.toSorted((x, y) => x - y);
  const at = (share: number) => {
    const rank = share * (sorted.length - 1);
    const [low, high] = [sorted[Math.floor(rank)]!, sorted[Math.ceil(rank)]!];
    return expect.closeTo(low + (high - low) * (rank % 1), 2) as number;
  };
  return {
    total_queries: durations.length,
    avg_latency_ms: expect.closeTo(sorted.reduce((x, y) => x + y) / sorted.length, 2) as number,
    p50_latency_ms: at(0.5),
    p95_latency_ms: at(0.95),
    p99_latency_ms: at(0.99),
  };
}

describe.concurrent('metrics', () => {
  test('of one tenant are those computed by hand from the spans sent', async ({ expect }) => {
    const { tenants } = await cvopsJson<{ tenants: Record<string, Metrics> }>(['metrics', a, ...RANGE]);
    expect(Object.keys(tenants)).toEqual([a]);
    expect(tenants[a]).toMatchObject({ ...byHand(durationsOf[a]!), success_rate: 0.9 });
    expect(tenants[a]!.by_kind).toEqual({ 'ingest.video': expect.objectContaining({ total: 1 }) });
  });

  test('of all are each tenant’s own, and pooled those of all spans together', async ({ expect }) => {
    const all = await cvopsJson<{ tenants: Record<string, Metrics>; pooled: Metrics }>([
      ...['metrics', '--all'],
      ...RANGE,
    ]);
    for (const id of [a, b]) expect(all.tenants[id]).toMatchObject(byHand(durationsOf[id]!));
    expect(all.pooled).toMatchObject(byHand([...durationsOf[a]!, ...durationsOf[b]!]));
  });

  test('of a time without queries are zero and null, not an error', async ({ expect }) => {
    const { tenants } = await cvopsJson<{ tenants: Record<string, Metrics> }>([
      ...['metrics', a, '--from', '2100-01-01'],
    ]);
    expect(tenants[a]).toMatchObject({ total_queries: 0, success_rate: null, p50_latency_ms: null });
  });

  test.each([
    ['of all', ['--all'], 4, 'PermissionDenied'],
    ['of another', [b], 4, 'PermissionDenied'],
    ['of neither', [], 2, 'InvalidInput'],
    ['from no time', [a, '--from', 'yesterday'], 2, 'InvalidInput'],
    ['of an empty range', [a, '--from', '2031-05-02', '--to', '2031-05-02'], 2, 'InvalidInput'],
  ])('%s are refused to a principal of one tenant', async (_, args, code, type) => {
    const refused = await cvopsWith(await readerOf(a), 'metrics', ...args, '-o', 'json');
    expect(refused.code).toBe(code);
    expect(errorOf(refused).code).toBe(type);
  });
});

describe.concurrent('a tenant', () => {
  test('has a trace retention from its creation, and the one that is configured since', async ({
    expect,
  }) => {
    expect(await retentionOf(phoenix, acme.phoenixProject)).toEqual({ maxDays: 365 });
    const set = ['config', 'set', a, '--trace-retention', '--unset', 'max_days', '--set', 'max_count=5000'];
    await cvopsJson(set);
    expect(await retentionOf(phoenix, acme.phoenixProject)).toEqual({ maxCount: 5000 });
    await cvopsJson(['config', 'rollback', a, '--trace-retention', '--version', '1']);
    expect(await retentionOf(phoenix, acme.phoenixProject)).toEqual({ maxDays: 365 });
    const none = await cvops('config', 'set', a, '--trace-retention', '--unset', 'max_days', '-o', 'json');
    expect(errorOf(none)).toMatchObject({ code: 'InvalidInput' });
    expect(await retentionOf(phoenix, globex.phoenixProject)).toEqual({ maxDays: 365 });
  });

  test('that switched tracing off gets no span more', async ({ expect }) => {
    await cvopsJson(['config', 'set', b, '--set', 'phoenix_enabled=false']);
    const own = openTelemetry({ phoenixUrl: inject('stack').addresses.phoenixUrl }, pool);
    expect(await own.traced(globex, 'TOOL', 'unseen', {}, async () => 'done')).toBe('done');
    expect(await own.close()).toMatchObject({ withheld: 1, accepted: 0, stored: 0 });
  });
});

describe('an operation', () => {
  let own: OwnWorkers;
  beforeAll(async () => {
    own = await OwnWorkers.open(freshTenant('tracing').replaceAll('_', '-'));
    await own.start('control', { CVOPS_TRACE_OPERATIONS: 'on' });
  });
  afterAll(() => own?.close());

  test('is one trace in its tenant’s project: the client’s start, the workflow, its activities', async () => {
    await cvopsJson(['backup', 'prune', a, '--keep-last', '1'], 0, {
      ...own.environment,
      CVOPS_TRACE_OPERATIONS: 'on',
    });
    let spans: StoredSpan[] = [];
    const named = (name: string) => spans.find((span) => span.name === name);
    await expect
      .poll(async () => {
        spans = (await listSpans(phoenix, acme.phoenixProject, 100))!.filter(({ name }) =>
          name.includes(':'),
        );
        return ['StartWorkflow:pruneBackups', 'RunWorkflow:pruneBackups', 'RunActivity:finishPrune'].every(
          named,
        );
      })
      .toBe(true);
    const parentOf = (name: string) => named(name)?.parent_id;
    const idOf = (name: string) => named(name)?.context.span_id;
    expect(parentOf('StartWorkflow:pruneBackups')).toBeNull();
    expect(parentOf('RunWorkflow:pruneBackups')).toBe(idOf('StartWorkflow:pruneBackups'));
    expect(parentOf('StartActivity:beginPrune')).toBe(idOf('RunWorkflow:pruneBackups'));
    expect(parentOf('RunActivity:beginPrune')).toBe(idOf('StartActivity:beginPrune'));
    expect(new Set(spans.map(({ context }) => context.trace_id)).size).toBe(1);
    for (const { attributes } of spans)
      expect(attributes).toMatchObject({ tenant_id: a, incarnation: acme.incarnation });
    expect(
      (await listSpans(phoenix, globex.phoenixProject, 1000))!.filter(({ name }) => name.includes(':')),
    ).toEqual([]);
  });
});

async function readerOf(tenant: string): Promise<Record<string, string>> {
  const bearer = { role: 'reader', tenant: parseTenantId(tenant) } as const;
  return { CVOPS_TOKEN: await tokenOf(inject('stack').home, bearer) };
}
