import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../../src/vespa/feeding/attempt.js';
import { Breaker } from '../../../src/vespa/feeding/breaker.js';
import { feedAll } from '../../../src/vespa/feeding/feeder.js';
import type { FeedOperation } from '../../../src/vespa/feeding/operation.js';
import { Throttle } from '../../../src/vespa/feeding/throttle.js';
import { DocumentError, FeedBlocked } from '../../../src/vespa/retry.js';

/** A server that does `capacity(ms)` operations a second however many wait, and takes at least `latencyMs` for one. */
function simulate(
  throttle: Throttle,
  clock: { now: number },
  options: { readonly seconds: number; readonly latencyMs: number; readonly capacity: number },
): { readonly mean: number } {
  const { latencyMs, capacity, seconds } = options;
  const until = clock.now + seconds * 1000;
  let [sum, steps] = [0, 0];
  while (clock.now < until) {
    const { limit } = throttle;
    const rate = Math.min(limit / latencyMs, capacity / 1000);
    clock.now += 1 / rate;
    throttle.sent(limit);
    throttle.ended();
    [sum, steps] = [sum + limit, steps + 1];
  }
  return { mean: sum / steps };
}

describe('the throttle', () => {
  it.each([
    { latencyMs: 10, capacity: 4_000, knee: 40 },
    { latencyMs: 2, capacity: 8_000, knee: 16 },
    { latencyMs: 200, capacity: 500, knee: 100 },
  ])('finds about $knee in flight for $capacity/s at $latencyMs ms, from 4', ({ knee, ...server }) => {
    const clock = { now: 0 };
    const throttle = new Throttle(256, () => clock.now);
    expect(throttle.limit).toBe(4);
    simulate(throttle, clock, { ...server, seconds: 30 });
    const { mean } = simulate(throttle, clock, { ...server, seconds: 60 });
    expect(mean).toBeGreaterThan(knee * 0.8);
    expect(mean).toBeLessThan(knee * 1.6);
  });

  it('follows a server that becomes faster, and one that becomes slower', () => {
    const clock = { now: 0 };
    const throttle = new Throttle(256, () => clock.now);
    simulate(throttle, clock, { latencyMs: 10, capacity: 1_000, seconds: 60 });
    const slow = throttle.limit;
    simulate(throttle, clock, { latencyMs: 10, capacity: 6_000, seconds: 120 });
    expect(throttle.limit).toBeGreaterThan(slow * 2);
    simulate(throttle, clock, { latencyMs: 10, capacity: 1_000, seconds: 120 });
    expect(throttle.limit).toBeLessThan(slow * 2);
  });

  it('is cut by an overload, once for all its answers, and comes back', () => {
    const clock = { now: 0 };
    const throttle = new Throttle(256, () => clock.now);
    simulate(throttle, clock, { latencyMs: 10, capacity: 4_000, seconds: 30 });
    const before = throttle.limit;
    for (let i = 0; i < 50; i++) throttle.overloaded();
    expect(throttle.limit).toBe(Math.floor(before * 0.7));
    simulate(throttle, clock, { latencyMs: 10, capacity: 4_000, seconds: 60 });
    expect(throttle.limit).toBeGreaterThan(before * 0.75);
  });

  it('is not cut by one overload in fifty: any busy cluster has some', () => {
    const clock = { now: 0 };
    const throttle = new Throttle(256, () => clock.now);
    let least = Infinity;
    for (let n = 0; n < 100_000; n++) {
      clock.now += 1 / Math.min(throttle.limit / 10, 4);
      throttle.sent(throttle.limit);
      if (n % 50 === 0) throttle.overloaded();
      else throttle.ended();
      if (clock.now > 5_000) least = Math.min(least, throttle.limit);
    }
    expect(least).toBeGreaterThan(25);
  });

  it('does not grow for a source that never fills it', () => {
    const clock = { now: 0 };
    const throttle = new Throttle(256, () => clock.now);
    for (let i = 0; i < 10_000; i++) {
      throttle.sent(1);
      clock.now += 5;
      throttle.ended();
    }
    expect(throttle.limit).toBe(4);
  });

  it('stays between its bounds whatever happens', () => {
    const step = fc.oneof(
      fc.record({
        ended: fc.integer({ min: 1, max: 400 }),
        ms: fc.double({ min: 0, max: 900, noNaN: true }),
      }),
      fc.constant('overload' as const),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.array(step, { maxLength: 60 }), (most, steps) => {
        const clock = { now: 0 };
        const throttle = new Throttle(most, () => clock.now);
        for (const each of steps) {
          if (each === 'overload') throttle.overloaded();
          else
            for (let i = 0; i < each.ended; i++) {
              throttle.sent(throttle.limit);
              clock.now += each.ms / each.ended;
              throttle.ended();
            }
          expect(Number.isInteger(throttle.limit)).toBe(true);
          expect(throttle.limit).toBeGreaterThanOrEqual(Math.min(4, most));
          expect(throttle.limit).toBeLessThanOrEqual(most);
        }
      }),
    );
  });
});

