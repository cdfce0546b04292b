import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { NoTurn, type RateKey, TenantRates } from '../../src/limits/rate.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { currentConfig, putConfig } from '../../src/registry/config.js';
import { setTenantState } from '../../src/registry/tenants.js';
import { type TestRegistry, makeTenant, startTestRegistry } from '../support/registry.js';

let registry: TestRegistry;
const pools: Pool[] = [];
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.end()));
  await registry?.stop();
});

/** What one process has: its own connections and its own leases. Counts the statements it sends. */
function newProcess(): { rates: TenantRates; sent: () => number } {
  const pool = openPool(registry.url, { name: 'rate-test', max: 4 });
  pools.push(pool);
  let sent = 0;
  const query = pool.query.bind(pool) as (...args: unknown[]) => unknown;
  pool.query = ((...args: unknown[]) => (sent++, query(...args))) as Pool['query'];
  return { rates: new TenantRates(pool), sent: () => sent };
}

async function limited(maxQps: number): Promise<RateKey> {
  const { incarnation } = await makeTenant(registry.pool);
  await setQps({ incarnation, kind: 'feed' }, maxQps);
  return { incarnation, kind: 'feed' };
}

async function setQps({ incarnation }: RateKey, max_qps: number): Promise<void> {
  const at = { ...SYSTEM_CONFIG, incarnation };
  const [latest] = await currentConfig(registry.pool, incarnation);
  await putConfig(registry.pool, at, latest?.version ?? 0, {
    value: { max_qps },
    author: 'tests',
    reason: '',
  });
}

/** Takes as fast as it may until the end; @returns the times, in ms, at which it was given one */
async function hammer(rates: TenantRates, key: RateKey, forMs: number): Promise<number[]> {
  const times: number[] = [];
  const signal = AbortSignal.timeout(forMs);
  for (;;) {
    try {
      await rates.take(key, signal);
    } catch (error) {
      expect(signal.aborted, String(error)).toBe(true);
      return times;
    }
    times.push(performance.now());
  }
}

/** No span may hold more than the limit and one second's burst; @returns the worst excess in requests */
function excess(times: readonly number[], maxQps: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  let worst = -Infinity;
  for (let i = 0; i < sorted.length; i++)
    for (let j = i; j < sorted.length; j++)
      worst = Math.max(worst, j - i + 1 - maxQps * ((sorted[j]! - sorted[i]!) / 1000 + 1));
  return worst;
}

describe('one bucket for many processes', () => {
  test.concurrent.each([7, 100])(
    'four at once, two takers each: %i a second in sum, in every span',
    async (qps) => {
      const key = await limited(qps);
      const processes = [1, 2, 3, 4].map(newProcess);
      const each = await Promise.all(
        processes.map(async ({ rates }) =>
          (await Promise.all([hammer(rates, key, 3000), hammer(rates, key, 3000)])).flat(),
        ),
      );
      const all = each.flat();
      expect(excess(all, qps)).toBeLessThanOrEqual(0);
      // Kept by waiting for their turn, not by standing still, and by all of them.
      expect(all.length).toBeGreaterThan(qps * 3 * 0.6);
      expect(Math.min(...each.map((times) => times.length))).toBeGreaterThan(all.length / 4 / 3);
      const sent = processes.reduce((sum, process) => sum + process.sent(), 0);
      expect(sent).toBeLessThan(Math.min(all.length + 8, 100));
    },
  );
});

