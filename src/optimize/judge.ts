import { z } from 'zod';
import { ROUTING_LABELS } from '../domain/optimization.js';
import { AGENTS, AGENT_PURPOSES } from '../domain/routing.js';
import { EndpointError } from '../guardedJson.js';
import { type ChatEndpoint, chat, dataBlock } from '../llm.js';
import type { Experience } from '../registry/experiences.js';

const MAX_TOKENS = 300;

/** What a judge may say, and nothing beside it. */
const verdict = z
  .strictObject({
    label: z.enum(ROUTING_LABELS),
    /** The agent that would have been right. */
    agent: z.enum(AGENTS).nullish(),
    confidence: z.number().min(0).max(1),
    explanation: z.string().max(1000).optional(),
  })
  .refine(
    ({ label, agent }) => label !== 'wrong_routing' || agent != null,
    'says wrong, and not what is right',
  );
export type Verdict = z.infer<typeof verdict>;

/** How an explanation reads that tells its reader to do something instead of why: nobody acts on it, nor stores it. */
const ORDERS =
  /\b(ignore|disregard|forget)\b.{0,40}\b(instruction|previous|above|prior|rule)|\b(system prompt|you (must|should|are to)|from now on)\b|\b(set|change|update|lower|raise|delete|disable|enable)\b.{0,40}\b(threshold|weight|config|setting|tenant)|https?:\/\//i;

/**
 * Asks the tenant's model whether a decision was right. The query is data between marks it cannot know; the answer is
 * taken only whole: one JSON object of the known fields with a known label.
 *
 * @throws EndpointError: `mayPass` when the endpoint gave no usable answer at all, else the answer is refused
 */
export async function judge(
  endpoint: Omit<ChatEndpoint, 'maxTokens'>,
  { query, agent, confidence }: Pick<Experience, 'query' | 'agent' | 'confidence'>,
  signal: AbortSignal,
): Promise<Verdict> {
  const data = dataBlock(query);
  const agents = AGENTS.map((name) => `- ${name}: ${AGENT_PURPOSES[name]}`).join('\n');
  const instructions =
    `You judge whether a query was sent to the right agent. The agents:\n${agents}\n` +
    `The router chose ${agent} with confidence ${confidence.toFixed(2)}.\n` +
    `Answer with one JSON object {"label": one of ${ROUTING_LABELS.join(', ')}, "agent": the agent that is right, ` +
    `"confidence": a number from 0 to 1, "explanation": one sentence} and nothing else. ${data.rule}`;
  const answer = await chat({ ...endpoint, maxTokens: MAX_TOKENS }, instructions, data.text, signal);
  const parsed = verdict.safeParse(answer);
  if (!parsed.success) throw new EndpointError('the judge’s answer is not one of those it may give', false);
  const { label, agent: right, explanation } = parsed.data;
  if (label === 'correct_routing' && right != null && right !== agent)
    throw new EndpointError('the judge contradicts itself', false);
  if (label === 'wrong_routing' && right === agent)
    throw new EndpointError('the judge contradicts itself', false);
  if (explanation !== undefined && ORDERS.test(explanation))
    throw new EndpointError('the judge’s answer gives instructions', false);
  return parsed.data;
}
