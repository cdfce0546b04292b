import { judge } from './feeding/attempt.js';
import type { AnswerStream } from './feeding/answerStream.js';
import { NoAnswer } from './http.js';
import { DEFAULT_BUDGET, DocumentError, RetriesExhausted, backoffMs, pause } from './retry.js';
import { VisitCut, VisitResponse } from './visiting/response.js';

export { VisitMiscounted } from './visiting/response.js';

/** What a visit reads through; `DocumentClient` is one. */
export interface VisitSource {
  stream(
    path: string,
    options: { readonly accept: string; readonly idleMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<AnswerStream>;
}

export interface VisitRequest {
  /** Content cluster. */
  readonly cluster: string;
  /** Physical schema. */
  readonly schema: string;
  /** Documents of this namespace only; of every one when left out. */
  readonly namespace?: string | undefined;
  /** Together the slices hold every document once; a token belongs to one slice of one number of slices. */
  readonly slices?: number;
  readonly sliceId?: number;
  /** A token of a checkpoint of the same visit: goes on after it. */
  readonly continuation?: string | undefined;
  /** `[document]` by default; `[id]` for the ids alone. */
  readonly fieldSet?: string;
  /** Only documents written from then on, in microseconds since the epoch. */
  readonly fromTimestamp?: number;
  /** Only documents written before then, in microseconds since the epoch. */
  readonly toTimestamp?: number;
  /** Lines `{"remove":"id:…"}` of removed documents too. */
  readonly includeRemoves?: boolean;
  /** A checkpoint is the first continuation after so many bytes or documents; each continuation by default. */
  readonly checkpointBytes?: number;
  readonly checkpointDocuments?: number;
  /** Longest silence of the server within a response; 75 s by default. */
  readonly idleMs?: number;
  /** Longest time without a byte of an answer before the visit gives up; 2 minutes by default. */
  readonly patienceMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export type VisitEvent =
  /** Documents as the server wrote them, one a Buffer, without newline: `{"put":"id:…","fields":{…}}`. */
  | { readonly kind: 'lines'; readonly lines: readonly Buffer[]; readonly bytes: number }
  /** All documents since the last checkpoint are whole; `token` goes on after them, undefined at the visit's end. */
  | { readonly kind: 'checkpoint'; readonly token: string | undefined; readonly percent: number }
  /** The lines since the last checkpoint are void: they come again. */
  | { readonly kind: 'rewind'; readonly reason: string };

/** What one response is asked to take: the server ends it earlier, with a token. */
const RESPONSE_SECONDS = 60;
const IDLE_MS = (RESPONSE_SECONDS + 15) * 1000;
/** Responses cut off without a checkpoint between them. */
const MAX_CUTS = 20;

/**
 * Every document of a slice of a schema, as raw lines, in the server's order. What the retry table calls passing, a
 * response that is cut, silent, or ends without its last word is taken up at the last checkpoint, after a pause; how far
 * apart checkpoints are halves with each cut and doubles with each checkpoint, so that a bad line still gets on. It ends after the checkpoint without a
 * token, and only when the server said that the visit is finished.
 *
 * There is no snapshot: a document written meanwhile may or may not be in it. Nothing that was there all the time is
 * left out. The server puts a continuation behind the first document of the next bucket, so the document before a
 * checkpoint comes again after a visit that goes on from there.
 *
 * @throws DocumentError when the server refuses the request; VisitMiscounted; RetriesExhausted; the signal's reason
 */
export async function* visit(source: VisitSource, request: VisitRequest): AsyncGenerator<VisitEvent> {
  const { signal, checkpointDocuments = Infinity } = request;
  const checkpointBytes = request.checkpointBytes ?? (checkpointDocuments === Infinity ? 0 : Infinity);
  const patienceMs = request.patienceMs ?? DEFAULT_BUDGET.totalMs;
  let checkpoint = request.continuation;
  /** Where the next request begins: at the checkpoint, or later after a response that ended in good order. */
  let at = checkpoint;
  let [bytes, documents] = [0, 0];
  let [cuts, silentTries] = [0, 0];
  /** Of the distance between checkpoints that was asked for. */
  let share = 1;
  let heardAt = performance.now();
  const reached = (token: string | undefined, percent: number): VisitEvent => {
    checkpoint = token;
    bytes = documents = cuts = 0;
    share = Math.min(1, 2 * share);
    return { kind: 'checkpoint', token, percent };
  };

  for (;;) {
    let heard = false;
    try {
      const response = await open(source, request, at);
      for await (const event of response.events()) {
        heard = true;
        if (event.kind === 'lines') {
          bytes += event.bytes;
          documents += event.lines.length;
          yield event;
        } else if (event.token !== undefined) {
          if (bytes >= checkpointBytes * share || documents >= checkpointDocuments * share)
            yield reached(event.token, event.percent);
        }
        // After the yield: a reader that takes its time is not the server's silence.
        heardAt = performance.now();
      }
      const token = response.end();
      if (token === undefined) {
        yield reached(undefined, 100);
        return;
      }
      if (token === at) throw new VisitCut(`no progress in ${RESPONSE_SECONDS} s`);
      at = token;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof VisitCut)) throw error;
      if (heard) {
        cuts++;
        share /= 2;
      }
      silentTries = heard ? 0 : silentTries + 1;
      const idleMs = performance.now() - heardAt;
      if (cuts > MAX_CUTS)
        throw new RetriesExhausted(`the visit of ${request.schema} was cut ${cuts} times: ${error.message}`);
      if (idleMs > patienceMs)
        throw new RetriesExhausted(
          `nothing came of the visit of ${request.schema} for ${Math.round(idleMs / 1000)} s: ${error.message}`,
        );
      if (documents > 0) yield { kind: 'rewind', reason: error.message };
      bytes = documents = 0;
      at = checkpoint;
      await pause(backoffMs(Math.max(cuts, silentTries) - 1, error.retryAfter), signal);
    }
  }
}

async function open(
  source: VisitSource,
  request: VisitRequest,
  at: string | undefined,
): Promise<VisitResponse> {
  let stream: AnswerStream;
  try {
    stream = await source.stream(pathOf(request, at), {
      accept: 'application/jsonl',
      idleMs: request.idleMs ?? IDLE_MS,
      signal: request.signal,
    });
    if (stream.status === 200) return new VisitResponse(stream, request.includeRemoves ?? false);
    const result = judge(await stream.whole(), 'GET');
    switch (result.kind) {
      case 'retry':
        throw new VisitCut(result.failure, result.retryAfter);
      case 'blocked':
        throw new VisitCut(result.failure);
      case 'failed':
        throw result.error;
      case 'done':
        throw new DocumentError(stream.status, 'no visit');
    }
  } catch (error) {
    throw error instanceof NoAnswer ? new VisitCut(error.message) : error;
  }
}

/** With a namespace by path, which also selects the type; without one by a selection of the type alone. */
function pathOf(request: VisitRequest, at: string | undefined): string {
  const { namespace, schema } = request;
  const query = new URLSearchParams({
    cluster: request.cluster,
    ...(namespace === undefined ? { selection: schema } : {}),
    fieldSet: request.fieldSet ?? '[document]',
    stream: 'true',
    // One bucket at a time: of a visit of several, documents before a token may belong to buckets that are not done.
    concurrency: '1',
    'format.tensors': 'hex',
    timeout: `${RESPONSE_SECONDS}s`,
    ...(request.slices === undefined
      ? {}
      : { slices: String(request.slices), sliceId: String(request.sliceId ?? 0) }),
    ...(request.fromTimestamp === undefined ? {} : { fromTimestamp: String(request.fromTimestamp) }),
    ...(request.toTimestamp === undefined ? {} : { toTimestamp: String(request.toTimestamp) }),
    ...(request.includeRemoves ? { includeRemoves: 'true' } : {}),
    ...(at === undefined ? {} : { continuation: at }),
  });
  const path =
    namespace === undefined
      ? '/document/v1/'
      : `/document/v1/${encodeURIComponent(namespace)}/${encodeURIComponent(schema)}/docid/`;
  return `${path}?${query.toString()}`;
}
