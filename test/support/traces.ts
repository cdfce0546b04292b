import { createHash } from 'node:crypto';
import { exactLine, parseExact } from '../../src/backup/traces/exactJson.js';
import type { PhoenixClient } from '../../src/phoenix/client.js';
import { drainSpans } from '../../src/phoenix/drain.js';

/** Ids that look like OpenTelemetry's, the same for the same seed. */
export function idOf(kind: 'trace' | 'span', seed: string): string {
  return createHash('sha256')
    .update(`${kind}/${seed}`)
    .digest('hex')
    .slice(0, kind === 'trace' ? 32 : 16);
}

export interface Filled {
  readonly spanIds: readonly string[];
  readonly traceIds: readonly string[];
}

/**
 * Fills a project through Phoenix's own API with traces of four spans each: a chain over a retriever, a model and an
 * embedding, with everything that Phoenix's flat form loses. Every fourth trace has annotations on its spans, documents,
 * trace and session, and every eighth has notes.
 */
export async function fillTraces(
  phoenix: PhoenixClient,
  project: string,
  options: {
    readonly tenant: string;
    readonly incarnation: string;
    readonly seed: string;
    readonly traces: number;
  },
): Promise<Filled> {
  const traces = Array.from({ length: options.traces }, (_, at) => traceOf({ ...options, at }));
  for (let at = 0; at < traces.length; at += 250) {
    const body = { data: traces.slice(at, at + 250).flat() };
    await posted(phoenix, `/v1/projects/${project}/spans`, body, 202);
  }
  await drainSpans(phoenix, { timeoutMs: 300_000 });
  const traceIds = traces.map(([root]) => root!.context.trace_id);
  const annotated = traces.filter((_, at) => at % 4 === 0);
  await annotate(phoenix, annotated);
  await note(
    phoenix,
    annotated.filter((_, at) => at % 2 === 0),
  );
  return { traceIds, spanIds: traces.flat().map(({ context }) => context.span_id) };
}

function traceOf({
  tenant,
  incarnation,
  seed,
  at,
}: {
  tenant: string;
  incarnation: string;
  seed: string;
  at: number;
}) {
  const trace_id = idOf('trace', `${seed}/${at}`);
  const spanId = (name: string) => idOf('span', `${seed}/${at}/${name}`);
  const start = Date.UTC(2026, 10, 20, 10) + at * 1000;
  const span = (
    name: string,
    span_kind: string,
    attributes: Record<string, unknown>,
    events: unknown[] = [],
  ) => ({
    name,
    context: { trace_id, span_id: spanId(name) },
    span_kind,
    parent_id: name === 'search' ? null : spanId('search'),
    start_time: new Date(start).toISOString().replace('Z', '123Z'),
    end_time: new Date(start + 250).toISOString(),
    status_code: at % 10 === 3 ? 'ERROR' : 'OK',
    status_message: at % 10 === 3 ? 'no answer within 2 s' : '',
    attributes: { tenant_id: tenant, 'tenant.id': tenant, incarnation, ...attributes },
    events,
  });
  const session = at % 5 === 4 ? {} : { 'session.id': `${tenant}:${seed}/${at % 7}` };
  return [
    span(
      'search',
      'CHAIN',
      {
        'input.value': `Wo läuft der Hund ${at}? 🐕`,
        top_k: 10,
        top_score: JSON.rawJSON('12.0'),
        generation: JSON.rawJSON('12345678901234567890'),
        metadata: { list: [1, { q: 2 }], none: null, empty: {}, tenant_id: tenant },
        'openinference.project.name': `${tenant}_project`,
        ...session,
      },
      [
        {
          name: 'exception',
          timestamp: '2026-11-20T10:00:00.200001Z',
          attributes: { 'exception.message': 'slow', n: 2 },
        },
      ],
    ),
    span('retrieve', 'RETRIEVER', {
      retrieval: { documents: [{ document: { id: 'a', score: 0.5 } }, { document: { id: 'b' } }] },
    }),
    span('answer', 'LLM', {
      'llm.model_name': 'small',
      'llm.token_count.prompt': 12 + at,
      'llm.token_count.completion': 3,
    }),
    span('embed', 'EMBEDDING', {
      embedding: {
        embeddings: [{ embedding: { text: 'dog', vector: [0.25, JSON.rawJSON('1.0'), -3.5e-7] } }],
      },
    }),
  ];
}

