import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { type RateKey, TenantRates } from '../../src/limits/rate.js';
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
