import type { ReferenceRules } from '../domain/config/references.js';
import {
  ANNOTATIONS,
  ANNOTATOR,
  LABEL_CHOICES,
  LABEL_SCORES,
  REVIEW_PRIORITIES,
  type ReviewPriority,
  outcomeOf,
  reviewPriority,
} from '../domain/optimization.js';
import { OpsError } from '../domain/errors.js';
import { EndpointError } from '../guardedJson.js';
import { type NewAnnotation, readAnnotations, writeAnnotations } from '../phoenix/annotations.js';
import { type AnnotationConfig, offerAnnotation } from '../phoenix/annotationConfigs.js';
import type { PhoenixClient } from '../phoenix/client.js';
import type { Pool } from '../registry/database.js';
import {
  type StoredExperience,
  noteJudgeFailure,
  setLabel,
  setReview,
  unlabelledExperiences,
} from '../registry/experiences.js';
import { llmIn } from '../tenants/llmOf.js';
import type { Optimized } from './enabled.js';
import { type Verdict, judge } from './judge.js';
import { labelFrom } from './labels.js';

/** Looked at in one run; asked about in one run. */
const LOOKED_AT = 1000;
export const MAX_ANNOTATIONS = 50;
/** Answers that cannot be used, of one decision, before it is left to people. */
const MAX_TRIES = 5;
const FIRST_RETRY_SECONDS = 1800;
const JUDGE_TIMEOUT_MS = 30_000;
const FOR_PEOPLE: AnnotationConfig = {
  name: ANNOTATIONS.label,
  description: 'Was the query sent to the right agent? Best: the name of the agent that is right.',
  values: LABEL_CHOICES,
};

export interface AnnotateResources {
  readonly pool: Pool;
  readonly phoenix: PhoenixClient;
  /** As the URL guard's. */
  readonly allowedPrivate: readonly string[];
  /** Whether the judge may be sent the key. */
  readonly rules: ReferenceRules;
  readonly signal: AbortSignal;
  readonly onProgress: (annotated: number) => void;
}

export interface Annotated {
  /** Labels that the judge has given. */
  readonly annotated: number;
  /** Decisions that the judge was asked about in vain. */
  readonly failed: number;
  /** Decisions without a label that wait for a person. */
  readonly forPeople: number;
  /** Why the judge was not asked, or no further. */
  readonly why?: string;
}

/**
 * Picks the failed and unsure decisions that nobody has labelled, the most pressing first. Each gets an annotation
 * `routing_review` with its priority, by which people find it in Phoenix; where the tenant has a model to ask, it is the
 * judge. What that answers is written to Phoenix first and kept when Phoenix has it, under an identifier that makes doing
 * it again the same. An answer that cannot be used is annotated as `failed`, which is no label.
 */
export async function annotateSpans(resources: AnnotateResources, life: Optimized): Promise<Annotated> {
  const { pool, phoenix, signal, onProgress } = resources;
  const { incarnation, phoenixProject: project } = life.row;
  const picked = await pick(pool, life);
  const there = await readAnnotations(
    phoenix,
    project,
    picked.map(({ experience }) => experience.spanId),
  );
  // A label that came since the last look is a person's answer already; a span that is gone cannot be annotated.
  const open = picked.filter(({ experience }) => {
    const annotations = there.get(experience.spanId);
    return annotations !== undefined && labelFrom(experience, annotations) === undefined;
  });
  if (open.length > 0) await offerAnnotation(phoenix, project, FOR_PEOPLE);
  await markForReview(resources, life, open);
  const endpoint = await judgeOf(life, resources.rules);
  if (typeof endpoint === 'string') return { annotated: 0, failed: 0, forPeople: open.length, why: endpoint };

  let [annotated, failed] = [0, 0];
  for (const { experience } of open.filter((each) => each.experience.judgeTries < MAX_TRIES)) {
    if (annotated + failed === MAX_ANNOTATIONS) break;
    signal.throwIfAborted();
    const call = { ...endpoint, timeoutMs: JUDGE_TIMEOUT_MS, allowedPrivate: resources.allowedPrivate };
    try {
      const verdict = await judge(call, experience, signal);
      if ((await writeAnnotations(phoenix, [labelAnnotation(experience, verdict)])) === 0) continue;
      await setLabel(pool, incarnation, experience.spanId, labelOfVerdict(experience, verdict));
      annotated++;
    } catch (error) {
      const refusal = refusalOf(error);
      await writeAnnotations(phoenix, [failedAnnotation(experience, refusal.message)]);
      // Not the decision's fault: it is not given up for an endpoint that is down.
      const retryAfter = refusal.mayPass ? 0 : FIRST_RETRY_SECONDS * 2 ** experience.judgeTries;
      if (!refusal.mayPass)
        await noteJudgeFailure(pool, incarnation, experience.spanId, refusal.message, retryAfter);
      failed++;
      // Down for one is down for all: the next run asks again.
      if (refusal.mayPass)
        return {
          ...{ annotated, failed, forPeople: open.length - annotated },
          why: `the judge did not answer: ${refusal.message}`,
        };
    }
    onProgress(annotated + failed);
  }
  return { annotated, failed, forPeople: open.length - annotated };
}

