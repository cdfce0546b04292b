import type { Strategy } from '../domain/config/keys.js';
import { MIN_IMPROVEMENT } from '../domain/optimization.js';
import { type Agent, type Ballot, type DecisionRule, decide } from '../domain/routing.js';
import { CompiledSamples } from './compiled.js';
import { type Part, partOf } from './split.js';

/** A decision of the past of which it is known what would have been right. */
export interface Sample {
  /** Names it: decides which part it belongs to, for good. */
  readonly key: string;
  readonly ballots: readonly Ballot[];
  readonly expected: Agent;
}

export interface Figures {
  /** Samples of each part. */
  readonly train: number;
  readonly validation: number;
  readonly heldOut: number;
  /** Share of right decisions on the held-out part, 0 to 1; of the running rule, and of the candidate. */
  readonly before: number;
  readonly after: number;
  /** Held-out samples that only the candidate, and only the running rule, got right. */
  readonly gained: number;
  readonly lost: number;
  /** How likely so much gain is by chance: McNemar's exact test, one-sided. */
  readonly p: number;
}

export interface Learnt {
  /** Null: the running rule stays. */
  readonly rule: DecisionRule | null;
  readonly why: string;
  readonly figures: Figures;
}

/** Fewer than this can show no improvement by the test below, however good the candidate is. */
export const MIN_HELD_OUT = 7;
/** A gain as large must come by chance in fewer cases than this: retraining is tried again and again. */
const MAX_P = 0.01;

const THRESHOLDS = Array.from({ length: 39 }, (_, i) => (i + 1) / 40);
const WEIGHTS = [0, 0.25, 0.5, 0.75, 1];
const ROUNDS = 2;

/**
 * Looks for thresholds and weights by which the router would have been right more often.
 *
 * Against finding what is not there: the samples are split by their keys into three. On the first part three candidates are
 * fitted (thresholds alone, weights alone, both), on the second the best of them is chosen, and on the third that one alone
 * is compared with the running rule. It must be right {@link MIN_IMPROVEMENT} more often there, and by McNemar's exact test
 * not by chance; and it must not be worse on the part that it was chosen by.
 */
export function learn(running: DecisionRule, samples: readonly Sample[]): Learnt {
  const usable = samples.filter(({ ballots }) => isComplete(running, ballots));
  const parts = Map.groupBy(usable, ({ key }) => partOf(key));
  const of = (part: Part) => parts.get(part) ?? [];
  const [train, validation, heldOut] = [of('train'), of('validation'), of('heldOut')];
  const sizes = { train: train.length, validation: validation.length, heldOut: heldOut.length };
  const stay = (why: string, compared = compare(running, running, heldOut)): Learnt => ({
    rule: null,
    why,
    figures: { ...sizes, ...compared },
  });
  if (heldOut.length < MIN_HELD_OUT || train.length === 0)
    return stay(`too few labelled decisions with a ballot of every strategy: ${usable.length}`);

  const candidates = fit(running, new CompiledSamples(running.strategies, train));
  const choosing = new CompiledSamples(running.strategies, validation);
  const score = (rule: DecisionRule) => choosing.hits(rule);
  const best = candidates.reduce((a, b) => (score(b) > score(a) ? b : a), running);
  if (best === running) return stay('no candidate was better on the part that chooses between them');

  const compared = compare(running, best, heldOut);
  const gain = compared.after - compared.before;
  if (gain < MIN_IMPROVEMENT - 1e-9)
    return stay(`better by ${gain.toFixed(3)}, not by ${MIN_IMPROVEMENT}, on the held-out part`, compared);
  if (compared.p > MAX_P)
    return stay(
      `better by ${gain.toFixed(3)}, but that may be chance (p = ${compared.p.toFixed(3)})`,
      compared,
    );
  return {
    rule: best,
    why: `better by ${gain.toFixed(3)} on ${heldOut.length} held-out decisions (p = ${compared.p.toExponential(1)})`,
    figures: { ...sizes, ...compared },
  };
}

/** Without a ballot of every strategy in use, what another rule would have decided is not known. */
function isComplete(rule: DecisionRule, ballots: readonly Ballot[]): boolean {
  return rule.strategies.every((strategy) => ballots.some((ballot) => ballot.strategy === strategy));
}

