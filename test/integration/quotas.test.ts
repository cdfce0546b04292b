import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type QuotaResource, type QuotaState, fits } from '../../src/domain/quotas.js';
import { expire, grow, renew, reserve, settle, withinQuota } from '../../src/quotas/reservations.js';
import { setQuotas } from '../../src/quotas/set.js';
import { quotaStates } from '../../src/quotas/state.js';
import { consume, giveBack } from '../../src/quotas/take.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { finishOperation } from '../../src/registry/operations.js';
import { setTenantState } from '../../src/registry/tenants.js';
import {
  type Life,
  type TestRegistry,
  atOnce,
  makeIngest,
  makeTenant,
  startTestRegistry,
} from '../support/registry.js';
import { typescriptChild } from '../support/typescriptChild.js';

/** Rounds of the expensive ones; CI takes a few. */
const ROUNDS = Number(process.env['QUOTA_ROUNDS'] ?? 20);
/** 64 consumers in all. */
const [PROCESSES, CONNECTIONS, QUOTA] = [4, 16, 1000];

let registry: TestRegistry;
let pool: Pool;
/** Four processes. */
let pools: Pool[];
beforeAll(async () => {
  registry = await startTestRegistry();
  pool = registry.pool;
  pools = [1, 2, 3, 4].map((n) => openPool(registry.url, { name: `quotas-${n}`, max: 8 }));
});
afterAll(async () => {
  await Promise.all((pools ?? []).map((each) => each.end()));
  await registry?.stop();
});

async function limited(resource: QuotaResource, max: number): Promise<Life> {
  const life = await makeTenant(pool);
  await setQuotas(pool, life, { changes: [{ resource, max }] }, { principal: 'tests', reason: '' });
  return life;
}

async function stateOf(life: Life, resource: QuotaResource): Promise<QuotaState> {
  return (await quotaStates(pool, life.incarnation)).find((state) => state.resource === resource)!;
}

async function reservedRows(life: Life, resource: QuotaResource): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    `select coalesce(sum(amount), 0)::bigint as n from quota_reservations where incarnation = $1 and resource = $2`,
    [life.incarnation, resource],
  );
  return rows[0]!.n;
}

/** What a killed holder's reservation comes to, without the wait. */
async function kill(life: Life, key: string): Promise<void> {
  await pool.query(
    `update quota_reservations set expires_at = clock_timestamp() - interval '1 s' where incarnation = $1 and key = $2`,
    [life.incarnation, key],
  );
}

/** Consumes of one quota after the other until it is refused; prints how many it was granted of each. */
const CONSUMER = `
import { consume } from '@/src/quotas/take.ts';
import { openPool } from '@/src/registry/database.ts';
const [url, quotas, connections] = process.argv.slice(1);
const pool = openPool(url, { name: 'consumer', max: Number(connections) });
const granted = [];
for (const { life, resource } of JSON.parse(quotas)) {
  let n = 0;
  const one = async () => {
    for (;;) {
      try {
        await consume(pool, life, resource, 1);
      } catch (error) {
        if (error.type === 'QuotaExceeded') return;
        throw error;
      }
      n++;
    }
  };
  await Promise.all(Array.from({ length: Number(connections) }, one));
  granted.push(n);
}
await pool.end();
console.log(JSON.stringify(granted));
`;

describe('a quota over all processes', () => {
  test('64 consumers in four processes on a quota of 1,000: exactly 1,000 are granted, each time', async () => {
    const quotas = await Promise.all(
      Array.from({ length: ROUNDS }, async (_, i) => {
        const resource = i % 2 === 0 ? 'api_calls' : 'memories';
        return { resource, life: await limited(resource, QUOTA) } as const;
      }),
    );
    const granted = await Promise.all(
      Array.from({ length: PROCESSES }, async () => {
        const child = typescriptChild(CONSUMER, [registry.url, JSON.stringify(quotas), String(CONNECTIONS)]);
        const [said] = await Promise.all([text(child.stdout!), once(child, 'close')]);
        return JSON.parse(said) as number[];
      }),
    );
    for (const [i, { life, resource }] of quotas.entries()) {
      expect(granted.reduce((sum, each) => sum + each[i]!, 0)).toBe(QUOTA);
      expect(await stateOf(life, resource)).toMatchObject({ used: QUOTA, max: QUOTA });
    }
  });

  test('again and again, in pieces of any size: never over, and nothing is left that would fit', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const life = await limited('memories', 100);
      const asked = Array.from({ length: 64 }, (_, i) => 1 + ((i * 7 + round) % 9));
      const ends = await atOnce(64, (i) => consume(pools[i % 4]!, life, 'memories', asked[i]!));
      const granted = ends.reduce<number>((sum, end, i) => (end instanceof Error ? sum : sum + asked[i]!), 0);
      const { used } = await stateOf(life, 'memories');
      expect(used).toBe(granted);
      expect(used).toBeLessThanOrEqual(100);
      const refused = asked.filter((_, i) => ends[i] instanceof Error);
      // Whatever came last was refused for want of room.
      expect(Math.max(...refused)).toBeGreaterThan(100 - used);
    }
  });
});

