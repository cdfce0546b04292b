import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { STRATEGIES } from '../../../src/domain/config/keys.js';
import { AGENTS, type Ballot, type DecisionRule, decide } from '../../../src/domain/routing.js';

const rule = (more: Partial<DecisionRule> = {}): DecisionRule => ({
  ...{ routing_mode: 'ensemble', strategies: STRATEGIES },
  confidence_thresholds: { gliner: 0.7, llm: 0.6, langextract: 0.5 },
  ...more,
});
const [SEARCH, SUMMARY, REPORT] = AGENTS;
const vote = (strategy: Ballot['strategy'], agent: (typeof AGENTS)[number], confidence: number): Ballot => ({
  ...{ strategy, outcome: 'voted', agent, confidence },
});

describe('an ensemble', () => {
  test('counts votes that reach their thresholds, by weight and confidence', () => {
    const ballots = [
      vote('gliner', SUMMARY, 0.7),
      vote('llm', REPORT, 0.9),
      vote('langextract', SUMMARY, 0.49),
    ];
    expect(decide(rule(), ballots)).toEqual({
      ...{ agent: REPORT, confidence: 0.45, route: 'ensemble', counted: ['gliner', 'llm'] },
    });
    const weighted = rule({ strategy_weights: { gliner: 1, llm: 0.5, langextract: 1 } });
    expect(decide(weighted, ballots)).toMatchObject({ agent: SUMMARY, counted: ['gliner', 'llm'] });
  });

  test('takes failed and abstaining strategies, and those not in use, for no vote', () => {
    const ballots: Ballot[] = [
      { strategy: 'gliner', outcome: 'failed', reason: 'no answer within 1000 ms' },
      { strategy: 'langextract', outcome: 'abstained' },
      vote('llm', REPORT, 0.8),
    ];
    expect(decide(rule(), ballots)).toMatchObject({ agent: REPORT, confidence: 0.8, counted: ['llm'] });
    expect(decide(rule({ strategies: ['gliner'] }), ballots)).toEqual({
      ...{ agent: SEARCH, confidence: 0, route: 'fallback', counted: [] },
    });
  });
});

test('tiers decide by the first that reaches its threshold, in their order', () => {
  const ballots = [vote('gliner', SUMMARY, 0.9), vote('llm', REPORT, 0.9)];
  const tiered = (strategies: DecisionRule['strategies']) => rule({ routing_mode: 'tiered', strategies });
  expect(decide(tiered(['gliner', 'llm']), ballots)).toMatchObject({ agent: SUMMARY, route: 'tiered' });
  expect(decide(tiered(['llm', 'gliner']), ballots)).toMatchObject({ agent: REPORT, counted: ['llm'] });
  expect(decide(tiered(['langextract']), ballots)).toMatchObject({ route: 'fallback', confidence: 0 });
});

test('whatever the ballots: a known agent, a confidence from 0 to 1, and a fallback exactly when nobody counts', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const shares = fc.record({ gliner: share, llm: share, langextract: share });
  const ballots = fc
    .tuple(...STRATEGIES.map(() => fc.option(fc.tuple(fc.constantFrom(...AGENTS), share))))
    .map((votes) =>
      votes.map((each, i): Ballot => {
        const strategy = STRATEGIES[i]!;
        return each === null ? { strategy, outcome: 'abstained' } : vote(strategy, ...each);
      }),
    );
  fc.assert(
    fc.property(ballots, shares, shares, (cast, confidence_thresholds, strategy_weights) => {
      const decision = decide(rule({ confidence_thresholds, strategy_weights }), cast);
      expect(AGENTS).toContain(decision.agent);
      expect(decision.confidence).toBeGreaterThanOrEqual(0);
      expect(decision.confidence).toBeLessThanOrEqual(1 + 1e-9);
      expect(decision.route === 'fallback').toBe(decision.counted.length === 0);
    }),
  );
});
