import { z } from 'zod';
import type { Strategy } from '../../domain/config/keys.js';
import { AGENTS, AGENT_PURPOSES, type Agent } from '../../domain/routing.js';
import { EndpointError, postGuarded } from '../../guardedJson.js';
import { chat, dataBlock } from '../../llm.js';
import type { Answer, RoutingStrategy } from './port.js';

const MAX_ANSWER_BYTES = 64 * 1024;

export interface ServedStrategy {
  readonly name: Strategy;
  readonly url: string;
  readonly token: string | undefined;
  /** Of `llm`. */
  readonly model: string;
  readonly timeoutMs: number;
  readonly allowedPrivate: readonly string[];
}

/** A strategy behind HTTP, by the contract of its kind: docs/routing.md. */
export function servedStrategy(served: ServedStrategy): RoutingStrategy {
  return { name: served.name, ask: (query, signal) => ASK[served.name](served, query, signal) };
}

type Ask = (served: ServedStrategy, query: string, signal: AbortSignal) => Promise<Answer>;
const ASK: Readonly<Record<Strategy, Ask>> = { gliner: askGliner, llm: askLlm, langextract: askLangExtract };

const share = z.number().min(0).max(1);
const agent = z.enum(AGENTS);

const entities = z.object({
  entities: z.array(z.object({ label: z.string().max(200), score: share })).max(1000),
});

/** Zero-shot entity recognition with the agents as labels; the vote is the label of the highest score. */
async function askGliner(served: ServedStrategy, query: string, signal: AbortSignal): Promise<Answer> {
  const body = { text: query, labels: AGENTS, threshold: 0 };
  const found = read(entities, await post(served, body, signal)).entities.flatMap(({ label, score }) => {
    const known = AGENTS.find((each) => each === label);
    return known === undefined ? [] : [{ agent: known, confidence: score }];
  });
  return strongest(found);
}

const extractions = z.object({
  extractions: z
    .array(
      z.object({
        extraction_class: z.string().max(200),
        attributes: z.object({ confidence: share.optional() }).nullish(),
      }),
    )
    .max(1000),
});

/**
 * Extraction with the agents as classes. Without a confidence of its own, an agent's is its part of all extractions that
 * name one.
 */
async function askLangExtract(served: ServedStrategy, query: string, signal: AbortSignal): Promise<Answer> {
  const classes = AGENTS.map((name) => ({ name, description: AGENT_PURPOSES[name] }));
  const answer = read(extractions, await post(served, { text: query, classes }, signal));
  const found = answer.extractions.flatMap(({ extraction_class, attributes }) => {
    const known = AGENTS.find((each) => each === extraction_class);
    return known === undefined ? [] : [{ agent: known, confidence: attributes?.confidence }];
  });
  const partOf = (one: Agent) => found.filter((each) => each.agent === one).length / found.length;
  return strongest(
    found.map((each) => ({ agent: each.agent, confidence: each.confidence ?? partOf(each.agent) })),
  );
}

const vote = z.strictObject({ agent, confidence: share });

async function askLlm(served: ServedStrategy, query: string, signal: AbortSignal): Promise<Answer> {
  const purposes = AGENTS.map((name) => `- ${name}: ${AGENT_PURPOSES[name]}`).join('\n');
  const data = dataBlock(query);
  const answer = await chat(
    { ...served, baseUrl: served.url, maxTokens: 100 },
    `You route queries to one of these agents:\n${purposes}\n` +
      `Answer with one JSON object {"agent": NAME, "confidence": NUMBER FROM 0 TO 1} and nothing else. ${data.rule}`,
    data.text,
    signal,
  );
  return { outcome: 'voted', ...read(vote, answer) };
}

function post(served: ServedStrategy, body: unknown, signal: AbortSignal): Promise<unknown> {
  return postGuarded({ ...served, body, maxAnswerBytes: MAX_ANSWER_BYTES, signal });
}

function strongest(found: readonly { readonly agent: Agent; readonly confidence: number }[]): Answer {
  if (found.length === 0) return { outcome: 'abstained' };
  return { outcome: 'voted', ...found.reduce((a, b) => (b.confidence > a.confidence ? b : a)) };
}

function read<T>(shape: z.ZodType<T>, answer: unknown): T {
  const parsed = shape.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new EndpointError('its answer has another shape', false);
}
