import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Parking } from '../../workflows/ingestParking.js';

const step = fc.oneof(
  fc.record({ do: fc.constant('blocked' as const), after: fc.nat(400_000) }),
  fc.record({ do: fc.constant('silent' as const), after: fc.nat(400_000) }),
  fc.record({ do: fc.constant('stored' as const), after: fc.nat(400_000) }),
  fc.record({ do: fc.constant('carried' as const), after: fc.nat(400_000) }),
);

test('no video is dropped: each that was put back is given out again, or was said to be failed', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      let parking = new Parking();
      let now = 1_000_000;
      let next = 1;
      const failed = new Set<number>();
      const stored = new Set<number>();
      for (const { do: what, after } of steps) {
        now += after;
        if (what === 'carried') {
          parking = new Parking(structuredClone(parking.carried()));
          continue;
        }
        const video = parking.take() ?? { item: next++, silent: 0 };
        if (what === 'stored') {
          parking.stored();
          stored.add(video.item);
        } else if (!parking.putBack(video, what, 'why', now)) {
          failed.add(video.item);
          // A full disk is nobody's fault.
          expect([what, video.silent]).toEqual(['silent', 4]);
        }
        const wait = parking.waitMs(now);
        expect(wait).toBeLessThanOrEqual(600_000);
        expect(parking.probing).toBe(what !== 'stored');
      }
      const rest = new Set<number>();
      for (let video = parking.take(); video !== undefined; video = parking.take()) rest.add(video.item);
      expect(rest.size + failed.size + stored.size).toBe(next - 1);
    }),
  );
});

test('waits double from 15 s to 10 min, once for all that were in work', () => {
  const parking = new Parking();
  let now = 0;
  const waits = [];
  for (let block = 0; block < 8; block++) {
    for (let item = 0; item < 4; item++) parking.putBack({ item, silent: 0 }, 'blocked', 'full', now);
    waits.push(parking.waitMs(now) / 1000);
    now += parking.waitMs(now);
  }
  expect(waits).toEqual([15, 30, 60, 120, 240, 480, 600, 600]);
  parking.stored();
  expect([parking.waitMs(now), parking.probing]).toEqual([0, false]);
});
