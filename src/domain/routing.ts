import type { RoutingConfig, Strategy } from './config/keys.js';

/** Agents that a query can be routed to. Of equally strong ones the first wins. */
export const AGENTS = ['video_search_agent', 'summarizer_agent', 'detailed_report_agent'] as const;
export type Agent = (typeof AGENTS)[number];

/** What each is for, as strategies that read text are told. */
export const AGENT_PURPOSES: Readonly<Record<Agent, string>> = {
  video_search_agent: 'finds videos, moments and scenes that match what is described',
  summarizer_agent: 'gives a short summary of what is in videos',
  detailed_report_agent: 'writes a detailed report or analysis about videos',
};

/** Where a query goes when no vote reaches its threshold: to search is never wrong, only plain. */
export const FALLBACK_AGENT: Agent = 'video_search_agent';

/**
 * What came of asking one strategy. `abstained`: it has nothing to say of this query; `failed`: no answer in time, or one
 * that cannot be used, which counts as no vote.
 */
export type Ballot =
  | {
      readonly strategy: Strategy;
      readonly outcome: 'voted';
      readonly agent: Agent;
      /** 0 to 1. */
      readonly confidence: number;
    }
  | { readonly strategy: Strategy; readonly outcome: 'abstained' }
  | { readonly strategy: Strategy; readonly outcome: 'failed'; readonly reason: string };

/** `fallback`: no vote reached its threshold. */
export type Route = RoutingConfig['routing_mode'] | 'fallback';

export interface Decision {
  readonly agent: Agent;
  /** 0 to 1; 0 for a fallback. */
  readonly confidence: number;
  readonly route: Route;
  /** Strategies whose vote reached its threshold and took part. */
  readonly counted: readonly Strategy[];
}

/** What a decision is made by. */
export type DecisionRule = Pick<
  RoutingConfig,
  'routing_mode' | 'strategies' | 'confidence_thresholds' | 'strategy_weights'
>;

/**
 * The decision that a rule makes of these ballots: the router's own, and the one by which the optimizer judges another
 * rule on ballots of the past. Strategies without a ballot, or not in use, take no part.
 *
 * `ensemble`: each vote that reaches its strategy's threshold adds weight × confidence to its agent; the agent with most
 * wins, and its share of the weight that voted is the confidence. `tiered`: the first, in the order of the rule, that
 * reaches its threshold decides.
 */
export function decide(rule: DecisionRule, ballots: readonly Ballot[]): Decision {
  return rule.routing_mode === 'tiered' ? decideTiered(rule, ballots) : decideTogether(rule, ballots);
}

function decideTiered(rule: DecisionRule, ballots: readonly Ballot[]): Decision {
  for (const strategy of rule.strategies) {
    const ballot = ballots.find((each) => each.strategy === strategy);
    if (ballot === undefined || !reaches(rule, ballot)) continue;
    const { agent, confidence } = ballot;
    return { agent, confidence, route: 'tiered', counted: [strategy] };
  }
  return FALLBACK;
}

function decideTogether(rule: DecisionRule, ballots: readonly Ballot[]): Decision {
  const scores = new Map<Agent, number>();
  const counted: Strategy[] = [];
  let weights = 0;
  for (const ballot of ballots) {
    const weight = weightOf(rule, ballot.strategy);
    if (weight === 0 || !rule.strategies.includes(ballot.strategy) || !reaches(rule, ballot)) continue;
    counted.push(ballot.strategy);
    weights += weight;
    scores.set(ballot.agent, (scores.get(ballot.agent) ?? 0) + weight * ballot.confidence);
  }
  if (weights === 0) return FALLBACK;
  let agent: Agent = FALLBACK_AGENT;
  let best = -1;
  for (const each of AGENTS) {
    const score = scores.get(each) ?? -1;
    if (score > best) [agent, best] = [each, score];
  }
  return { agent, confidence: best / weights, route: 'ensemble', counted };
}

const FALLBACK: Decision = { agent: FALLBACK_AGENT, confidence: 0, route: 'fallback', counted: [] };

/** Whether a ballot is a vote that counts. */
export function reaches(rule: DecisionRule, ballot: Ballot): ballot is Ballot & { outcome: 'voted' } {
  return (
    ballot.outcome === 'voted' && ballot.confidence >= (rule.confidence_thresholds[ballot.strategy] ?? 0)
  );
}

/** Weight of a vote; strategies without one count alike. */
export function weightOf({ strategy_weights: weights }: DecisionRule, strategy: Strategy): number {
  return weights?.[strategy] ?? 1;
}
