import { z } from 'zod';
import { OpsError } from '../../domain/errors.js';
import { exactLine, isRecord, parseExact } from './exactJson.js';

/** A plain object whose members are not looked into: zod's own record would leave out a `__proto__`. */
const members = z.custom<Readonly<Record<string, unknown>>>(isRecord, 'an object');
const number = z.union([z.number(), z.custom<RawJson>((value) => JSON.isRawJSON(value), 'a number')]);
const id = z.string().min(1).max(4096);

/** What Phoenix's `POST /v1/projects/{project}/spans` takes; times are ISO 8601 to the microsecond. */
const span = z.strictObject({
  name: z.string(),
  context: z.strictObject({ trace_id: id, span_id: id }),
  /** OpenInference's, such as `CHAIN`: the attribute `openinference.span.kind`, which is not among the others. */
  span_kind: z.string(),
  parent_id: z.string().nullable(),
  start_time: z.string(),
  end_time: z.string(),
  status_code: z.enum(['OK', 'ERROR', 'UNSET']),
  status_message: z.string(),
  /** Nested, as Phoenix keeps them: its flat form loses items of lists, `null` and `{}`. */
  attributes: members,
  events: z.array(z.strictObject({ name: z.string(), timestamp: z.string(), attributes: members })),
});

/** What Phoenix wrote down itself; a restore writes its own. */
const recorded = z.strictObject({ created_at: z.string(), updated_at: z.string(), source: z.string() });

const onSpan = { target: z.literal('span'), span_id: id };
const onTrace = { target: z.literal('trace'), trace_id: id };
const onSession = { target: z.literal('session'), session_id: id };
/** One of the documents that a retriever's span found. */
const onDocument = {
  target: z.literal('document'),
  span_id: id,
  document_position: z.int().nonnegative(),
};

const annotated = {
  name: z.string(),
  annotator_kind: z.enum(['LLM', 'CODE', 'HUMAN']),
  /** With the target and the name, what it is replaced by: empty is one too. */
  identifier: z.string(),
  result: z.strictObject({
    label: z.string().nullable(),
    score: number.nullable(),
    explanation: z.string().nullable(),
  }),
  metadata: members,
  recorded,
};
const annotation = z.discriminatedUnion('target', [
  z.strictObject({ ...onSpan, ...annotated }),
  z.strictObject({ ...onTrace, ...annotated }),
  z.strictObject({ ...onSession, ...annotated }),
  z.strictObject({ ...onDocument, ...annotated }),
]);

const noted = { identifier: z.string(), note: z.string().min(1), recorded };
const note = z.discriminatedUnion('target', [
  z.strictObject({ ...onSpan, ...noted }),
  z.strictObject({ ...onTrace, ...noted }),
  z.strictObject({ ...onSession, ...noted }),
]);

export type SpanLine = Readonly<z.infer<typeof span>>;
export type AnnotationLine = Readonly<z.infer<typeof annotation>>;
export type NoteLine = Readonly<z.infer<typeof note>>;
export type TraceTarget = AnnotationLine['target'];

export const TRACE_KINDS = ['spans', 'annotations', 'notes'] as const;
export type TraceKind = (typeof TRACE_KINDS)[number];
export interface TraceLines {
  readonly spans: SpanLine;
  readonly annotations: AnnotationLine;
  readonly notes: NoteLine;
}

const shapes: { readonly [K in TraceKind]: z.ZodType<TraceLines[K]> } = {
  spans: span,
  annotations: annotation,
  notes: note,
};

/** @throws OpsError `VerificationFailed` when it is no line of this kind, without saying what it holds */
export function parseTraceLine<K extends TraceKind>(kind: K, line: Uint8Array): TraceLines[K] {
  let json: unknown;
  try {
    json = parseExact(new TextDecoder('utf-8', { fatal: true }).decode(line));
  } catch {
    throw notALine(kind, 'not JSON');
  }
  const parsed = shapes[kind].safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw notALine(kind, `${issue?.path.join('.') || 'the line'}: ${issue?.code ?? 'another shape'}`);
}

/** @throws OpsError `InvalidInput` for what JSON cannot say, such as half of a surrogate pair */
export function traceLine<K extends TraceKind>(kind: K, content: TraceLines[K]): Buffer {
  return exactLine(shapes[kind].parse(content));
}

/**
 * The line without what a restore cannot bring back. Two of them are equal bytes exactly when Phoenix would give the same
 * for both, but for the times and the source of its own rows.
 */
export function restorableLine<K extends TraceKind>(content: TraceLines[K]): Buffer {
  return exactLine(Object.fromEntries(Object.entries(content).filter(([name]) => name !== 'recorded')));
}

function notALine(kind: TraceKind, why: string): OpsError {
  return new OpsError(
    'VerificationFailed',
    `a line of the backup's ${kind} is damaged or of another version: ${why}`,
    'see what else is with: cvops backup verify',
  );
}
