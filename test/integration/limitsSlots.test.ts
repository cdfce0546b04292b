import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { DEFAULT_CONCURRENT_VIDEOS, SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { OpsError } from '../../src/domain/errors.js';
import { SlotLost, TenantBusy, VideoSlots } from '../../src/limits/holdSlot.js';
import { MAX_TRIES, counted } from '../../src/limits/tries.js';
import { type SlotKey, releaseSlot, renewSlot, takeSlot } from '../../src/limits/slots.js';
import { putConfig } from '../../src/registry/config.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { addItems } from '../../src/registry/ledger.js';
import { FeedBlocked } from '../../src/vespa/retry.js';
import { type TestRegistry, atOnce, makeIngest, makeTenant, startTestRegistry } from '../support/registry.js';

let registry: TestRegistry;
let pool: Pool;
/** Four processes of workers. */
let pools: Pool[];
beforeAll(async () => {
  registry = await startTestRegistry();
  pool = registry.pool;
  pools = [1, 2, 3, 4].map((n) => openPool(registry.url, { name: `slots-${n}`, max: 8 }));
});
afterAll(async () => {
  await Promise.all((pools ?? []).map((each) => each.end()));
  await registry?.stop();
});

interface Tenant extends Omit<SlotKey, 'item'> {
  limit(videos: number): Promise<void>;
  /** Rows that have not expired. */
  live(): Promise<number>;
  /** What a killed worker's slot comes to, without the wait. */
  expire(item: number): Promise<void>;
}

async function newTenant(limit?: number): Promise<Tenant> {
  const life = await makeTenant(pool);
  const { incarnation } = life;
  const operation = await makeIngest(pool, life);
  let version = 0;
  const tenant: Tenant = {
    incarnation,
    operation,
    async limit(videos) {
      const write = { value: { max_qps: 5, max_concurrent_videos: videos }, author: 'tests', reason: '' };
      await putConfig(pool, { ...SYSTEM_CONFIG, incarnation }, version++, write);
    },
    async live() {
      const { rows } = await pool.query<{ n: number }>(
        'select count(*) as n from ingest_slots where incarnation = $1 and expires_at > clock_timestamp()',
        [incarnation],
      );
      return rows[0]!.n;
    },
    async expire(item) {
      await pool.query(
        `update ingest_slots set expires_at = clock_timestamp() where incarnation = $1 and item = $2`,
        [incarnation, item],
      );
    },
  };
  if (limit !== undefined) await tenant.limit(limit);
  return tenant;
}

const never = new AbortController().signal;

describe('slots of a tenant', () => {
  test('a hundred takers on four processes at once: exactly as many as the limit have one', async () => {
    const tenant = await newTenant(7);
    const taken = await atOnce(100, (i) => takeSlot(pools[i % 4]!, { ...tenant, item: i + 1 }, randomUUID()));
    expect(taken.filter((t) => t === true)).toHaveLength(7);
    expect(taken.filter((t) => t === false)).toHaveLength(93);
    expect(await tenant.live()).toBe(7);
  });

  test('a tenant from before there was the limit has the default', async () => {
    const tenant = await newTenant();
    const taken = await atOnce(20, (i) => takeSlot(pool, { ...tenant, item: i + 1 }, randomUUID()));
    expect(taken.filter((t) => t === true)).toHaveLength(DEFAULT_CONCURRENT_VIDEOS);
  });

  test('whatever takes, renews, ends, dies and comes again: never more than the limit, and none is lost', async () => {
    type Deed = { do: 'take' | 'release' | 'renew' | 'kill' | 'retake'; item: number; process: number };
    const deed: fc.Arbitrary<Deed> = fc.record({
      do: fc.constantFrom('take', 'take', 'release', 'renew', 'kill', 'retake'),
      item: fc.integer({ min: 1, max: 6 }),
      process: fc.nat({ max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.array(deed, { minLength: 1, maxLength: 6 }), { maxLength: 8 }),
        async (limit, batches) => {
          const tenant = await newTenant(limit);
          /** By item, the holder that was told it has the slot last. */
          const holders = new Map<number, string>();
          for (const batch of batches) {
            await Promise.all(
              batch.map(async ({ do: what, item, process }) => {
                const key = { ...tenant, item };
                const db = pools[process]!;
                const holder = holders.get(item) ?? randomUUID();
                if (what === 'take' || what === 'retake') {
                  const mine = randomUUID();
                  if (await takeSlot(db, key, mine)) holders.set(item, mine);
                } else if (what === 'release') {
                  await releaseSlot(db, key, holder);
                } else if (what === 'renew') {
                  await renewSlot(db, key, holder);
                } else {
                  await tenant.expire(item);
                }
              }),
            );
            expect(await tenant.live()).toBeLessThanOrEqual(limit);
          }
          // All are dead or done now: the whole limit is free again.
          for (let item = 1; item <= 6; item++) await tenant.expire(item);
          const again = await atOnce(6, (i) =>
            takeSlot(pools[i % 4]!, { ...tenant, item: 10 + i }, randomUUID()),
          );
          expect(again.filter((t) => t === true)).toHaveLength(limit);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('the next try of a video takes its slot over; the former neither renews nor gives it up', async () => {
    const tenant = await newTenant(1);
    const [key, before, after] = [{ ...tenant, item: 1 }, randomUUID(), randomUUID()];
    expect(await takeSlot(pool, key, before)).toBe(true);
    expect(await takeSlot(pool, key, after)).toBe(true);
    expect(await renewSlot(pool, key, before)).toBe(false);
    await releaseSlot(pool, key, before);
    expect(await renewSlot(pool, key, after)).toBe(true);
    expect(await takeSlot(pool, { ...tenant, item: 2 }, randomUUID())).toBe(false);
  });

  test('one that expired can be renewed only until somebody has taken its place', async () => {
    const tenant = await newTenant(1);
    const [key, holder] = [{ ...tenant, item: 1 }, randomUUID()];
    await takeSlot(pool, key, holder);
    await tenant.expire(1);
    expect(await renewSlot(pool, key, holder)).toBe(true);
    await tenant.expire(1);
    expect(await takeSlot(pool, { ...tenant, item: 2 }, randomUUID())).toBe(true);
    expect(await renewSlot(pool, key, holder)).toBe(false);
    expect(await tenant.live()).toBe(1);
  });

  test('a change of the limit counts for the next taker', async () => {
    const tenant = await newTenant(1);
    const take = (item: number) => takeSlot(pool, { ...tenant, item }, randomUUID());
    expect([await take(1), await take(2)]).toEqual([true, false]);
    await tenant.limit(2);
    expect([await take(2), await take(3)]).toEqual([true, false]);
    await tenant.limit(1);
    await tenant.expire(1);
    expect(await take(3)).toBe(false);
  });
});

describe('holding one', () => {
  test('a full tenant refuses after a second of waiting, another tenant takes its own meanwhile', async () => {
    const [full, other] = [await newTenant(1), await newTenant(1)];
    const slots = new VideoSlots(pool);
    let end = (): void => undefined;
    const held = slots.hold({ ...full, item: 1 }, never, () => new Promise<void>((done) => (end = done)));
    await expect.poll(() => full.live()).toBe(1);
    const waiting = slots.hold({ ...full, item: 2 }, never, async () => 'ran');
    const refused = expect(waiting).rejects.toThrow(TenantBusy);
    await expect(slots.hold({ ...other, item: 1 }, never, async () => 'ran')).resolves.toBe('ran');
    await refused;
    end();
    await held;
    expect(await full.live()).toBe(0);
    await expect(slots.hold({ ...full, item: 2 }, never, async () => 'ran')).resolves.toBe('ran');
  });

  test('who waits is woken by the one who ends here', async () => {
    const tenant = await newTenant(1);
    const slots = new VideoSlots(pool);
    let end = (): void => undefined;
    const held = slots.hold({ ...tenant, item: 1 }, never, () => new Promise<void>((done) => (end = done)));
    await expect.poll(() => tenant.live()).toBe(1);
    const waiting = slots.hold({ ...tenant, item: 2 }, never, async () => 'ran');
    end();
    await held;
    expect(await waiting).toBe('ran');
  });

  test('a wait that is cancelled ends by the signal and leaves nothing behind', async () => {
    const tenant = await newTenant(1);
    await takeSlot(pool, { ...tenant, item: 1 }, randomUUID());
    const slots = new VideoSlots(pool);
    const stop = new AbortController();
    const waiting = slots.hold({ ...tenant, item: 2 }, stop.signal, async () => 'ran');
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    expect(await tenant.live()).toBe(1);
    await tenant.expire(1);
    await expect(slots.hold({ ...tenant, item: 2 }, never, async () => 'ran')).resolves.toBe('ran');
  });

  test('work that throws gives its slot back; work whose slot was taken over is told', async () => {
    const tenant = await newTenant(1);
    const slots = new VideoSlots(pool, 20);
    const key = { ...tenant, item: 1 };
    await expect(
      slots.hold(key, never, async () => {
        throw new Error('no ffmpeg');
      }),
    ).rejects.toThrow('no ffmpeg');
    expect(await tenant.live()).toBe(0);
    const work = slots.hold(key, never, async (signal) => {
      await takeSlot(pool, key, randomUUID());
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      throw new Error('cut off');
    });
    await expect(work).rejects.toThrow(SlotLost);
    // Its successor's.
    expect(await tenant.live()).toBe(1);
  });
});

describe('tries of a video', () => {
  const work = (end: () => never) => vi.fn(async () => end());
  const throwing = (error: Error) => () => {
    throw error;
  };
  async function newItem() {
    const { operation } = await newTenant();
    await addItems(pool, operation, [{ path: 'a.mp4', video: 'a' }]);
    return { operation, item: 1, signal: never };
  }

  test('it is given up with the reason of its last, and not begun again', async () => {
    const item = await newItem();
    const broken = work(throwing(new Error('encoder fell over')));
    for (let i = 1; i < MAX_TRIES; i++)
      await expect(counted(pool, item, broken)).rejects.not.toBeInstanceOf(OpsError);
    const last = { name: 'TriesSpent', message: 'encoder fell over' };
    await expect(counted(pool, item, broken)).rejects.toMatchObject(last);
    // As after a worker that died in the last one, before anybody could say why.
    await expect(counted(pool, item, broken)).rejects.toMatchObject({ name: 'TriesSpent' });
    expect(broken).toHaveBeenCalledTimes(MAX_TRIES);
  });

  test('a blocked cluster and a stopped worker use none up', async () => {
    const item = await newItem();
    const blocked = work(throwing(new FeedBlocked('507', [])));
    const cut = work(throwing(new Error('cut off')));
    for (let i = 0; i < 2 * MAX_TRIES; i++) {
      await expect(counted(pool, item, blocked)).rejects.toBeInstanceOf(FeedBlocked);
      await expect(counted(pool, { ...item, signal: AbortSignal.abort() }, cut)).rejects.toThrow('cut off');
    }
    expect(await counted(pool, item, async () => 'stored')).toBe('stored');
  });
});
