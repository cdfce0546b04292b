import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rate, spokenSeconds } from '../../../src/domain/rate.js';

test('what ends once in a period is seen at that rate, however long it has gone on', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 600_000 }),
      fc.integer({ min: 3, max: 500 }),
      fc.nat(1_000_000),
      (period, ends, left) => {
        const rate = new Rate();
        for (let i = 0; i < ends; i++) rate.ended(i * period);
        const now = (ends - 1) * period;
        expect(rate.perSecond(now)).toBeCloseTo(1000 / period, 6);
        expect(Math.abs(rate.secondsFor(left, now)! - (left * period) / 1000)).toBeLessThanOrEqual(1);
      },
    ),
  );
});

test('too few ends say nothing, nothing left takes no time, and a standstill slows the rate', () => {
  const rate = new Rate();
  for (const at of [0, 1000]) rate.ended(at);
  expect([rate.perSecond(1000), rate.secondsFor(5, 1000), rate.secondsFor(0, 1000)]).toEqual([null, null, 0]);
  rate.ended(2000);
  expect(rate.perSecond(2000)).toBe(1);
  expect(rate.perSecond(4000)).toBe(0.5);
});

test('a burst long ago is forgotten', () => {
  const rate = new Rate();
  for (let i = 0; i < 1000; i++) rate.ended(i);
  for (let i = 1; i <= 64; i++) rate.ended(1000 + i * 1000);
  expect(rate.perSecond(65_000)).toBeCloseTo(1, 1);
});

test.each([
  [0, '0 s'],
  [59, '59 s'],
  [95, '1 min 35 s'],
  [3600, '1 h 0 min'],
  [90_061, '25 h 1 min'],
])('%i seconds are said as %s', (seconds, said) => expect(spokenSeconds(seconds)).toBe(said));
