import { AGENTS, type Agent } from './routing.js';

/** What optimization does, each by a schedule of its own. */
export const OPTIMIZATIONS = ['evaluate', 'annotate', 'retrain'] as const;
export type Optimization = (typeof OPTIMIZATIONS)[number];

/** Workflow type of each. */
export const OPTIMIZATION_WORKFLOWS = {
  evaluate: 'evaluateSpans',
  annotate: 'annotateSpans',
  retrain: 'retrainRouting',
} as const satisfies Record<Optimization, string>;

/**
 * Seconds between two. That retraining is looked at every three hours does not make it happen as often: see
 * {@link DEFAULT_RETRAIN_DAYS}.
 */
export const INTERVAL_SECONDS: Readonly<Record<Optimization, number>> = {
  evaluate: 900,
  annotate: 1800,
  retrain: 10_800,
};
/** Random delay on top of a tenant's own time: small, as the times are spread already. */
export const JITTER_SECONDS = 2;

/** Retraining waits for so many new labels, and so many days since the last. */
export const DEFAULT_RETRAIN_ANNOTATIONS = 50;
export const DEFAULT_RETRAIN_DAYS = 1;
/** A candidate is put to use only when it is right this much more often on the held-out part. */
export const MIN_IMPROVEMENT = 0.05;

/** All intervals are multiples of it. */
const CYCLE = INTERVAL_SECONDS.evaluate;
/** Seconds by which the starts of each kind are moved against the others'. */
const SHIFT: Readonly<Record<Optimization, number>> = { evaluate: 0, annotate: 300, retrain: 600 };
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/**
 * Seconds into each interval at which a tenant's schedule fires. Slots are handed out 0, 1, 2, …; multiples of the golden
 * ratio fill a circle evenly for any number of them, which a hash of the tenant would not: with a hundred tenants that
 * puts six or more starts into some ten seconds of nearly every half hour.
 */
export function slotOffset(slot: number, what: Optimization): number {
  const cycles = INTERVAL_SECONDS[what] / CYCLE;
  const within = (((slot * GOLDEN) % 1) * CYCLE + SHIFT[what]) % CYCLE;
  return Math.floor(within) + CYCLE * (slot % cycles);
}

/** Names of annotations in Phoenix. `routing_annotation` is anybody's label; the others are the optimizer's own. */
export const ANNOTATIONS = {
  label: 'routing_annotation',
  routing: 'routing_evaluation',
  search: 'search_evaluation',
  review: 'routing_review',
} as const;
/** Whose annotations are the optimizer's: part of the key that an annotation is replaced by. */
export const ANNOTATOR = { evaluator: 'cvops-evaluator', judge: 'cvops-judge' } as const;

export const ROUTING_LABELS = ['correct_routing', 'wrong_routing', 'ambiguous', 'insufficient_info'] as const;
export type RoutingLabel = (typeof ROUTING_LABELS)[number];
/** How good a routing with that label was, 0 to 1. */
export const LABEL_SCORES: Readonly<Record<RoutingLabel, number>> = {
  correct_routing: 0.9,
  wrong_routing: 0.3,
  ambiguous: 0.6,
  insufficient_info: 0.5,
};

/** What people choose from: the labels, and the agents, of which the one is named that would have been right. */
export const LABEL_CHOICES = [
  ...ROUTING_LABELS.map((label) => ({ label, score: LABEL_SCORES[label] })),
  ...AGENTS.map((label) => ({ label })),
];

/** Who annotated; a later one in this list outranks the ones before. */
export const ANNOTATOR_KINDS = ['CODE', 'LLM', 'HUMAN'] as const;
export type AnnotatorKind = (typeof ANNOTATOR_KINDS)[number];

export interface Label {
  readonly label: RoutingLabel;
  readonly kind: AnnotatorKind;
  /** The agent that would have been right; null when nobody said. */
  readonly expected: Agent | null;
}

/** An annotation of the name {@link ANNOTATIONS.label}, as far as a label is made of it. */
export interface LabelAnnotation {
  readonly kind: AnnotatorKind;
  readonly label: string | null;
  /** Of its metadata's `agent`. */
  readonly agent?: unknown;
  /** ISO 8601. */
  readonly updatedAt: string;
}

/**
 * The one label of a span: a person's before a model's before a program's, of equal rank the newest. A label is one of
 * {@link ROUTING_LABELS}, or an agent's name: that it should have been this one. Others, such as a judge's `failed`, are
 * none.
 */
export function labelOf(chosen: Agent, annotations: readonly LabelAnnotation[]): Label | undefined {
  let best: { label: Label; rank: number; at: string } | undefined;
  for (const { kind, label, agent, updatedAt } of annotations) {
    const read = readLabel(chosen, label, agent);
    if (read === undefined) continue;
    const rank = ANNOTATOR_KINDS.indexOf(kind);
    if (best !== undefined && (rank < best.rank || (rank === best.rank && updatedAt <= best.at))) continue;
    best = { label: { ...read, kind }, rank, at: updatedAt };
  }
  return best?.label;
}

function readLabel(chosen: Agent, label: string | null, agent: unknown): Omit<Label, 'kind'> | undefined {
  const named = AGENTS.find((each) => each === label);
  if (named !== undefined)
    return { label: named === chosen ? 'correct_routing' : 'wrong_routing', expected: named };
  const known = ROUTING_LABELS.find((each) => each === label);
  if (known === undefined) return undefined;
  if (known === 'correct_routing') return { label: known, expected: chosen };
  const other = AGENTS.find((each) => each === agent && each !== chosen);
  return { label: known, expected: known === 'wrong_routing' ? (other ?? null) : null };
}

export type Outcome = 'success' | 'ambiguous' | 'failure';

/** What is known of a routing when nobody has looked at it. */
export interface RoutingEvidence {
  readonly failed: boolean;
  readonly confidence: number;
  /** Of the votes that counted: whether they named more than one agent. */
  readonly split: boolean;
}

/** A failed span failed; one that fell back, or whose votes were at odds, is ambiguous. */
export function outcomeOf({ failed, confidence, split }: RoutingEvidence): Outcome {
  if (failed) return 'failure';
  return split || confidence === 0 ? 'ambiguous' : 'success';
}

export const REVIEW_PRIORITIES = ['high', 'medium', 'low'] as const;
export type ReviewPriority = (typeof REVIEW_PRIORITIES)[number];

const CONFIDENT = 0.6;
const VERY_UNSURE = 0.3;
const BOUNDARY = 0.75;

/** How much a routing needs somebody to look at it; undefined: it does not. */
export function reviewPriority(outcome: Outcome, confidence: number): ReviewPriority | undefined {
  if (outcome === 'failure') return confidence < CONFIDENT ? 'high' : 'medium';
  if (confidence < VERY_UNSURE) return 'high';
  if (outcome === 'ambiguous' || confidence < CONFIDENT) return 'medium';
  return confidence <= BOUNDARY ? 'low' : undefined;
}

/** How good a search was, 0 to 1, by what its span says. */
export function searchScore(span: { readonly failed: boolean; readonly results: number }): number {
  if (span.failed) return 0.1;
  return Math.round((0.7 + (span.results > 0 ? 0.1 : 0) + (span.results >= 5 ? 0.1 : 0)) * 100) / 100;
}
