import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DecisionRule, decide } from '../../../src/domain/routing.js';
import { CompiledSamples } from '../../../src/optimize/compiled.js';
import { type Sample, chanceOf, learn } from '../../../src/optimize/learn.js';
import { partOf } from '../../../src/optimize/split.js';
import { RUNNING, noise, planted } from '../../support/routingSamples.js';

const SEEDS = Array.from({ length: 100 }, (_, seed) => seed);
const TIERED: DecisionRule = { ...RUNNING, routing_mode: 'tiered' };
const share = (rule: DecisionRule, samples: readonly Sample[]) =>
  samples.filter(({ ballots, expected }) => decide(rule, ballots).agent === expected).length / samples.length;

describe('where one threshold is best', () => {
  test.each([
    ['ensemble', RUNNING],
    ['tiered', TIERED],
  ] as const)('it is found within 0.05 and the held-out part is decided better, 100 times: %s', (_, rule) => {
    for (const seed of SEEDS) {
      const best = 0.3 + (seed % 50) / 100;
      const { rule: found, figures, why } = learn(rule, planted(seed, best, 400));
      expect(found, why).not.toBeNull();
      expect(Math.abs(found!.confidence_thresholds.gliner! - best)).toBeLessThanOrEqual(0.05);
      expect(figures.after - figures.before).toBeGreaterThanOrEqual(0.05);
      // And decisions that nobody learnt of.
      const fresh = planted(seed + 1000, best, 200);
      expect(share(found!, fresh)).toBeGreaterThan(share(rule, fresh) + 0.05);
    }
  });

  test('a rule that is right already stays', () => {
    const rule = { ...RUNNING, confidence_thresholds: { gliner: 0.5, llm: 0, langextract: 0 } };
    for (const seed of SEEDS.slice(0, 20)) expect(learn(rule, planted(seed, 0.5, 400)).rule).toBeNull();
  });
});

describe('noise', () => {
  test.each([
    ['ensemble', RUNNING, 60],
    ['ensemble', RUNNING, 300],
    ['tiered', TIERED, 300],
  ] as const)('changes nothing in at least 95 of 100 seeds: %s', (_, rule, count) => {
    const changed = SEEDS.filter((seed) => learn(rule, noise(seed, count)).rule !== null);
    expect(changed.length).toBeLessThanOrEqual(5);
  });
});

test('too few decisions, or ballots that are not known, change nothing and say so', () => {
  expect(learn(RUNNING, [])).toMatchObject({ rule: null, why: expect.stringContaining('too few') as string });
  const partial = planted(1, 0.5, 400).map(({ ballots, ...rest }) => ({
    ...rest,
    ballots: ballots.slice(0, 1),
  }));
  expect(learn(RUNNING, partial)).toMatchObject({
    rule: null,
    why: 'too few labelled decisions with a ballot of every strategy: 0',
  });
});

test('what is learnt does not depend on the order of the samples, nor on what was learnt before', () => {
  const samples = planted(3, 0.6, 300);
  const first = learn(RUNNING, samples);
  expect(learn(RUNNING, samples.toReversed())).toEqual(first);
  expect(learn({ ...RUNNING, ...first.rule }, samples).rule).toBeNull();
});

test('weights and thresholds stay from 0 to 1, and some strategy in use keeps its vote', () => {
  const seed = fc.integer({ min: 0, max: 10_000 });
  fc.assert(
    fc.property(seed, fc.double({ min: 0.2, max: 0.9, noNaN: true }), (n, best) => {
      const { rule } = learn(RUNNING, planted(n, best, 120));
      const values = [rule?.confidence_thresholds, rule?.strategy_weights].flatMap((v) =>
        Object.values(v ?? {}),
      );
      expect(values.every((value) => value >= 0 && value <= 1)).toBe(true);
      const weights = rule?.strategy_weights;
      expect(weights === undefined || RUNNING.strategies.some((s) => weights[s]! > 0)).toBe(true);
    }),
    { numRuns: 20 },
  );
});

test('the test of chance is the binomial tail', () => {
  expect(chanceOf(0, 0)).toBe(1);
  expect(chanceOf(7, 0)).toBeCloseTo(1 / 128, 10);
  expect(chanceOf(3, 1)).toBeCloseTo(5 / 16, 10);
  expect(chanceOf(0, 5)).toBeCloseTo(1, 10);
  expect(chanceOf(600, 500)).toBeGreaterThan(0.0005);
  expect(chanceOf(600, 500)).toBeLessThan(0.005);
});

test('rules are tried on the samples as the router would decide', () => {
  const value = fc.constantFrom(0, 0.25, 0.5, 0.75, 1);
  const each = fc.record({ gliner: value, llm: value, langextract: value });
  const rules = fc.record(
    {
      routing_mode: fc.constantFrom('ensemble' as const, 'tiered' as const),
      strategies: fc.shuffledSubarray([...RUNNING.strategies], { minLength: 1 }),
      confidence_thresholds: each,
      strategy_weights: each,
    },
    { requiredKeys: ['routing_mode', 'strategies', 'confidence_thresholds'] },
  );
  fc.assert(
    fc.property(rules, fc.nat(1000), (rule, seed) => {
      const samples = [...noise(seed, 20), ...planted(seed, 0.5, 20)];
      const hits = new CompiledSamples(rule.strategies, samples).hits(rule);
      expect(hits / samples.length).toBe(share(rule, samples));
    }),
    { numRuns: 300 },
  );
});

test('a decision is of the same part for good, two fifths to judge by', () => {
  const keys = Array.from({ length: 2000 }, (_, i) => `${i}`);
  const of = (part: string) => keys.filter((key) => partOf(key) === part).length;
  expect(of('heldOut')).toBeGreaterThan(700);
  expect(of('train')).toBeGreaterThan(700);
  expect(of('validation')).toBeGreaterThan(300);
});
