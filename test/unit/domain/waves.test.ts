import fc from 'fast-check';
import { expect, test } from 'vitest';
import { waves } from '../../../src/domain/waves.js';

const sum = (sizes: readonly number[]) => sizes.reduce((a, b) => a + b, 0);

test.each([
  [0, []],
  [1, [1]],
  [2, [1, 1]],
  [9, [1, 1, 7]],
  [10, [1, 1, 8]],
  [11, [1, 2, 8]],
  [100, [1, 10, 89]],
  [6000, [1, 500, 100, ...Array.from({ length: 10 }, () => 500), 399]],
])('%i tenants', (tenants, sizes) => {
  expect(waves(tenants)).toEqual(sizes);
});

test('everybody is in exactly one wave: one, a tenth, the rest, none over 500 and none empty', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20_000 }), (tenants) => {
      const sizes = waves(tenants);
      expect(sum(sizes)).toBe(tenants);
      expect(sizes[0]).toBe(1);
      expect(sizes.every((size) => size >= 1 && size <= 500)).toBe(true);
      const tenth = Math.min(Math.ceil(tenants / 10), tenants - 1);
      // A tenth of more than 5,000 is split: after the first so many waves it is done to the tenant.
      const parts = Math.ceil(tenth / 500);
      expect(sum(sizes.slice(1, 1 + parts))).toBe(tenth);
    }),
  );
});