type Traces = readonly (readonly {
  readonly context: { readonly trace_id: string; readonly span_id: string };
}[])[];

async function annotate(phoenix: PhoenixClient, traces: Traces): Promise<void> {
  const evaluated = (score: number, identifier: string) => ({
    name: 'correctness',
    annotator_kind: 'LLM',
    identifier,
    result: { label: score > 0.5 ? 'good' : 'bad', score, explanation: 'ünïcode' },
    metadata: { judge: { version: 2, big: JSON.rawJSON('9007199254740993') } },
  });
  const human = {
    name: 'rating',
    annotator_kind: 'HUMAN',
    result: { label: null, score: null, explanation: 'ok' },
  };
  const onSpans = traces.flatMap(([search, retrieve]) => [
    { span_id: search!.context.span_id, ...evaluated(0.9, 'eval-15m') },
    { span_id: search!.context.span_id, ...evaluated(0.2, '') },
    { span_id: retrieve!.context.span_id, ...human },
  ]);
  const onDocuments = traces.map(([, retrieve]) => ({
    span_id: retrieve!.context.span_id,
    document_position: 1,
    name: 'relevance',
    annotator_kind: 'LLM',
    result: { label: 'relevant', score: 1 },
  }));
  const onTraces = traces.map(([search]) => ({
    trace_id: search!.context.trace_id,
    ...evaluated(1, 'trace'),
  }));
  await posted(phoenix, '/v1/span_annotations?sync=true', { data: onSpans }, 200);
  await posted(phoenix, '/v1/document_annotations?sync=true', { data: onDocuments }, 200);
  await posted(phoenix, '/v1/trace_annotations?sync=true', { data: onTraces }, 200);
  await annotateSessions(phoenix, traces, human);
}

async function annotateSessions(phoenix: PhoenixClient, traces: Traces, human: object): Promise<void> {
  const sessions = new Set<string>();
  for (const [search] of traces) {
    const query = `query S($id: String!) { getTraceByOtelId(traceId: $id) { session { sessionId } } }`;
    const answer = await posted(
      phoenix,
      '/graphql',
      { query, variables: { id: search!.context.trace_id } },
      200,
    );
    const id = /"sessionId":"([^"]+)"/.exec(answer)?.[1];
    if (id !== undefined) sessions.add(id);
    if (sessions.size === 3) break;
  }
  const data = [...sessions].map((session_id) => ({ session_id, ...human }));
  await posted(phoenix, '/v1/session_annotations?sync=true', { data }, 200);
  for (const session_id of sessions)
    await posted(
      phoenix,
      '/v1/session_notes',
      { data: { session_id, note: 'a good session', identifier: 's' } },
      200,
    );
}

async function note(phoenix: PhoenixClient, traces: Traces): Promise<void> {
  for (const [search] of traces) {
    const { span_id, trace_id } = search!.context;
    await posted(phoenix, '/v1/span_notes', { data: { span_id, note: 'look at this\nagain' } }, 200);
    await posted(phoenix, '/v1/trace_notes', { data: { trace_id, note: 'slow', identifier: 'oncall' } }, 200);
  }
}

async function posted(phoenix: PhoenixClient, path: string, body: unknown, status: number): Promise<string> {
  const answer = await phoenix.send('POST', path, body);
  if (answer.status !== status) throw new Error(`${path} answered ${answer.status}: ${answer.body}`);
  return answer.body;
}

/** Lines without what Phoenix writes down itself, sorted. */
export function restorable(lines: readonly Buffer[]): string[] {
  const content = (line: Buffer) =>
    Object.entries(parseExact(line.toString()) as object).filter(([name]) => name !== 'recorded');
  return lines.map((line) => exactLine(Object.fromEntries(content(line))).toString()).toSorted();
}
