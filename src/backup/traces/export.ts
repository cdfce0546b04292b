import { CANARY_SPAN, NO_CANARY_SPAN } from '../../domain/canaries.js';
import { OpsError } from '../../domain/errors.js';
import type { PhoenixClient } from '../../phoenix/client.js';
import { findProject } from '../../phoenix/projects.js';
import { countSpans, spanPage } from '../../phoenix/storedSpans.js';
import { type TraceKind, type TraceLines, traceLine } from './lines.js';
import type { SpanBound } from './pages.js';
import {
  type AnnotationCounts,
  countAnnotations,
  readAnnotationLines,
  readNoteLines,
} from './readAnnotations.js';
import { readSpanLines } from './readSpans.js';
import { type TracesCall, retrying } from './retrying.js';

/** A project as it was when the export began, in lines of JSON without their newlines. Each stream can be read again. */
export interface TracesExport {
  /** Of the project, to give to its restored one. */
  readonly description: string;
  /** Spans there were when it began; more may have come until the last one was looked for. */
  readonly spans: number;
  /**
   * Every line of a kind, in the order of storing. At its end what was read is compared with what the database counts.
   *
   * @throws OpsError `Unavailable` when it is less than there was, because it was deleted meanwhile: never ends short
   */
  lines(kind: TraceKind): AsyncGenerator<Buffer>;
}

/** @returns null when there is no such project */
export async function exportTraces(
  phoenix: PhoenixClient,
  project: string,
  call: TracesCall,
): Promise<TracesExport | null> {
  const found = await retrying(call, () => findProject(phoenix, project));
  if (found === undefined) return null;
  const spans = await countAllSpans(phoenix, project, call);
  const annotations = await countAnnotations(phoenix, project, call);
  // Looked for after the counting: so everything that was counted is within the bound.
  const last = await retrying(call, () => spanPage(phoenix, project, { limit: LAST_SPANS, order: 'desc' }));
  if (spans === undefined || annotations === undefined || last === undefined) return null;
  const most = (await countAllSpans(phoenix, project, call)) ?? 0;
  const lastSpan = last.spans.find(({ name }) => name !== CANARY_SPAN);
  const bound = lastSpan && { last: lastSpan.context.span_id };
  const source: Source = { phoenix, project, bound, spans: { least: spans, most }, annotations, call };
  const readers: { readonly [K in TraceKind]: () => AsyncGenerator<TraceLines[K]> } = {
    spans: () => spansOf(source),
    annotations: () => annotationsOf(source),
    notes: () => notesOf(source),
  };
  return {
    description: found.description ?? '',
    spans,
    lines: (kind) => asLines(kind, readers[kind]()),
  };
}

interface Source {
  readonly phoenix: PhoenixClient;
  readonly project: string;
  /** Undefined when there is no span, and so nothing else. */
  readonly bound: SpanBound | undefined;
  readonly spans: Range;
  readonly annotations: AnnotationCounts;
  readonly call: TracesCall;
}

interface Range {
  readonly least: number;
  readonly most: number;
}

async function* asLines<K extends TraceKind>(
  kind: K,
  contents: AsyncIterable<TraceLines[K]>,
): AsyncGenerator<Buffer> {
  for await (const content of contents) yield traceLine(kind, content);
}

async function* spansOf({ phoenix, project, bound, spans, call }: Source) {
  let read = 0;
  if (bound) {
    for await (const line of readSpanLines(phoenix, project, bound, call)) {
      read++;
      yield line;
    }
  }
  requireWithin(project, 'spans', read, spans);
}

async function* annotationsOf(source: Source) {
  const { phoenix, project, bound, annotations: before, call } = source;
  const read = { span: 0, trace: 0, session: 0, document: 0 };
  if (bound) {
    for await (const line of readAnnotationLines(phoenix, project, bound, before, call)) {
      read[line.target]++;
      yield line;
    }
  }
  await requireCounted(source, read, 'annotations');
}

async function* notesOf(source: Source) {
  const { phoenix, project, bound, annotations: before, call } = source;
  const read = { span: 0, trace: 0, session: 0 };
  if (bound) {
    for await (const line of readNoteLines(phoenix, project, bound, before, call)) {
      read[line.target]++;
      yield line;
    }
  }
  await requireCounted(source, read, 'notes');
}

/** Of sessions no number is compared: Phoenix also counts what is on sessions that have no trace left. */
async function requireCounted(
  { phoenix, project, annotations: before, call }: Source,
  read: { readonly span: number; readonly trace: number },
  what: 'annotations' | 'notes',
): Promise<void> {
  const after = await countAnnotations(phoenix, project, call);
  for (const target of ['span', 'trace'] as const) {
    const range = { least: before[target][what], most: after?.[target][what] ?? 0 };
    requireWithin(project, `${what} of ${target}s`, read[target], range);
  }
}

/** Less: some were deleted. More than there are now: also that. Either way it is no state that the project was in. */
function requireWithin(project: string, what: string, read: number, { least, most }: Range): void {
  if (read >= least && read <= most) return;
  throw new OpsError(
    'Unavailable',
    `the ${what} of the Phoenix project ${project} changed while they were read: ${read} came, and there were ${least}, then ${most}`,
    'something deletes traces, such as a retention policy at the full hour; do it again in a minute',
  );
}

/** As the database counts them, without canaries. @returns undefined when there is no such project */
export function countAllSpans(
  phoenix: PhoenixClient,
  project: string,
  call: TracesCall,
): Promise<number | undefined> {
  // Never the same end twice: Phoenix may have kept the answer for a range that it was asked for before.
  const to = new Date(Date.UTC(9000, 0) + Math.floor(Math.random() * 1e12));
  return retrying(call, () => countSpans(phoenix, project, { from: BEGINNING, to }, NO_CANARY_SPAN));
}

/** A project has one canary at the most; two more may be on their way in and out. */
const LAST_SPANS = 5;

/** The year 1: before any span, and what Phoenix's database still can say. */
export const BEGINNING = new Date('0001-01-01T00:00:00Z');
