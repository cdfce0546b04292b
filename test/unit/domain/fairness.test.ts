import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fairnessWeight } from '../../../src/domain/fairness.js';

test('fewer left never weighs less, and nobody has more than four shares to another’s one', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.nat(100_000), (a, b) => {
      const [few, many] = [fairnessWeight(Math.min(a, b)), fairnessWeight(Math.max(a, b))];
      expect(few).toBeGreaterThanOrEqual(many);
      expect(few / many).toBeLessThanOrEqual(4);
    }),
  );
  expect([fairnessWeight(10), fairnessWeight(500), fairnessWeight(5000)]).toEqual([4, 2, 1]);
});
