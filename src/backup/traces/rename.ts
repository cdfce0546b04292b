import { createHmac } from 'node:crypto';
import type { ClonePlan } from '../../domain/clone.js';
import { phoenixProjectName } from '../../domain/naming.js';
import { isRecord } from './exactJson.js';
import type { AnnotationLine, NoteLine, SpanLine, TraceKind, TraceLines } from './lines.js';

/** Attributes that hold one of a tenant's own names, as a path; what each becomes, or undefined to leave it. */
const KNOWN: readonly {
  readonly path: readonly string[];
  readonly rename: (value: unknown, plan: ClonePlan) => string | undefined;
}[] = [
  { path: ['tenant_id'], rename: (value, { from, to }) => (value === from.tenant ? to.tenant : undefined) },
  {
    path: ['tenant', 'id'],
    rename: (value, { from, to }) => (value === from.tenant ? to.tenant : undefined),
  },
  {
    path: ['incarnation'],
    rename: (value, { from, to }) => (value === from.incarnation ? to.incarnation : undefined),
  },
  {
    path: ['session', 'id'],
    rename: (value, plan) => (value === null || value === '' ? undefined : clonedSession(value, plan)),
  },
  {
    path: ['openinference', 'project', 'name'],
    rename: (value, { from, to }) =>
      value === phoenixProjectName(from.tenant) ? phoenixProjectName(to.tenant) : undefined,
  },
];

/**
 * The line as the clone's: other trace and span ids, because those are global on a Phoenix server, and the tenant's own
 * names in the attributes that are known to hold one. Nothing else is touched. The same plan gives the same line always,
 * and plans of other incarnations give other ids.
 */
export function renameLine<K extends TraceKind>(kind: K, line: TraceLines[K], plan: ClonePlan): TraceLines[K];
export function renameLine(
  kind: TraceKind,
  line: SpanLine | AnnotationLine | NoteLine,
  plan: ClonePlan,
): SpanLine | AnnotationLine | NoteLine {
  return kind === 'spans'
    ? renameSpan(line as SpanLine, plan)
    : renameTarget(line as AnnotationLine | NoteLine, plan);
}

function renameSpan(span: SpanLine, plan: ClonePlan): SpanLine {
  return {
    ...span,
    context: {
      trace_id: clonedId('trace', span.context.trace_id, plan),
      span_id: clonedId('span', span.context.span_id, plan),
    },
    parent_id: span.parent_id === null ? null : clonedId('span', span.parent_id, plan),
    attributes: KNOWN.reduce(
      (attributes, { path, rename }) => replaced(attributes, path, (value) => rename(value, plan)),
      span.attributes,
    ),
  };
}

function renameTarget<T extends AnnotationLine | NoteLine>(line: T, plan: ClonePlan): T {
  switch (line.target) {
    case 'span':
    case 'document':
      return { ...line, span_id: clonedId('span', line.span_id, plan) };
    case 'trace':
      return { ...line, trace_id: clonedId('trace', line.trace_id, plan) };
    case 'session':
      return { ...line, session_id: clonedSession(line.session_id, plan) };
  }
}

const ID_BYTES = { trace: 16, span: 8 } as const;

/** In lower-case hex, of OpenTelemetry's length; never all zeros, which would be no id. */
export function clonedId(kind: keyof typeof ID_BYTES, id: string, { to }: ClonePlan): string {
  const hex = createHmac('sha256', to.incarnation)
    .update(`${kind}:${id}`)
    .digest('hex')
    .slice(0, 2 * ID_BYTES[kind]);
  return /^0+$/.test(hex) ? `${hex.slice(1)}1` : hex;
}

/**
 * Session ids are global in Phoenix, and deleting a session's project deletes all traces in it: a clone's traces must
 * never be in a session of the original. So one without the tenant's prefix gets one.
 */
export function clonedSession(session: unknown, { from, to }: ClonePlan): string {
  const text = (typeof session === 'string' ? session : JSON.stringify(session)).trim();
  const own = `${from.tenant}:`;
  return `${to.tenant}:${text.startsWith(own) ? text.slice(own.length) : text}`;
}

/** A dotted key is one path too: Phoenix has it beside a plain value (`tenant: "a"` and `tenant.id: "b"`). */
function replaced(
  object: Readonly<Record<string, unknown>>,
  path: readonly string[],
  rename: (value: unknown) => string | undefined,
): Readonly<Record<string, unknown>> {
  let changed = object;
  for (let length = 1; length <= path.length; length++) {
    const key = path.slice(0, length).join('.');
    if (!Object.hasOwn(object, key)) continue;
    const value = object[key];
    const rest = path.slice(length);
    const now =
      rest.length === 0 ? (rename(value) ?? value) : isRecord(value) ? replaced(value, rest, rename) : value;
    if (now !== value) changed = { ...changed, [key]: now };
  }
  return changed;
}