type Deed =
  | { readonly do: 'consume' | 'giveBack'; readonly n: number }
  | { readonly do: 'reserve' | 'grow' | 'settle'; readonly key: string; readonly n: number }
  | { readonly do: 'release' | 'kill' | 'renew' | 'sweep'; readonly key: string };

const key = fc.constantFrom('a', 'b', 'c');
const n = fc.integer({ min: 0, max: 6 });
const deed: fc.Arbitrary<Deed> = fc.oneof(
  fc.record({ do: fc.constantFrom('consume' as const, 'giveBack' as const), n }),
  fc.record({ do: fc.constantFrom('reserve' as const, 'grow' as const, 'settle' as const), key, n }),
  fc.record({
    do: fc.constantFrom('release' as const, 'kill' as const, 'renew' as const, 'sweep' as const),
    key,
  }),
);

/** Does it; @returns what it came to: whether it was granted, found, or how many it freed */
async function run(db: Pool, life: Life, what: Deed, held: number): Promise<boolean | number> {
  const granted = async (work: Promise<unknown>) =>
    work.then(
      () => true,
      (error: unknown) => {
        if ((error as { type?: string }).type === 'QuotaExceeded') return false;
        throw error;
      },
    );
  switch (what.do) {
    case 'consume':
      return granted(consume(db, life, 'videos', what.n));
    case 'giveBack':
      await giveBack(db, life, { videos: what.n });
      return true;
    case 'reserve':
      return granted(withinQuota(db, (tx) => reserve(tx, { life, key: what.key }, { videos: what.n })));
    case 'grow':
      return granted(withinQuota(db, (tx) => grow(tx, { life, key: what.key }, { videos: what.n })));
    case 'settle':
      return withinQuota(db, (tx) => settle(tx, { life, key: what.key }, { videos: Math.min(what.n, held) }));
    case 'release':
      return withinQuota(db, (tx) => settle(tx, { life, key: what.key }));
    case 'renew':
      return renew(db, { life, key: what.key });
    case 'kill':
      await kill(life, what.key);
      return true;
    case 'sweep':
      return expire(db, life, ['videos']);
  }
}

/** What the rules say. */
class Model {
  used = 0;
  readonly held = new Map<string, { amount: number; dead: boolean }>();

  constructor(readonly max: number) {}

  get reserved(): number {
    return [...this.held.values()].reduce((sum, { amount }) => sum + amount, 0);
  }

  private sweep(): number {
    const dead = [...this.held].filter(([, one]) => one.dead);
    for (const [name] of dead) this.held.delete(name);
    return dead.length;
  }

  private mayTake(amount: number): boolean {
    if (fits(this, amount)) return true;
    return this.sweep() > 0 && fits(this, amount);
  }

  do(what: Deed): boolean | number {
    switch (what.do) {
      case 'consume':
        if (!this.mayTake(what.n)) return false;
        this.used += what.n;
        return true;
      case 'giveBack':
        this.used = Math.max(0, this.used - what.n);
        return true;
      case 'reserve': {
        if (what.n === 0) return true;
        const there = this.held.get(what.key);
        if (there) there.dead = false;
        else if (!this.mayTake(what.n)) return false;
        else this.held.set(what.key, { amount: what.n, dead: false });
        return true;
      }
      case 'grow': {
        if (what.n === 0) return true;
        // One that is gone has nothing to grow; its holder hears of it, as of a limit.
        if (!this.held.has(what.key)) return this.sweep() >= 0 && false;
        if (!this.mayTake(what.n) || !this.held.has(what.key)) return false;
        this.held.get(what.key)!.amount += what.n;
        return true;
      }
      case 'settle':
      case 'release': {
        const there = this.held.get(what.key);
        if (!there) return false;
        this.held.delete(what.key);
        if (what.do === 'settle') this.used += Math.min(what.n, there.amount);
        return true;
      }
      case 'renew': {
        const there = this.held.get(what.key);
        if (there) there.dead = false;
        return there !== undefined;
      }
      case 'kill': {
        const there = this.held.get(what.key);
        if (there) there.dead = true;
        return true;
      }
      case 'sweep':
        return this.sweep();
    }
  }
}

