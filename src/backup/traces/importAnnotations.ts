import { createHash } from 'node:crypto';
import { z } from 'zod';
import { OpsError } from '../../domain/errors.js';
import { type PhoenixClient, read, requireStatus, unexpected } from '../../phoenix/client.js';
import { type Sized, batches } from './batches.js';
import { type AnnotationLine, type NoteLine, type TraceTarget, restorableLine } from './lines.js';
import { presentSpans, requireOwn } from './owners.js';
import { type TracesCall, retrying } from './retrying.js';

const BATCH = { items: 200, bytes: 1024 * 1024 };
/** Each note is a call of its own. */
const NOTES_AT_ONCE = 8;
const PATHS = {
  span: '/v1/span_annotations?sync=true',
  document: '/v1/document_annotations?sync=true',
  trace: '/v1/trace_annotations?sync=true',
  session: '/v1/session_annotations?sync=true',
} as const satisfies Record<TraceTarget, string>;
const NOTE_PATHS = {
  span: '/v1/span_notes',
  trace: '/v1/trace_notes',
  session: '/v1/session_notes',
} as const;

const stored = z.object({ data: z.array(z.object({ id: z.string() })) });
const storedNote = z.object({ data: z.object({ id: z.string() }) });

/**
 * Puts annotations where they were. Phoenix answers when they are in its database, and one of the same target, name and
 * identifier takes the former's place.
 *
 * @returns how many
 * @throws OpsError `Conflict` when a target is another project's, `VerificationFailed` when it is nowhere
 */
export async function importAnnotations(
  phoenix: PhoenixClient,
  project: string,
  annotations: AsyncIterable<Sized<AnnotationLine>>,
  call: TracesCall,
): Promise<number> {
  let count = 0;
  for await (const batch of batches(annotations, BATCH)) {
    await requireTargets(phoenix, project, batch, call);
    for (const [target, path] of Object.entries(PATHS)) {
      const rows = batch.filter((line) => line.target === target);
      if (rows.length > 0) await postAnnotations(phoenix, path, rows, call);
    }
    count += batch.length;
    call.heartbeat();
  }
  return count;
}

async function postAnnotations(
  phoenix: PhoenixClient,
  path: string,
  rows: readonly AnnotationLine[],
  call: TracesCall,
): Promise<void> {
  const data = rows.map(withoutOwn);
  const answer = await post(phoenix, path, { data }, call);
  const { data: ids } = read(answer, stored, `POST ${path}`);
  if (ids.length !== rows.length)
    throw new OpsError('Unavailable', `Phoenix stored ${ids.length} of ${rows.length} annotations`);
}

/**
 * Notes keep their identifier, by which a second one takes the first's place. One of an old Phoenix may have none, and
 * would be added anew each time: it gets one made of what it says.
 *
 * @returns how many
 * @throws as {@link importAnnotations}
 */
export async function importNotes(
  phoenix: PhoenixClient,
  project: string,
  notes: AsyncIterable<Sized<NoteLine>>,
  call: TracesCall,
): Promise<number> {
  let count = 0;
  for await (const batch of batches(notes, BATCH)) {
    await requireTargets(phoenix, project, batch, call);
    const waiting = batch.values();
    const one = async () => {
      for (const line of waiting) await postNote(phoenix, line, call);
    };
    await Promise.all(Array.from({ length: NOTES_AT_ONCE }, one));
    count += batch.length;
    call.heartbeat();
  }
  return count;
}

async function postNote(phoenix: PhoenixClient, line: NoteLine, call: TracesCall): Promise<void> {
  const path = NOTE_PATHS[line.target];
  read(await post(phoenix, path, { data: withoutOwn(line) }, call), storedNote, `POST ${path}`);
}

/** As Phoenix takes it. */
function withoutOwn(line: AnnotationLine | NoteLine): object {
  return Object.fromEntries(
    Object.entries(line).filter(([name]) => name !== 'target' && name !== 'recorded'),
  );
}

/** As it will be stored. */
export function identified(line: NoteLine): NoteLine {
  if (line.identifier !== '') return line;
  const hash = createHash('sha256').update(restorableLine(line)).digest('hex').slice(0, 32);
  return { ...line, identifier: `cvops-note:${hash}` };
}

async function post(phoenix: PhoenixClient, path: string, body: unknown, call: TracesCall) {
  const answer = await retrying(call, async () => {
    const answer = await phoenix.send('POST', path, body);
    if (answer.status === 429 || answer.status >= 500) throw unexpected(answer);
    return answer;
  });
  if (answer.status === 400 || answer.status === 422)
    throw new OpsError('Rejected', `Phoenix refuses what the backup holds: ${unexpected(answer).message}`);
  requireStatus(answer, 200);
  return answer;
}

/** Ids are global: a line that names another project's span would annotate that. */
async function requireTargets(
  phoenix: PhoenixClient,
  project: string,
  lines: readonly (AnnotationLine | NoteLine)[],
  call: TracesCall,
): Promise<void> {
  const spans = lines.flatMap((line) => ('span_id' in line ? [line.span_id] : []));
  const traces = lines.flatMap((line) => ('trace_id' in line ? [line.trace_id] : []));
  const sessions = lines.flatMap((line) => ('session_id' in line ? [line.session_id] : []));
  const wanted = [...new Set(spans)];
  const there = wanted.length > 0 ? await presentSpans(phoenix, project, wanted, call) : new Set();
  requireAll('span', wanted, there);
  for (const [kind, ids] of [
    ['trace', new Set(traces)],
    ['session', new Set(sessions)],
  ] as const)
    requireAll(kind, [...ids], await requireOwn(phoenix, project, kind, [...ids], call));
}

function requireAll(kind: string, wanted: readonly string[], there: ReadonlySet<unknown>): void {
  const missing = wanted.find((id) => !there.has(id));
  if (missing === undefined) return;
  throw new OpsError(
    'VerificationFailed',
    `the backup annotates ${kind} ${missing}, which is not among its spans`,
    'see what else is wrong with: cvops backup verify',
  );
}