describe('two tenants', () => {
  test.concurrent('one that is held back does not slow the other', async ({ expect }) => {
    const [slow, quick] = await Promise.all([limited(1), limited(10_000)]);
    const { rates } = newProcess();
    const stop = new AbortController();
    const held = Promise.allSettled(Array.from({ length: 600 }, () => rates.take(slow, stop.signal)));
    // At 1 a second those take ten minutes: whoever stood behind them would not be done.
    for (let i = 0; i < 500; i++) await rates.take(quick);
    stop.abort();
    expect((await held).filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
  });

  test.concurrent('feeding takes nothing from searching', async ({ expect }) => {
    const feed = await limited(1);
    const { rates } = newProcess();
    const stop = new AbortController();
    const held = Promise.allSettled([1, 2, 3, 4, 5, 6].map(() => rates.take(feed, stop.signal)));
    await rates.take({ ...feed, kind: 'search' });
    stop.abort();
    expect((await held).some(({ status }) => status === 'rejected')).toBe(true);
  });
});

describe('a taker that will not wait long', () => {
  test.concurrent(
    'is refused, and takes no place: a crowd of them leaves the next turn where it was',
    async ({ expect }) => {
      const key = await limited(1);
      const processes = Array.from({ length: 6 }, newProcess);
      const ends = await Promise.allSettled(
        processes.flatMap(({ rates }) => Array.from({ length: 5 }, () => rates.takeWithin(key, 300))),
      );
      const refused = ends.filter((end) => end.status === 'rejected');
      expect(refused.length).toBeGreaterThan(0);
      expect(refused.length).toBeLessThan(ends.length);
      for (const { reason } of refused) expect(reason).toBeInstanceOf(NoTurn);
      const { rows } = await registry.pool.query<{ ahead: number }>(
        `select extract(epoch from next_at - clock_timestamp())::float8 as ahead from rate_buckets where incarnation = $1`,
        [key.incarnation],
      );
      // The last place that is given comes within 0.3 s, and the next one a second after it.
      expect(rows[0]!.ahead).toBeLessThanOrEqual(1.3);
    },
  );

  test.concurrent('is told of a life that is over as anybody else', async ({ expect }) => {
    const key = await limited(1);
    await setTenantState(registry.pool, key.incarnation, ['active'], 'purging');
    await expect(newProcess().rates.takeWithin(key, 300)).rejects.toMatchObject({ type: 'WrongState' });
  });
});

describe('a taker', () => {
  test.concurrent('that is below the limit pays one statement for many requests', async ({ expect }) => {
    const key = await limited(100_000);
    const process = newProcess();
    for (let i = 0; i < 3000; i++) await process.rates.take(key);
    expect(process.sent()).toBeLessThan(40);
  });

  test.concurrent(
    'that is aborted while it waits ends by the signal’s reason, and its place is the next one’s',
    async ({ expect }) => {
      const key = await limited(1);
      const { rates } = newProcess();
      await rates.take(key);
      const [stop, reason] = [new AbortController(), new Error('cancelled')];
      const first = rates.take(key, stop.signal);
      const inLine = rates.take(key, stop.signal);
      const next = rates.take(key);
      stop.abort(reason);
      await expect(first).rejects.toBe(reason);
      await expect(inLine).rejects.toBe(reason);
      await expect(rates.take(key, stop.signal)).rejects.toBe(reason);
      await next;
      // Two were used and one is due: the places of the two that left were not.
      const { rows } = await registry.pool.query<{ ahead: number }>(
        `select extract(epoch from next_at - clock_timestamp())::float8 as ahead from rate_buckets where incarnation = $1`,
        [key.incarnation],
      );
      expect(rows[0]!.ahead).toBeLessThanOrEqual(1);
    },
  );

  test.concurrent('that waits in a paced source closes the source when it is aborted', async ({ expect }) => {
    const key = await limited(1);
    const stop = new AbortController();
    let closed = false;
    async function* source() {
      try {
        for (let i = 0; ; i++) yield i;
      } finally {
        closed = true;
      }
    }
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const item of newProcess().rates.paced(key, source(), stop.signal))
          if (seen.push(item) === 1) stop.abort();
      })(),
    ).rejects.toMatchObject({ name: 'AbortError' });
    expect([seen, closed]).toEqual([[0], true]);
  });

  test.concurrent('hears of a new limit while it takes', async () => {
    const key = await limited(2);
    const { rates } = newProcess();
    await hammer(rates, key, 600);
    await setQps(key, 1000);
    // By the former one, 20.
    const soon = AbortSignal.timeout(10_000);
    for (let i = 0; i < 300; i++) await rates.take(key, soon);
  });

  test.concurrent('of a life that is over is refused, and leaves no row', async ({ expect }) => {
    const [key, purging] = [await limited(10), await limited(10)];
    await setTenantState(registry.pool, purging.incarnation, ['active'], 'purging');
    const { rates } = newProcess();
    const none: RateKey = { ...key, incarnation: (await makeTenant(registry.pool)).incarnation };
    for (const gone of [purging, none]) {
      await expect(rates.take(gone)).rejects.toMatchObject({ type: 'WrongState' });
      const rows = await registry.pool.query('select 1 from rate_buckets where incarnation = $1', [
        gone.incarnation,
      ]);
      expect(rows.rowCount).toBe(0);
    }
    await rates.take(key);
  });

  test.concurrent('does not wait for hours when the database’s clock was set back', async () => {
    const key = await limited(10);
    const { rates } = newProcess();
    await rates.take(key);
    await registry.pool.query(
      `update rate_buckets set next_at = next_at + interval '3 hours' where incarnation = $1`,
      [key.incarnation],
    );
    await rates.take(key, AbortSignal.timeout(5000));
  });
});