describe('taking, reserving, settling, releasing, expiring', () => {
  test('one after the other, each comes to what the rules say', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 12 }),
        fc.array(deed, { maxLength: 25 }),
        async (max, deeds) => {
          const life = await limited('videos', max);
          const model = new Model(max);
          for (const what of deeds) {
            const held = 'key' in what ? (model.held.get(what.key)?.amount ?? 0) : 0;
            expect([what, await run(pool, life, what, held)]).toEqual([what, model.do(what)]);
            const { used, reserved } = await stateOf(life, 'videos');
            expect({ what, used, reserved }).toEqual({ what, used: model.used, reserved: model.reserved });
          }
        },
      ),
      { numRuns: ROUNDS * 4 },
    );
  });

  test('many at once over processes: never over the limit, never negative, and nothing leaks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 15 }),
        fc.array(fc.array(deed, { minLength: 1, maxLength: 8 }), { maxLength: 6 }),
        async (max, batches) => {
          const life = await limited('videos', max);
          for (const batch of batches) {
            await Promise.all(
              // What is settled is less than any reservation that may be there.
              batch.map((what, i) => run(pools[i % 4]!, life, what, 0)),
            );
            const { used, reserved } = await stateOf(life, 'videos');
            expect(used + reserved).toBeLessThanOrEqual(max);
            expect(reserved).toBe(await reservedRows(life, 'videos'));
          }
          for (const each of ['a', 'b', 'c']) await kill(life, each);
          await expire(pool, life, ['videos']);
          const { used, reserved } = await stateOf(life, 'videos');
          expect(reserved).toBe(0);
          // All that is not used is free again.
          await consume(pool, life, 'videos', max - used);
          expect((await stateOf(life, 'videos')).used).toBe(max);
        },
      ),
      { numRuns: ROUNDS * 2 },
    );
  });

  test('of several resources all is reserved, or none', async () => {
    const life = await limited('documents', 10);
    const asked = { videos: 1, documents: 11, storage_mb: 5_000_000 };
    await expect(withinQuota(pool, (tx) => reserve(tx, { life, key: 'a' }, asked))).rejects.toMatchObject({
      type: 'QuotaExceeded',
      message: expect.stringContaining('11 asked, 10 allowed'),
    });
    for (const { used, reserved } of await quotaStates(pool, life.incarnation))
      expect([used, reserved]).toEqual([0, 0]);
  });

  test('what an operation holds goes when it has ended, however it ended', async () => {
    const life = await limited('concurrent_ingests', 1);
    const [first, second] = [await makeIngest(pool, life), await makeIngest(pool, life)];
    const begin = (operation: typeof first) =>
      withinQuota(pool, (tx) => reserve(tx, { life, key: operation, operation }, { concurrent_ingests: 1 }));
    await begin(first);
    await begin(first);
    await expect(begin(second)).rejects.toMatchObject({ type: 'QuotaExceeded' });
    await finishOperation(pool, first, { state: 'cancelled' });
    await begin(second);
    expect(await stateOf(life, 'concurrent_ingests')).toMatchObject({ reserved: 1 });
  });
});

describe('limits', () => {
  test('one that is set below what is used lets nothing in until enough is given back', async () => {
    const life = await limited('memories', 10);
    await consume(pool, life, 'memories', 10);
    await setQuotas(
      pool,
      life,
      { changes: [{ resource: 'memories', max: 5 }] },
      { principal: 'tests', reason: '' },
    );
    await giveBack(pool, life, { memories: 5 });
    await expect(consume(pool, life, 'memories', 1)).rejects.toMatchObject({ type: 'QuotaExceeded' });
    await giveBack(pool, life, { memories: 1 });
    await consume(pool, life, 'memories', 1);
  });

  test('a tenant without any is counted all the same, and one that is taken away holds nobody', async () => {
    const life = await limited('api_calls', 0);
    await expect(consume(pool, life, 'api_calls', 1)).rejects.toMatchObject({
      type: 'QuotaExceeded',
      message: expect.stringMatching(
        /^quota api_calls of tenant \w+: 0 used, 1 asked, 0 allowed; it resets at \d{4}-\d\d-01T00:00:00Z$/,
      ),
    });
    const none = { changes: [{ resource: 'api_calls', max: null }] } as const;
    await setQuotas(pool, life, none, { principal: 'tests', reason: '' });
    await atOnce(20, () => consume(pool, life, 'api_calls', 1));
    expect(await stateOf(life, 'api_calls')).toMatchObject({ used: 20, max: null, period: 'month' });
  });

  test('a life that is over takes nothing, and leaves no row', async () => {
    const life = await makeTenant(pool);
    await setTenantState(pool, life.incarnation, ['active'], 'purging');
    await expect(consume(pool, life, 'api_calls', 1)).rejects.toMatchObject({ type: 'WrongState' });
    const { rowCount } = await pool.query('select 1 from quota_usage where incarnation = $1', [
      life.incarnation,
    ]);
    expect(rowCount).toBe(0);
  });
});
