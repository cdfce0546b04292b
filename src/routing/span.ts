import type { Attributes } from '@opentelemetry/api';
import { STRATEGIES, type Strategy } from '../domain/config/keys.js';
import { AGENTS, type Agent, type Ballot, type Decision } from '../domain/routing.js';
import type { Vote } from '../contracts/routing.js';

/** Name of a decision's span. */
export const ROUTING_SPAN = 'cogniverse.routing';

/** What a decision's span says of it; {@link readRoutingSpan} reads it back. */
export function routingAttributes(query: string, decision: Decision, votes: readonly Vote[]): Attributes {
  const attributes: Attributes = {
    'routing.query': query,
    'routing.chosen_agent': decision.agent,
    'routing.confidence': decision.confidence,
    'routing.route': decision.route,
    'output.value': decision.agent,
  };
  for (const vote of votes) Object.assign(attributes, voteAttributes(vote));
  return attributes;
}

function voteAttributes(vote: Vote): Attributes {
  const of = (name: string) => `routing.votes.${vote.strategy}.${name}`;
  return {
    [of('outcome')]: vote.outcome,
    [of('counted')]: vote.counted,
    [of('latency_ms')]: vote.latencyMs,
    ...(vote.outcome === 'voted' ? { [of('agent')]: vote.agent, [of('confidence')]: vote.confidence } : {}),
    ...(vote.outcome === 'failed' ? { [of('reason')]: vote.reason } : {}),
  };
}

/** A decision as its span tells it, whoever sent it. */
export interface SpanDecision {
  readonly query: string;
  readonly agent: Agent;
  readonly confidence: number;
  readonly ballots: readonly Ballot[];
  /** Of the votes that counted: whether they named more than one agent. */
  readonly split: boolean;
}

/** @returns undefined for a span that does not say what was decided: anybody may send one of this name */
export function readRoutingSpan(attributes: Readonly<Record<string, unknown>>): SpanDecision | undefined {
  const agent = agentOf(attributes['routing.chosen_agent']);
  const confidence = shareOf(attributes['routing.confidence']);
  const query = attributes['routing.query'];
  if (agent === undefined || confidence === undefined || typeof query !== 'string') return undefined;
  const ballots = STRATEGIES.flatMap((strategy) => readBallot(strategy, attributes) ?? []);
  const counted = ballots.flatMap((ballot) =>
    ballot.outcome === 'voted' && attributes[`routing.votes.${ballot.strategy}.counted`] === true
      ? [ballot.agent]
      : [],
  );
  return { query, agent, confidence, ballots, split: new Set(counted).size > 1 };
}

function readBallot(strategy: Strategy, attributes: Readonly<Record<string, unknown>>): Ballot | undefined {
  const of = (name: string) => attributes[`routing.votes.${strategy}.${name}`];
  switch (of('outcome')) {
    case 'voted': {
      const [agent, confidence] = [agentOf(of('agent')), shareOf(of('confidence'))];
      if (agent === undefined || confidence === undefined) return undefined;
      return { strategy, outcome: 'voted', agent, confidence };
    }
    case 'abstained':
      return { strategy, outcome: 'abstained' };
    case 'failed':
      return { strategy, outcome: 'failed', reason: String(of('reason') ?? '').slice(0, 200) };
    default:
      return undefined;
  }
}

function agentOf(value: unknown): Agent | undefined {
  return AGENTS.find((agent) => agent === value);
}

function shareOf(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value <= 1 ? value : undefined;
}