describe('the breaker', () => {
  const opened = (clock: { now: number }) => {
    const breaker = new Breaker(3, () => clock.now);
    for (let i = 0; i < 3; i++) breaker.failed(breaker.sent());
    return breaker;
  };

  it('opens after so many failures in a row, and not after more that are not', () => {
    const breaker = new Breaker(3, () => 0);
    for (let i = 0; i < 9; i++) {
      breaker.failed(false);
      if (i % 2 === 1) breaker.succeeded();
    }
    expect([breaker.state, breaker.waitMs]).toEqual(['closed', 0]);
    expect(opened({ now: 0 }).state).toBe('open');
  });

  it('then lets one through after each pause, which doubles to ten seconds', () => {
    const clock = { now: 0 };
    const breaker = opened(clock);
    const pauses: number[] = [];
    for (let i = 0; i < 8; i++) {
      pauses.push(breaker.waitMs);
      clock.now += breaker.waitMs;
      expect([breaker.state, breaker.waitMs]).toEqual(['half-open', 0]);
      const probe = breaker.sent();
      expect([probe, breaker.waitMs]).toEqual([true, Infinity]);
      breaker.failed(probe);
    }
    expect(pauses).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  });

  it('closes at the first success, a late one of before too', () => {
    const clock = { now: 0 };
    const breaker = opened(clock);
    breaker.failed(false);
    expect(breaker.waitMs).toBe(200);
    breaker.succeeded();
    expect([breaker.state, breaker.waitMs]).toEqual(['closed', 0]);
  });

  it('asks again at once when a probe was only told to come later', () => {
    const clock = { now: 0 };
    const breaker = opened(clock);
    clock.now += 200;
    breaker.undecided(breaker.sent());
    expect([breaker.state, breaker.waitMs]).toEqual(['half-open', 0]);
  });
});

describe('every feed', () => {
  const answers = fc.constantFrom('done', 'done', 'done', 'retry', 'overload', 'failed', 'blocked');
  const ids = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 60 });

  it('ends each operation once, in order for one document, and names what it left', async () => {
    await fc.assert(
      fc.asyncProperty(
        ids,
        fc.array(answers, { maxLength: 120 }),
        fc.integer({ min: 1, max: 12 }),
        fc.scheduler(),
        async (documents, script, maxInFlight, scheduler) => {
          const operations = documents.map((id, n): FeedOperation => ({
            at: { namespace: 'n', schema: 's', id: String(id) },
            body: Buffer.from(String(n)),
          }));
          const pulled: FeedOperation[] = [];
          async function* source(): AsyncGenerator<FeedOperation> {
            for (const operation of operations) {
              pulled.push(operation);
              yield operation;
            }
          }
          let asked = 0;
          const active = new Set<string>();
          const target = {
            capacity: 100,
            async tryOnce({ at }: FeedOperation): Promise<Attempt> {
              const answer = script[asked++] ?? 'done';
              expect(active.has(at.id)).toBe(false);
              active.add(at.id);
              await scheduler.schedule(Promise.resolve());
              active.delete(at.id);
              switch (answer) {
                case 'failed':
                  return { kind: 'failed', error: new DocumentError(400, 'no') };
                case 'blocked':
                  return { kind: 'blocked', failure: '507' };
                case 'retry':
                case 'overload':
                  return {
                    kind: 'retry',
                    status: answer === 'retry' ? 500 : 429,
                    failure: '',
                    retryAfter: '0',
                  };
                default:
                  return { kind: 'done', answer: { status: 200, headers: {}, body: Buffer.alloc(0) } };
              }
            },
          };
          const ended: { operation: FeedOperation; state: string }[] = [];
          const feeding = feedAll(target, source(), {
            maxInFlight,
            onEnd: (operation, { state }) => ended.push({ operation, state }),
          }).then(
            () => undefined,
            (error: unknown) => error,
          );
          const error = await scheduler.waitFor(feeding);

          expect(active.size).toBe(0);
          expect(new Set(ended.map(({ operation }) => operation))).toEqual(new Set(pulled));
          expect(ended).toHaveLength(pulled.length);
          for (const id of new Set(documents)) {
            const order = ended
              .filter(({ operation }) => operation.at.id === String(id))
              .map(({ operation }) => pulled.indexOf(operation));
            expect(order).toEqual(order.toSorted((a, b) => a - b));
          }
          const left = ended
            .filter(({ state }) => state === 'unacknowledged')
            .map(({ operation }) => operation);
          if (error === undefined) expect([pulled.length, left]).toEqual([operations.length, []]);
          else {
            expect(error).toBeInstanceOf(FeedBlocked);
            expect((error as FeedBlocked).unacknowledged).toEqual(left);
          }
        },
      ),
      { numRuns: 200 },
    );
  }, 120_000);
});
