import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PURGE_STORES, type StoreCount, differences } from '../../../src/domain/purge.js';

const counts = fc.uniqueArray(
  fc.record({
    store: fc.constantFrom(...PURGE_STORES),
    name: fc.constantFrom('a', 'b', 'a_b', 'video a'),
    count: fc.nat(5),
  }),
  { selector: ({ store, name }) => `${store}\0${name}` },
);

describe('differences', () => {
  test('names what has another count, what is new and what is gone', () => {
    const then: StoreCount[] = [
      { store: 'documents', name: 'frames_acme', count: 10 },
      { store: 'schemas', name: 'frames_acme', count: 1 },
      { store: 'traces', name: 'spans of acme', count: 4 },
    ];
    const now: StoreCount[] = [
      { store: 'schemas', name: 'frames_acme', count: 1 },
      { store: 'documents', name: 'frames_acme', count: 11 },
      { store: 'ledger', name: 'videos', count: 2 },
    ];
    expect(differences(then, now)).toEqual([
      { store: 'documents', name: 'frames_acme', expected: 10, found: 11 },
      { store: 'traces', name: 'spans of acme', expected: 4, found: 0 },
      { store: 'ledger', name: 'videos', expected: 0, found: 2 },
    ]);
  });

  test('what is counted as nothing and what is not named are the same', () => {
    expect(differences([{ store: 'traces', name: 'x', count: 0 }], [])).toEqual([]);
  });

  test('none to itself in any order', () => {
    fc.assert(fc.property(counts, (all) => differences(all, all.toReversed()).length === 0));
  });

  test('the other way round it names the same things with the counts exchanged', () => {
    const sorted = (all: ReturnType<typeof differences>) =>
      all.toSorted((a, b) => (`${a.store}/${a.name}` < `${b.store}/${b.name}` ? -1 : 1));
    fc.assert(
      fc.property(counts, counts, (a, b) => {
        const exchanged = differences(b, a).map((d) => ({ ...d, expected: d.found, found: d.expected }));
        expect(sorted(exchanged)).toEqual(sorted(differences(a, b)));
      }),
    );
  });

  test('adding them to what was expected gives what was found', () => {
    fc.assert(
      fc.property(counts, counts, (expected, found) => {
        const now = new Map(expected.map((c) => [`${c.store}/${c.name}`, c.count]));
        for (const d of differences(expected, found)) now.set(`${d.store}/${d.name}`, d.found);
        for (const c of found) expect(now.get(`${c.store}/${c.name}`) ?? 0).toBe(c.count);
        const total = [...now.values()].reduce((a, b) => a + b, 0);
        expect(total).toBe(found.reduce((a, { count }) => a + count, 0));
      }),
    );
  });
});
