import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cutoffsOf,
  formatAge,
  parseAge,
  parseKind,
  parseRetention,
  spokenRetention,
} from '../../../src/domain/memory.js';

const DAY = 86_400;
const kinds = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const ages = fc.tuple(fc.integer({ min: 1, max: 99 }), fc.constantFrom('h', 'd', 'w', 'y'));

describe('an age', () => {
  test('is a whole number of a unit', () => {
    expect(['12h', '90d', '2w', '1y'].map(parseAge)).toEqual([43_200, 90 * DAY, 14 * DAY, 365 * DAY]);
  });

  test.each(['', '90', '0d', '-1d', '1.5d', '1m', '90 d', '90D', '101y', '1e3d', '９d'])(
    'is not %j',
    (text) => {
      expect(() => parseAge(text)).toThrow(expect.objectContaining({ type: 'InvalidInput' }));
    },
  );

  test('is read back as it is shown', () => {
    fc.assert(
      fc.property(ages, ([n, unit]) => {
        const seconds = parseAge(`${n}${unit}`);
        expect(parseAge(formatAge(seconds))).toBe(seconds);
      }),
    );
  });
});

test.each(['', 'Chat', '9th', 'a b', '-a', '_a', 'k'.repeat(65), '__proto__', 'chät'])(
  'no kind of memory is %j',
  (text) => {
    expect(() => parseKind(text)).toThrow(expect.objectContaining({ type: 'InvalidInput' }));
  },
);

describe('a retention', () => {
  test('gives a kind an age of its own, and the others the common one', () => {
    const retention = parseRetention('90d', ['chat=30d']);
    expect(retention).toEqual({ olderThan: 90 * DAY, kinds: { chat: 30 * DAY } });
    expect(spokenRetention(retention)).toBe('older than 90d; chat: 30d');
  });

  test('that names a kind alone is about the named kinds only', () => {
    expect(parseRetention('90d', ['chat', 'note=12h'])).toEqual({ kinds: { chat: 90 * DAY, note: DAY / 2 } });
    expect(parseRetention(undefined, ['chat=1d'])).toEqual({ kinds: { chat: DAY } });
  });

  test.each([
    [undefined, []],
    [undefined, ['chat']],
    ['90d', ['chat', 'chat=30d']],
    ['90d', ['chat=']],
    ['90d', ['=30d']],
    ['never', []],
  ] as const)('is not --older-than %s --kind %j', (olderThan, named) => {
    expect(() => parseRetention(olderThan, named)).toThrow(expect.objectContaining({ type: 'InvalidInput' }));
  });

  test('keeps whatever is younger than its age says, and names no kind that was not asked for', () => {
    fc.assert(
      fc.property(
        fc.option(ages, { nil: undefined }),
        fc.uniqueArray(fc.tuple(kinds, ages), { minLength: 1, selector: ([kind]) => kind }),
        fc.integer({ min: 4e12, max: 8e12 }),
        (others, named, now) => {
          const text = ([n, unit]: readonly [number, string]) => `${n}${unit}`;
          const retention = parseRetention(
            others && text(others),
            named.map(([kind, age]) => `${kind}=${text(age)}`),
          );
          const cutoffs = cutoffsOf(retention, now);
          expect(cutoffs.otherwise).toBe(others && now - parseAge(text(others)) * 1000);
          expect(cutoffs.kinds).toEqual(
            Object.fromEntries(named.map(([kind, age]) => [kind, now - parseAge(text(age)) * 1000])),
          );
          expect(cutoffs.expiredAt).toBe(now);
        },
      ),
    );
  });
});
