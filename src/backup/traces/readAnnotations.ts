import { z } from 'zod';
import { type PhoenixClient, checkProjectName } from '../../phoenix/client.js';
import type { AnnotationLine, NoteLine } from './lines.js';
import { type SpanBound, spanNodePages, utc } from './pages.js';
import { type TracesCall, retrying } from './retrying.js';

/** Notes are annotations of a name that nothing else may have. */
const NOTE = 'note';

const ROW = `name annotatorKind label score explanation metadata identifier source createdAt updatedAt`;
const anything = z.custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null);
const row = z.object({
  name: z.string(),
  annotatorKind: z.enum(['LLM', 'CODE', 'HUMAN']),
  label: z.string().nullable(),
  score: z.custom<number | RawJson | null>(
    (value) => value === null || typeof value === 'number' || JSON.isRawJSON(value),
  ),
  explanation: z.string().nullable(),
  metadata: anything,
  identifier: z.string(),
  source: z.string(),
  createdAt: z.string(),
  updatedAt: z.string(),
});
type Row = z.infer<typeof row>;
const node = z.object({
  spanAnnotations: z.array(row).optional(),
  documentEvaluations: z.array(row.extend({ documentPosition: z.number().int() })).optional(),
  trace: z
    .object({
      traceId: z.string(),
      traceAnnotations: z.array(row).optional(),
      session: z
        .object({
          sessionId: z.string(),
          project: z.object({ name: z.string() }),
          sessionAnnotations: z.array(row),
        })
        .nullish(),
    })
    .optional(),
});

const COUNTS = `query Counts($name: String!) { getProjectByName(name: $name) {
  span: spanAnnotationNameCounts { name count }
  trace: traceAnnotationNameCounts { name count }
  session: sessionAnnotationNameCounts { name count }
} }`;
const nameCounts = z.array(z.object({ name: z.string(), count: z.number().int() }));
const countsShape = z.object({
  getProjectByName: z.object({ span: nameCounts, trace: nameCounts, session: nameCounts }).nullable(),
});
const TARGETS = ['span', 'trace', 'session'] as const;

/** How many annotations other than notes, and how many notes, each target has; of documents Phoenix tells no number. */
export type AnnotationCounts = Readonly<
  Record<(typeof TARGETS)[number], { readonly annotations: number; readonly notes: number }>
>;

/** As the database counts them. @returns undefined when there is no such project */
export async function countAnnotations(
  phoenix: PhoenixClient,
  project: string,
  call: TracesCall,
): Promise<AnnotationCounts | undefined> {
  const variables = { name: checkProjectName(project) };
  const { getProjectByName: found } = await retrying(call, () =>
    phoenix.graphql(COUNTS, variables, countsShape),
  );
  if (found === null) return undefined;
  const counts = TARGETS.map((target) => {
    const sum = (ofNotes: boolean) =>
      found[target]
        .filter(({ name }) => (name === NOTE) === ofNotes)
        .reduce((total, { count }) => total + count, 0);
    return [target, { annotations: sum(false), notes: sum(true) }];
  });
  return Object.fromEntries(counts) as AnnotationCounts;
}

/** Annotations of spans, their documents, traces and sessions, by span in the order of storing. */
export async function* readAnnotationLines(
  phoenix: PhoenixClient,
  project: string,
  bound: SpanBound,
  counts: AnnotationCounts,
  call: TracesCall,
): AsyncGenerator<AnnotationLine> {
  const wanted = {
    span: counts.span.annotations > 0,
    document: true,
    trace: counts.trace.annotations > 0,
    session: counts.session.annotations > 0,
  };
  for await (const { on, row } of readRows(phoenix, project, bound, wanted, call)) {
    if (row.name === NOTE && on.target !== 'document') continue;
    yield {
      ...on,
      name: row.name,
      annotator_kind: row.annotatorKind,
      identifier: row.identifier,
      result: { label: row.label, score: row.score, explanation: row.explanation },
      metadata: row.metadata,
      recorded: recorded(row),
    };
  }
}

/** Notes on spans, traces and sessions, by span in the order of storing. */
export async function* readNoteLines(
  phoenix: PhoenixClient,
  project: string,
  bound: SpanBound,
  counts: AnnotationCounts,
  call: TracesCall,
): AsyncGenerator<NoteLine> {
  const wanted = {
    span: counts.span.notes > 0,
    document: false,
    trace: counts.trace.notes > 0,
    session: counts.session.notes > 0,
  };
  if (!Object.values(wanted).includes(true)) return;
  for await (const { on, row } of readRows(phoenix, project, bound, wanted, call)) {
    if (row.name !== NOTE || on.target === 'document') continue;
    yield { ...on, identifier: row.identifier, note: row.explanation ?? '', recorded: recorded(row) };
  }
}

type Target =
  | { readonly target: 'span'; readonly span_id: string }
  | { readonly target: 'document'; readonly span_id: string; readonly document_position: number }
  | { readonly target: 'trace'; readonly trace_id: string }
  | { readonly target: 'session'; readonly session_id: string };
type Wanted = Readonly<Record<Target['target'], boolean>>;

/** A trace comes with each of its spans, and a session with each of its traces: the first time counts. */
async function* readRows(
  phoenix: PhoenixClient,
  project: string,
  bound: SpanBound,
  wanted: Wanted,
  call: TracesCall,
): AsyncGenerator<{ readonly on: Target; readonly row: Row }> {
  const seen = { trace: new Set<string>(), session: new Set<string>() };
  for await (const page of spanNodePages(phoenix, project, fields(wanted), node, bound, call)) {
    for (const { spanId, spanAnnotations = [], documentEvaluations = [], trace } of page) {
      for (const row of spanAnnotations) yield { on: { target: 'span', span_id: spanId }, row };
      for (const row of documentEvaluations) {
        const on = { target: 'document', span_id: spanId, document_position: row.documentPosition } as const;
        yield { on, row };
      }
      const { traceId, traceAnnotations = [], session } = trace ?? { traceId: '' };
      if (traceAnnotations.length > 0 && !seen.trace.has(traceId)) {
        seen.trace.add(traceId);
        for (const row of traceAnnotations) yield { on: { target: 'trace', trace_id: traceId }, row };
      }
      // A session that another tenant's spans made is that tenant's, even when a trace of this one is in it.
      if (!session || session.project.name !== project || session.sessionAnnotations.length === 0) continue;
      if (!seen.session.has(session.sessionId)) {
        seen.session.add(session.sessionId);
        for (const row of session.sessionAnnotations)
          yield { on: { target: 'session', session_id: session.sessionId }, row };
      }
    }
  }
}

/** Only what there is: each of these costs Phoenix a query a page. */
function fields(wanted: Wanted): string {
  const ofTrace = [
    wanted.trace ? `traceAnnotations { ${ROW} }` : '',
    wanted.session ? `session { sessionId project { name } sessionAnnotations { ${ROW} } }` : '',
  ].join(' ');
  return [
    wanted.span ? `spanAnnotations { ${ROW} }` : '',
    wanted.document ? `documentEvaluations { documentPosition ${ROW} }` : '',
    wanted.trace || wanted.session ? `trace { traceId ${ofTrace} }` : '',
  ].join(' ');
}

function recorded({ createdAt, updatedAt, source }: Row) {
  return { created_at: utc(createdAt), updated_at: utc(updatedAt), source };
}
