import type { Strategy } from '../../src/domain/config/keys.js';
import { AGENTS, type Agent, type Ballot, type DecisionRule } from '../../src/domain/routing.js';
import type { Sample } from '../../src/optimize/learn.js';
import { dice } from './dice.js';

export const RUNNING: DecisionRule = {
  routing_mode: 'ensemble',
  strategies: ['gliner', 'llm', 'langextract'],
  confidence_thresholds: { gliner: 0, llm: 0, langextract: 0 },
};

const other = (agent: Agent, roll: number): Agent => {
  const others = AGENTS.filter((each) => each !== agent);
  return others[Math.floor(roll * others.length)]!;
};
const vote = (strategy: Strategy, agent: Agent, confidence: number): Ballot => ({
  ...{ strategy, outcome: 'voted', agent, confidence },
});

/**
 * Decisions of which one threshold is known to be best: `gliner` is right exactly when it is at least as sure as that; else
 * `llm`, which never shouts it down, is right in seven of ten.
 */
export function planted(seed: number, best: number, count: number): Sample[] {
  const roll = dice(seed);
  return Array.from({ length: count }, (_, i) => {
    const expected = AGENTS[Math.floor(roll() * AGENTS.length)]!;
    const sure = roll();
    const right = roll() < 0.7;
    return {
      key: `planted-${seed}-${i}`,
      expected,
      ballots: [
        vote('gliner', sure >= best ? expected : other(expected, roll()), sure),
        vote('llm', right ? expected : other(expected, roll()), 0.01),
        { strategy: 'langextract', outcome: 'abstained' },
      ],
    };
  });
}

/** Decisions that nothing in the ballots tells anything of. */
export function noise(seed: number, count: number): Sample[] {
  const roll = dice(seed * 7919 + 1);
  const any = (): Agent => AGENTS[Math.floor(roll() * AGENTS.length)]!;
  return Array.from({ length: count }, (_, i) => ({
    key: `noise-${seed}-${i}`,
    expected: any(),
    ballots: RUNNING.strategies.map((strategy): Ballot => {
      const kind = roll();
      if (kind < 0.1) return { strategy, outcome: 'abstained' };
      if (kind < 0.15) return { strategy, outcome: 'failed', reason: 'no answer within 1000 ms' };
      return vote(strategy, any(), roll());
    }),
  }));
}
