import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DAY_MS,
  MAX_HOP_MS,
  MAX_RETENTION_DAYS,
  NOTICE_DAYS,
  type Retention,
  dueNotice,
  nextHop,
  parseRetentionDays,
} from '../../../src/domain/retention.js';

const epoch = fc.integer({ min: 0, max: 4e12 });
const noticed = fc.constantFrom(null, ...NOTICE_DAYS);
/** Up to 100 days long, to the millisecond. */
const retention: fc.Arbitrary<Retention> = fc
  .record({ setAt: epoch, length: fc.integer({ min: 1, max: 100 * DAY_MS }), noticed })
  .map(({ setAt, length, noticed: given }) => ({ setAt, purgeAt: setAt + length, noticed: given }));
/** Before, during and after it, and its very edges. */
const withNow = retention.chain((r) =>
  fc
    .oneof(
      fc.integer({ min: r.setAt - DAY_MS, max: r.purgeAt + DAY_MS }),
      fc
        .tuple(fc.constantFrom(0, ...NOTICE_DAYS), fc.integer({ min: -2, max: 2 }))
        .map(([days, off]) => r.purgeAt - days * DAY_MS + off),
    )
    .map((now) => [r, now] as const),
);

describe('nextHop', () => {
  test('is never negative, never over a day, never past the end, and never past a notice to come', () => {
    fc.assert(
      fc.property(withNow, ([r, now]) => {
        const hop = nextHop(r, now);
        expect(hop).toBeGreaterThanOrEqual(0);
        expect(hop).toBeLessThanOrEqual(MAX_HOP_MS);
        if (now < r.purgeAt) expect(now + hop).toBeLessThanOrEqual(r.purgeAt);
        for (const days of NOTICE_DAYS) {
          const at = r.purgeAt - days * DAY_MS;
          if (at > now && at > r.setAt && (r.noticed === null || days < r.noticed))
            expect(now + hop).toBeLessThanOrEqual(at);
        }
      }),
    );
  });

  test('is zero only when the retention has ended: a wait cannot spin', () => {
    fc.assert(
      fc.property(withNow, ([r, now]) => {
        expect(nextHop(r, now) === 0).toBe(now >= r.purgeAt);
      }),
    );
  });
});

describe('dueNotice', () => {
  test('names a notice whose time has come, that is nearer than the last, and the nearest there is', () => {
    fc.assert(
      fc.property(withNow, ([r, now]) => {
        const time = (days: number) => r.purgeAt - days * DAY_MS;
        const due = dueNotice(r, now);
        const possible = NOTICE_DAYS.filter(
          (days) => now < r.purgeAt && time(days) <= now && time(days) > r.setAt,
        );
        const nearest = possible.length === 0 ? undefined : Math.min(...possible);
        const known = r.noticed !== null && nearest !== undefined && nearest >= r.noticed;
        expect(due).toBe(known ? undefined : nearest);
      }),
    );
  });

  test.each([
    [90, [30, 7, 1]],
    [30, [7, 1]],
    [5, [1]],
    [1, []],
  ])('of %i days gives %j', (days, expected) => {
    const start = { setAt: 0, purgeAt: days * DAY_MS, noticed: null };
    expect(wait(start, 0, []).given.map((g) => g.days)).toEqual(expected);
  });
});

describe('a wait, hop by hop', () => {
  test('without an outage gives every notice once, at its time, and ends at the end', () => {
    fc.assert(
      fc.property(retention, (r) => {
        const start = { ...r, noticed: null };
        const { given, endedAt } = wait(start, r.setAt, []);
        const expected = NOTICE_DAYS.filter((days) => r.purgeAt - days * DAY_MS > r.setAt);
        expect(given).toEqual(expected.map((days) => ({ days, at: r.purgeAt - days * DAY_MS })));
        expect(endedAt).toBe(r.purgeAt);
      }),
    );
  });

  test('whatever the outages: no notice twice, none early, none further than the last, none after the end', () => {
    const outages = fc.array(fc.integer({ min: 0, max: 40 * DAY_MS }), { maxLength: 6 });
    fc.assert(
      fc.property(retention, outages, (r, lateBy) => {
        const { given, endedAt } = wait({ ...r, noticed: null }, r.setAt, lateBy);
        expect(endedAt).toBeGreaterThanOrEqual(r.purgeAt);
        const days = given.map((g) => g.days);
        expect(days).toEqual([...new Set(days)].toSorted((a, b) => b - a));
        for (const g of given) {
          expect(g.at).toBeGreaterThanOrEqual(r.purgeAt - g.days * DAY_MS);
          expect(g.at).toBeLessThan(r.purgeAt);
        }
      }),
    );
  });
});

describe('parseRetentionDays', () => {
  test('takes whole days within the limits, as number or text, and nothing else', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_RETENTION_DAYS }), (days) => {
        expect(parseRetentionDays(days)).toBe(days);
        expect(parseRetentionDays(String(days))).toBe(days);
      }),
    );
    for (const value of [0, -1, 1.5, MAX_RETENTION_DAYS + 1, '', '0', '-3', '1e2', ' 5', '5d', null, NaN])
      expect(() => parseRetentionDays(value)).toThrow(/not a number of days/);
  });
});

/** As the workflow does it: a notice when one is due, then a hop. Each wake-up may come late. */
function wait(start: Retention, from: number, lateBy: readonly number[]) {
  const given: { days: number; at: number }[] = [];
  let [r, now] = [start, from];
  for (let i = 0; now < r.purgeAt; i++) {
    const days = dueNotice(r, now);
    if (days !== undefined) {
      given.push({ days, at: now });
      r = { ...r, noticed: days };
    }
    now += nextHop(r, now) + (lateBy[i] ?? 0);
  }
  return { given, endedAt: now };
}
