import { Readable } from 'node:stream';
import { setImmediate as breathe } from 'node:timers/promises';
import type { ApiRequest, ApiResponse } from '../api.js';
import type { DiskStore } from './diskStore.js';
import { type FieldWriter, fieldWriter } from './fieldWriter.js';
import { Output } from './output.js';
import type { DocumentPath } from './path.js';
import { Refusal, flag, number, seconds } from './request.js';
import { Visit, type VisitRequest, type Visited } from './visit.js';
import { prefersJsonLines, readVisit } from './visitRequest.js';
import { fieldsOf } from './fieldSet.js';

/** The real handler's `timeout` where a request names none. */
const DEFAULT_TIMEOUT = 175;
/** Other requests wait no longer than this, in milliseconds. */
const BREATH = 5;

export async function visitAnswer(
  store: DiskStore,
  request: ApiRequest,
  path: DocumentPath,
  query: URLSearchParams,
): Promise<ApiResponse> {
  if (query.has('dryRun')) throw new Refusal(400, `May not specify 'dryRun' at '${path.raw}'`);
  if (path.type === undefined && !query.has('cluster')) {
    throw new Refusal(
      400,
      "Must set 'cluster' parameter to a valid content cluster id when visiting at a root /document/v1/ level",
    );
  }
  const visitRequest = readVisit(store, path, query);
  const streamed = flag(query, 'stream') === true;
  const wanted = number(query, 'wantedDocumentCount', streamed ? Infinity : 1, 1);
  const limits = { wanted, milliseconds: timeLimit(query) };
  if (streamed && prefersJsonLines(request.headers['accept'])) {
    const answer = new Answer(store, visitRequest, limits, JSON_LINES);
    return stream('application/jsonl; charset=UTF-8', answer);
  }
  // Hex is for the lines and for gets; the JSON visit has its own way of writing tensors.
  const { format } = visitRequest;
  const shown = { ...visitRequest, format: format.startsWith('hex') ? 'short' : format } as const;
  const answer = new Answer(store, shown, limits, jsonObject(path.raw));
  const type = 'application/json; charset=UTF-8';
  if (streamed) return stream(type, answer);
  const chunks: Buffer[] = [];
  for await (const chunk of answer.chunks()) chunks.push(chunk);
  return {
    status: answer.nothingInTime ? 504 : 200,
    headers: { 'content-type': type },
    body: Buffer.concat(chunks),
  };
}

function stream(type: string, answer: Answer): ApiResponse {
  // One chunk ahead of the client, however large or slow.
  return {
    status: 200,
    headers: { 'content-type': type },
    body: Readable.from(answer.chunks(), { highWaterMark: 1 }),
  };
}

/** What is left of a request's timeout after the time to send the answer, in milliseconds. */
function timeLimit(query: URLSearchParams): number {
  const timeout = seconds(query.get('timeout') ?? String(DEFAULT_TIMEOUT)) * 1000;
  return Math.max(1, timeout - 5000, 0.9 * timeout - 100);
}

/** How documents are put together to an answer. */
interface Form {
  readonly start: string;
  readonly between: string;
  /** Around the fields. */
  readonly put: (id: string) => string;
  readonly afterPut: string;
  readonly remove: (id: string) => string;
  /** Where the form has it: the token after the first document behind a finished bucket. */
  readonly progress?: (token: string, percent: number) => string;
  readonly end: (
    count: number,
    how:
      { readonly message: string } | { readonly continuation: string | undefined; readonly percent: number },
  ) => string;
}

const JSON_LINES: Form = {
  start: '',
  between: '',
  put: (id) => `{"put":${JSON.stringify(id)},"fields":`,
  afterPut: '}\n',
  remove: (id) => `{"remove":${JSON.stringify(id)}}\n`,
  progress: progressLine,
  end: (count, how) =>
    `{"sessionStats":{"documentCount":${count}}}\n${
      'message' in how
        ? `{"message":{"text":${JSON.stringify(how.message)},"severity":"error"}}\n`
        : progressLine(how.continuation, how.percent)
    }`,
};