interface Picked {
  readonly experience: StoredExperience;
  readonly priority: ReviewPriority;
}

/** The most pressing first, of one priority the newest. */
async function pick(pool: Pool, { row }: Optimized): Promise<Picked[]> {
  const experiences = await unlabelledExperiences(pool, row.incarnation, LOOKED_AT);
  const picked = experiences.flatMap((experience) => {
    const { failed, confidence, ballots, agent } = experience;
    const split = ballots.some((each) => each.outcome === 'voted' && each.agent !== agent);
    const priority = reviewPriority(outcomeOf({ failed, confidence, split }), confidence);
    return priority === undefined ? [] : [{ experience, priority }];
  });
  const rank = ({ priority }: Picked) => REVIEW_PRIORITIES.indexOf(priority);
  return picked.toSorted((a, b) => rank(a) - rank(b)).slice(0, MAX_ANNOTATIONS * 4);
}

async function markForReview(
  { pool, phoenix }: AnnotateResources,
  { row }: Optimized,
  open: readonly Picked[],
): Promise<void> {
  const unmarked = open.filter(({ experience, priority }) => experience.review !== priority);
  await writeAnnotations(
    phoenix,
    unmarked.map(({ experience, priority }) => ({
      ...{ spanId: experience.spanId, name: ANNOTATIONS.review, kind: 'CODE', label: priority },
      identifier: ANNOTATOR.evaluator,
    })),
  );
  for (const { experience, priority } of unmarked)
    await setReview(pool, row.incarnation, experience.spanId, priority);
}

/** @returns why there is nobody to ask, as a text */
async function judgeOf(
  { row, system, vouched }: Optimized,
  rules: ReferenceRules,
): Promise<{ baseUrl: string; model: string; token: string } | string> {
  try {
    const llm = await llmIn({ value: { ...system }, vouched: vouched.system }, row.tenant, rules);
    if (llm === undefined) return 'no judge: the configuration has no llm_api_key';
    const { baseUrl, model, apiKey: token } = llm;
    return { baseUrl, model, token };
  } catch (error) {
    if (error instanceof OpsError) return `no judge: ${error.message}`;
    throw error;
  }
}

/** An endpoint that the guard refuses is configured wrongly: for another run to try again. */
function refusalOf(error: unknown): { readonly message: string; readonly mayPass: boolean } {
  if (error instanceof EndpointError) return error;
  if (error instanceof OpsError) return { message: error.message, mayPass: true };
  throw error;
}

const JUDGE = { name: ANNOTATIONS.label, kind: 'LLM', identifier: ANNOTATOR.judge } as const;

function labelAnnotation({ spanId, agent }: StoredExperience, verdict: Verdict): NewAnnotation {
  const { label, confidence, explanation } = verdict;
  return {
    ...{ ...JUDGE, spanId, label, score: LABEL_SCORES[label] },
    ...(explanation === undefined ? {} : { explanation: explanation.slice(0, 500) }),
    metadata: { agent: verdict.agent ?? (label === 'correct_routing' ? agent : null), confidence },
  };
}

function labelOfVerdict({ agent }: StoredExperience, { label, agent: right }: Verdict) {
  const expected = label === 'correct_routing' ? agent : label === 'wrong_routing' ? right! : null;
  return { label, kind: 'LLM', expected } as const;
}

function failedAnnotation({ spanId }: StoredExperience, why: string): NewAnnotation {
  return { ...JUDGE, spanId, label: 'failed', explanation: why.slice(0, 500) };
}
