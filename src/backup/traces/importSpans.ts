import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { OpsError } from '../../domain/errors.js';
import { type PhoenixClient, checkProjectName, unexpected } from '../../phoenix/client.js';
import { type Sized, batches } from './batches.js';
import { isRecord } from './exactJson.js';
import type { SpanLine } from './lines.js';
import { foreign, presentSpans, requireOwn } from './owners.js';
import { type TracesCall, retrying } from './retrying.js';

const BATCH = { items: 500, bytes: 4 * 1024 * 1024 };
/** Batches that are sent and not yet found stored: enough that Phoenix, the slower by far, never waits. */
const IN_FLIGHT = 4;
const FIRST_LOOK_MS = 200;
const MAX_LOOK_MS = 2_000;
/** Without one more span stored for so long, what is missing is sent again, each time after twice as long, up to a minute. */
const FIRST_STALL_MS = 5_000;
const MAX_STALL_MS = 60_000;
const MAX_SENDS = 8;

const refusal = z.object({
  duplicate_spans: z.array(z.object({ span_id: z.string() })),
  invalid_spans: z.array(z.object({ span_id: z.string() })),
});

/**
 * Sends spans and waits until the project holds every one. Phoenix accepts into memory and stores later, and what a
 * killed one had accepted is gone: so each batch is looked for, and what does not come is sent again.
 *
 * @returns how many spans there were, all of them found stored
 * @throws OpsError `Conflict` when an id is another project's, `Rejected` for what Phoenix refuses for good,
 *   `Unavailable` saying how many are missing
 */
export async function importSpans(
  phoenix: PhoenixClient,
  project: string,
  spans: AsyncIterable<Sized<SpanLine>>,
  call: TracesCall,
): Promise<number> {
  const inFlight: SpanLine[][] = [];
  let stored = 0;
  const settleOldest = async () => {
    stored += await settle(phoenix, project, inFlight.shift()!, call);
  };
  for await (const batch of batches(spans, BATCH)) {
    await send(phoenix, project, await missingOf(phoenix, project, batch, call), call);
    inFlight.push(batch);
    if (inFlight.length > IN_FLIGHT) await settleOldest();
  }
  while (inFlight.length > 0) await settleOldest();
  return stored;
}

async function settle(
  phoenix: PhoenixClient,
  project: string,
  batch: readonly SpanLine[],
  call: TracesCall,
): Promise<number> {
  let missing = batch;
  let sends = 1;
  let stallMs = FIRST_STALL_MS;
  let progressAt = Date.now();
  for (let look = FIRST_LOOK_MS; ; look = Math.min(MAX_LOOK_MS, look * 1.5)) {
    const still = await missingOf(phoenix, project, missing, call);
    call.heartbeat();
    if (still.length === 0) return batch.length;
    if (still.length < missing.length) progressAt = Date.now();
    missing = still;
    if (Date.now() - progressAt > stallMs) {
      if (sends === MAX_SENDS) throw lost(project, missing, sends);
      await send(phoenix, project, missing, call);
      sends++;
      stallMs = Math.min(MAX_STALL_MS, stallMs * 2);
      progressAt = Date.now();
    }
    await delay(look, undefined, { signal: call.signal });
  }
}

async function missingOf(
  phoenix: PhoenixClient,
  project: string,
  spans: readonly SpanLine[],
  call: TracesCall,
): Promise<SpanLine[]> {
  const present = await presentSpans(
    phoenix,
    project,
    spans.map(({ context }) => context.span_id),
    call,
  );
  return spans.filter(({ context }) => !present.has(context.span_id));
}

async function send(
  phoenix: PhoenixClient,
  project: string,
  spans: readonly SpanLine[],
  call: TracesCall,
): Promise<void> {
  const ids = [...new Set(spans.map(({ context }) => context.trace_id))];
  await requireOwn(phoenix, project, 'trace', ids, call);
  const sessions = spans.flatMap(({ attributes }) => sessionOf(attributes) ?? []);
  await requireOwn(phoenix, project, 'session', [...new Set(sessions)], call);
  for (let rest = spans; rest.length > 0;) {
    const path = `/v1/projects/${checkProjectName(project)}/spans`;
    const body = { data: rest.map(asSent) };
    const answer = await retrying(call, async () => {
      const answer = await phoenix.send('POST', path, body);
      // A full queue answers 503, and takes the same again later.
      if (answer.status === 429 || answer.status >= 500) throw unexpected(answer);
      return answer;
    });
    if (answer.status === 202) return;
    const refused = answer.status === 400 ? parseRefusal(answer.body) : undefined;
    if (refused === undefined || refused.invalid_spans.length > 0 || refused.duplicate_spans.length === 0)
      throw new OpsError('Rejected', `Phoenix refuses spans of the backup: ${unexpected(answer).message}`);
    // All or nothing: one span that is stored already, by a run before this or a queue that was slow, refuses the others.
    const there = new Set(refused.duplicate_spans.map(({ span_id }) => span_id));
    const present = await presentSpans(phoenix, project, [...there], call);
    const elsewhere = [...there].find((id) => !present.has(id));
    if (elsewhere !== undefined) throw foreign(project, `span ${elsewhere}`);
    rest = rest.filter(({ context }) => !there.has(context.span_id));
  }
}

function parseRefusal(body: string): z.infer<typeof refusal> | undefined {
  try {
    return refusal.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined;
  }
}

/** As Phoenix reads it: from the nested attribute, whatever its type. */
function sessionOf(attributes: SpanLine['attributes']): string | undefined {
  const session = isRecord(attributes['session']) ? attributes['session']['id'] : undefined;
  if (session === undefined || session === null) return undefined;
  const text = (typeof session === 'string' ? session : JSON.stringify(session)).trim();
  return text === '' ? undefined : text;
}

/**
 * Phoenix adds the span's kind as the dotted `openinference.span.kind`, and beside a nested `openinference` that would
 * stay dotted: what else is in there goes dotted too, so that both are nested together.
 */
function asSent(span: SpanLine): unknown {
  const { openinference, ...others } = span.attributes;
  if (!isRecord(openinference)) return span;
  const dotted = Object.entries(openinference).flatMap(([key, value]) =>
    key === 'span' && isRecord(value)
      ? Object.entries(value).map(([inner, of]) => [`openinference.span.${inner}`, of])
      : [[`openinference.${key}`, value]],
  ) as [string, unknown][];
  return { ...span, attributes: { ...others, ...Object.fromEntries(dotted) } };
}

function lost(project: string, missing: readonly SpanLine[], sends: number): OpsError {
  const some = missing.slice(0, 3).map(({ context }) => context.span_id);
  return new OpsError(
    'Unavailable',
    `Phoenix accepted spans for ${project} ${sends} times and did not store them: ${missing.length} are missing, such as ${some.join(', ')}`,
    'see why in its log (one on Postgres drops spans that hold a NUL character), then do it again: it goes on where it was',
  );
}