function progressLine(token: string | undefined, percent: number): string {
  const named = token === undefined ? '' : `"token":"${token}",`;
  return `{"continuation":{${named}"percentFinished":${Number.isInteger(percent) ? percent.toFixed(1) : percent}}}\n`;
}

function jsonObject(pathId: string): Form {
  return {
    start: `{"pathId":${JSON.stringify(pathId)},"documents":[`,
    between: ',',
    put: (id) => `{"id":${JSON.stringify(id)},"fields":`,
    afterPut: '}',
    remove: (id) => `{"remove":${JSON.stringify(id)}}`,
    end: (count, how) => {
      const [key, value] = 'message' in how ? ['message', how.message] : ['continuation', how.continuation];
      return `],"documentCount":${count}${value === undefined ? '' : `,"${key}":${JSON.stringify(value)}`}}`;
    },
  };
}

class Answer {
  private readonly visit: Visit;
  private readonly writers = new Map<string, FieldWriter>();
  private readonly out = new Output();
  private readonly until: number;
  private count = 0;
  private finishedBuckets = 0;
  private isProgressDue = false;
  /** The time was over before one bucket was done. */
  nothingInTime = false;

  /** @throws VisitError, FieldSetError */
  constructor(
    private readonly store: DiskStore,
    private readonly request: VisitRequest,
    private readonly limits: { readonly wanted: number; readonly milliseconds: number },
    private readonly form: Form,
  ) {
    this.until = performance.now() + limits.milliseconds;
    this.visit = new Visit(store, request);
    const { schemas } = store.model;
    const named = schemas.get(request.fieldSet?.split(':')[0] ?? '') ?? [...schemas.values()][0];
    // A wrong field set is said before anything is sent.
    if (named) fieldsOf(named, request.fieldSet);
  }

  async *chunks(): AsyncGenerator<Buffer> {
    const { form, out, visit } = this;
    out.text(form.start);
    let breath = performance.now() + BREATH;
    let isInTime = true;
    while (isInTime && visit.nextBucket !== undefined && this.count < this.limits.wanted) {
      const bucket = visit.nextBucket;
      for (const visited of visit.documents(bucket)) {
        if (visited) this.write(visited);
        if (out.isFull) yield* out.take();
        const now = performance.now();
        isInTime = now < this.until;
        if (!isInTime) break;
        if (now >= breath) {
          await breathe();
          breath = performance.now() + BREATH;
        }
      }
      if (!isInTime) break;
      isInTime = this.finish(bucket);
    }
    this.nothingInTime = !isInTime && this.finishedBuckets === 0;
    const message = `No buckets visited within timeout of ${Math.round(this.limits.milliseconds)}ms (request timeout -5s)`;
    out.text(
      form.end(
        this.count,
        this.nothingInTime
          ? { message }
          : { continuation: visit.continuation, percent: visit.percentFinished },
      ),
    );
    yield* out.take();
  }

  /** @returns whether there is time left */
  private finish(bucket: number): boolean {
    this.visit.finish(bucket);
    this.finishedBuckets++;
    this.isProgressDue = true;
    return performance.now() < this.until;
  }

  private write({ type, entry }: Visited): void {
    const { form, out } = this;
    if (this.count++ > 0) out.text(form.between);
    if (entry.removed) out.text(form.remove(entry.id));
    else {
      out.text(form.put(entry.id));
      this.writerOf(type).write(out, this.store.readBytes(type, entry), entry.length);
      out.text(form.afterPut);
    }
    if (form.progress && this.isProgressDue) {
      this.isProgressDue = false;
      const { continuation, percentFinished } = this.visit;
      if (continuation !== undefined) out.text(form.progress(continuation, percentFinished));
    }
  }

  private writerOf(type: string): FieldWriter {
    let writer = this.writers.get(type);
    if (writer === undefined) {
      const { fieldSet, format } = this.request;
      writer = fieldWriter(this.store.model.schemas.get(type)!, fieldSet, format);
      this.writers.set(type, writer);
    }
    return writer;
  }
}
