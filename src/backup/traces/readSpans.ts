import { z } from 'zod';
import { CANARY_SPAN } from '../../domain/canaries.js';
import { OpsError } from '../../domain/errors.js';
import { type PhoenixClient, checkProjectName } from '../../phoenix/client.js';
import { isRecord, parseExact } from './exactJson.js';
import type { SpanLine } from './lines.js';
import { type SpanBound, spanNodePages, utc } from './pages.js';
import { type TracesCall, retrying } from './retrying.js';

const KIND = ['openinference', 'span', 'kind'] as const;
/** What GraphQL shows in the place of a vector. */
const HIDDEN = /^<[0-9]+ dimensional vector>$/;

const attributesNode = z.object({ name: z.string(), attributes: z.string() });
const flat = z.custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null);
const restSpans = z.object({
  data: z.array(
    z.object({
      name: z.string(),
      context: z.object({ trace_id: z.string(), span_id: z.string() }),
      span_kind: z.string(),
      parent_id: z.string().nullable(),
      start_time: z.string(),
      end_time: z.string(),
      status_code: z.enum(['OK', 'ERROR', 'UNSET']),
      status_message: z.string(),
      attributes: flat,
      events: z.array(z.object({ name: z.string(), timestamp: z.string(), attributes: flat })),
    }),
  ),
});
type RestSpan = z.infer<typeof restSpans>['data'][number];

/**
 * A project's spans in the order of storing. Two calls a page: only GraphQL has the attributes as they are nested, and
 * only REST gives all else in a third of the time, and the vectors that GraphQL hides.
 *
 * @throws OpsError `Unavailable` when spans vanish meanwhile
 */
export async function* readSpanLines(
  phoenix: PhoenixClient,
  project: string,
  bound: SpanBound,
  call: TracesCall,
): AsyncGenerator<SpanLine> {
  for await (const nodes of spanNodePages(phoenix, project, 'name attributes', attributesNode, bound, call)) {
    const page = nodes.filter(({ name }) => name !== CANARY_SPAN);
    if (page.length === 0) continue;
    const query = new URLSearchParams({ limit: String(page.length) });
    for (const { spanId } of page) query.append('span_id', spanId);
    const path = `/v1/projects/${checkProjectName(project)}/spans?${query.toString()}`;
    const found = await retrying(call, () => phoenix.get(path, restSpans, parseExact));
    const byId = new Map(found?.data.map((span) => [span.context.span_id, span]));
    for (const { spanId, attributes } of page) {
      const span = byId.get(spanId);
      if (span === undefined)
        throw new OpsError(
          'Unavailable',
          `spans of the Phoenix project ${project} were deleted while it was read`,
        );
      yield spanLine(span, parseExact(attributes) as Record<string, unknown>);
    }
  }
}

function spanLine(span: RestSpan, nested: Record<string, unknown>): SpanLine {
  return {
    name: span.name,
    context: { trace_id: span.context.trace_id, span_id: span.context.span_id },
    span_kind: span.span_kind,
    parent_id: span.parent_id,
    start_time: utc(span.start_time),
    end_time: utc(span.end_time),
    status_code: span.status_code,
    status_message: span.status_message,
    attributes: withVectors(withoutKind(nested), span.attributes),
    events: span.events.map(({ name, timestamp, attributes }) => ({
      name,
      timestamp: utc(timestamp),
      attributes,
    })),
  };
}

/** Phoenix adds the attribute again, made of `span_kind`. */
function withoutKind(attributes: Record<string, unknown>): Record<string, unknown> {
  return without(attributes, KIND) ?? {};
}

/** @returns undefined when nothing else was in it */
function without(
  object: Record<string, unknown>,
  path: readonly string[],
): Record<string, unknown> | undefined {
  const [key, ...rest] = path;
  const inner = object[key!];
  if (rest.length > 0 ? !isRecord(inner) : typeof inner !== 'string') return object;
  const less = rest.length > 0 ? without(inner as Record<string, unknown>, rest) : undefined;
  const kept = Object.entries(object).flatMap(([name, value]): [string, unknown][] =>
    name !== key ? [[name, value]] : less === undefined ? [] : [[name, less]],
  );
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

function withVectors(
  attributes: Record<string, unknown>,
  rest: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { embedding } = attributes;
  if (!isRecord(embedding) || !Array.isArray(embedding['embeddings'])) return attributes;
  const embeddings = embedding['embeddings'].map((item: unknown, i) => {
    const inner = isRecord(item) ? item['embedding'] : undefined;
    if (!isRecord(item) || !isRecord(inner)) return item;
    const vector = rest[`embedding.embeddings.${i}.embedding.vector`];
    const hidden = typeof inner['vector'] === 'string' && HIDDEN.test(inner['vector']);
    return hidden && Array.isArray(vector) ? { ...item, embedding: { ...inner, vector } } : item;
  });
  return { ...attributes, embedding: { ...embedding, embeddings } };
}
