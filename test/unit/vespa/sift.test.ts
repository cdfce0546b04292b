import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sift } from '../../../src/vespa/application/sift.js';

/** Numbers that are refused alone when negative, and together when equal modulo 7. */
function refusalOf(items: readonly number[]): string | undefined {
  const bad = items.find(
    (item, at) => item < 0 || items.slice(0, at).some((other) => other % 7 === item % 7),
  );
  return bad === undefined ? undefined : `${bad} does not go`;
}

const items = fc.uniqueArray(fc.integer({ min: -3, max: 60 }), { minLength: 1, maxLength: 40 });

async function sifted(drawn: readonly number[]): Promise<{ refused: Map<number, string>; trials: number }> {
  let trials = 0;
  const refused = await sift(drawn, refusalOf(drawn) ?? 'none', async (part) => {
    trials++;
    return refusalOf(part);
  });
  return { refused, trials };
}

describe('sift', () => {
  it('refuses each that does not go with those accepted before it, and no other', async () => {
    await fc.assert(
      fc.asyncProperty(
        items.filter((drawn) => refusalOf(drawn) !== undefined),
        async (drawn) => {
          const accepted: number[] = [];
          for (const item of drawn) if (refusalOf([...accepted, item]) === undefined) accepted.push(item);
          const { refused } = await sifted(drawn);
          expect(drawn.filter((item) => !refused.has(item))).toEqual(accepted);
        },
      ),
    );
  });

  it('gives for each the reason that it was seen refused for', async () => {
    const { refused } = await sifted([1, 2, -1, 8, 3]);
    expect([...refused]).toEqual([
      [-1, '-1 does not go'],
      [8, '8 does not go'],
    ]);
  });

  it('costs about log2 n trials for one bad, and at most 2n for all', async () => {
    const good = Array.from({ length: 127 }, (_, n) => n);
    const trialsFor = async (bad: ReadonlySet<number>): Promise<number> => {
      let trials = 0;
      await sift([...good, 127], 'bad', async (part) => {
        trials++;
        return part.some((item) => bad.has(item)) ? 'bad' : undefined;
      });
      return trials;
    };
    for (const one of [0, 64, 127]) expect(await trialsFor(new Set([one]))).toBeLessThanOrEqual(14);
    expect(await trialsFor(new Set([...good, 127]))).toBeLessThanOrEqual(256);
  });
});