function fit(running: DecisionRule, train: CompiledSamples): DecisionRule[] {
  const thresholds = fitThresholds(running, train);
  // The first that reaches its threshold decides: there is nothing to weigh.
  if (running.routing_mode === 'tiered') return [thresholds];
  return [thresholds, fitWeights(running, train), fitThresholds(fitWeights(thresholds, train), train)];
}

/** One strategy after the other, the others as they are; twice, as one's best depends on the others'. */
function fitThresholds(start: DecisionRule, train: CompiledSamples): DecisionRule {
  return coordinateWise(start, train, THRESHOLDS, (rule, strategy, value) => ({
    ...rule,
    confidence_thresholds: { ...rule.confidence_thresholds, [strategy]: value },
  }));
}

function fitWeights(start: DecisionRule, train: CompiledSamples): DecisionRule {
  const all = { ...start, strategy_weights: weightsOf(start) };
  return coordinateWise(all, train, WEIGHTS, (rule, strategy, value) => ({
    ...rule,
    strategy_weights: { ...rule.strategy_weights, [strategy]: value },
  }));
}

function weightsOf({ strategies, strategy_weights: weights }: DecisionRule) {
  return Object.fromEntries(strategies.map((strategy) => [strategy, weights?.[strategy] ?? 1]));
}

function coordinateWise(
  start: DecisionRule,
  train: CompiledSamples,
  values: readonly number[],
  withValue: (rule: DecisionRule, strategy: Strategy, value: number) => DecisionRule,
): DecisionRule {
  let rule = start;
  let best = train.hits(rule);
  for (let round = 0; round < ROUNDS; round++) {
    const before = best;
    for (const strategy of start.strategies) {
      const scored = values.map((value) => train.hits(withValue(rule, strategy, value)));
      const most = Math.max(...scored);
      if (most <= best) continue;
      // Of a plateau its middle: the truth is as likely to lie on either side of it.
      rule = withValue(rule, strategy, values[middleOfPlateau(scored, most)]!);
      best = most;
    }
    if (best === before) break;
  }
  // Every strategy mute is a rule that the configuration refuses.
  return isMute(rule) ? start : rule;
}

/** Of the longest run of places that hold the most. */
function middleOfPlateau(scored: readonly number[], most: number): number {
  let [best, length] = [0, 0];
  for (let from = 0; from < scored.length; from++) {
    if (scored[from] !== most || scored[from - 1] === most) continue;
    let to = from;
    while (scored[to + 1] === most) to++;
    if (to - from + 1 > length) [best, length] = [from + Math.floor((to - from) / 2), to - from + 1];
  }
  return best;
}

function isMute({ strategies, strategy_weights: weights }: DecisionRule): boolean {
  return weights !== undefined && strategies.every((strategy) => weights[strategy] === 0);
}

function compare(
  running: DecisionRule,
  candidate: DecisionRule,
  samples: readonly Sample[],
): Pick<Figures, 'before' | 'after' | 'gained' | 'lost' | 'p'> {
  let [right, gained, lost] = [0, 0, 0];
  for (const { ballots, expected } of samples) {
    const was = decide(running, ballots).agent === expected;
    const is = decide(candidate, ballots).agent === expected;
    if (was) right++;
    if (!was && is) gained++;
    if (was && !is) lost++;
  }
  const share = (count: number) => (samples.length === 0 ? 0 : count / samples.length);
  const [before, after] = [share(right), share(right + gained - lost)];
  return { before, after, gained, lost, p: chanceOf(gained, lost) };
}

/**
 * McNemar's exact test: were both rules equally good, each sample on which they differ would be a fair coin. How likely at
 * least so many gains are.
 */
export function chanceOf(gained: number, lost: number): number {
  const n = gained + lost;
  let tail = 0;
  // Binomial(n, k) / 2^n, by logarithms: n may be thousands.
  let log = -n * Math.LN2;
  for (let k = 0; k <= n; k++) {
    if (k >= gained) tail += Math.exp(log);
    log += Math.log(n - k) - Math.log(k + 1);
  }
  return Math.min(1, tail);
}
