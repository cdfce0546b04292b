import { type Dispatcher, Pool } from 'undici';
import { type HttpAnswer, NoAnswer } from '../http.js';
import { Aborts } from './aborts.js';
import { type TlsFiles, speaksHttp2 } from './alpn.js';
import { AnswerStream } from './answerStream.js';

export type DocumentMethod = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** How the endpoint knows us; nothing for a Vespa of one's own. */
export interface VespaAccess {
  readonly tls?: TlsFiles;
  /** The bearer token, asked anew each minute, so that a rotated one is picked up. */
  readonly token?: () => Promise<string>;
}

/** Above the 180 s that the server itself gives an operation. */
const ANSWER_MS = 190_000;
const KEEP_ALIVE_MS = 30_000;
const TOKEN_MS = 60_000;
/** One session is one TCP window and one thread at the server; Vespa allows 512 streams on each. */
const SESSIONS = 4;

/**
 * Requests to one endpoint: a pool of HTTP/1.1 connections, or HTTP/2 sessions when the endpoint speaks that by ALPN. No
 * retries, no redirects. It talks to undici's dispatcher directly: `request()` makes a stream of every answer, which costs
 * as much as the rest.
 */
export class Transport {
  private readonly aborts = new Aborts();
  private pool: Pool | undefined;
  private opening: Promise<Pool> | undefined;
  private closing: Promise<void> | undefined;
  private token: { readonly header: string; readonly until: number } | undefined;

  constructor(
    private readonly origin: string,
    private readonly connections: number,
    private readonly access: VespaAccess = {},
  ) {
    if (!origin.startsWith('https:')) this.pool = this.http1();
  }

  /** How many requests it can carry at a time; more would wait in line here. */
  get capacity(): number {
    return this.connections;
  }

  /** @throws NoAnswer; the signal's reason when that is what ended it. Any HTTP status is an answer */
  send(
    method: DocumentMethod,
    path: string,
    body: Buffer | undefined,
    signal?: AbortSignal,
  ): Promise<HttpAnswer> {
    if (this.pool !== undefined && this.access.token === undefined)
      return this.dispatch(this.pool, method, path, body, undefined, signal);
    return this.prepare(signal).then(({ pool, authorization }) =>
      this.dispatch(pool, method, path, body, authorization, signal),
    );
  }

  /**
   * A GET whose answer is read while it arrives; whoever does not read it to its end aborts it.
   *
   * @param options.idleMs longest silence within the answer
   * @returns when the head is there: any HTTP status is an answer
   * @throws NoAnswer, then and while reading; the signal's reason when that is what ended it
   */
  async stream(
    path: string,
    options: {
      readonly accept: string;
      readonly idleMs: number;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<AnswerStream> {
    const { signal } = options;
    const { pool, authorization } = await this.prepare(signal);
    const headers = ['accept', options.accept];
    if (authorization !== undefined) headers.push('authorization', authorization);
    return new Promise((resolve, reject) => {
      const stream = new AnswerStream(options.idleMs, resolve, (error) => {
        if (signal) this.aborts.delete(signal, stream);
        if (error === undefined) return undefined;
        const why = signal?.aborted ? (signal.reason as Error) : this.noAnswer(error);
        reject(why);
        return why;
      });
      if (signal) this.aborts.add(signal, stream);
      // The stream watches the silence itself: undici's clock would run on while the reader takes its time.
      pool.dispatch({ path, method: 'GET', headers, body: null, bodyTimeout: 0 }, stream);
    });
  }

  /** Lets what is in flight end. */
  close(): Promise<void> {
    return (this.closing ??= this.closePool());
  }

  private async closePool(): Promise<void> {
    await this.opening?.catch(() => undefined);
    await this.pool?.close();
  }

  private async prepare(
    signal?: AbortSignal,
  ): Promise<{ readonly pool: Pool; readonly authorization: string | undefined }> {
    const authorization = await this.authorization();
    signal?.throwIfAborted();
    try {
      return { pool: this.pool ?? (await (this.opening ??= this.open())), authorization };
    } catch (error) {
      throw this.noAnswer(error);
    }
  }

  private dispatch(
    pool: Pool,
    method: DocumentMethod,
    path: string,
    body: Buffer | undefined,
    authorization: string | undefined,
    signal?: AbortSignal,
  ): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const headers: string[] = [];
      if (body !== undefined) headers.push('content-type', 'application/json; charset=utf-8');
      if (authorization !== undefined) headers.push('authorization', authorization);
      const request = new Exchange(
        (answer) => {
          if (signal) this.aborts.delete(signal, request);
          resolve(answer);
        },
        (error) => {
          if (signal) this.aborts.delete(signal, request);
          reject(signal?.aborted ? (signal.reason as Error) : this.noAnswer(error));
        },
      );
      if (signal) this.aborts.add(signal, request);
      // Idempotent by what we send: else undici would not put two on one HTTP/2 session.
      pool.dispatch({ path, method, headers, body: body ?? null, idempotent: true }, request);
    });
  }

  private async open(): Promise<Pool> {
    try {
      const http2 = await speaksHttp2(this.origin, this.access.tls ?? {});
      if (this.closing) throw new Error('the client is closed');
      return (this.pool = http2 ? this.http2() : this.http1());
    } finally {
      this.opening = undefined;
    }
  }

  private http1(): Pool {
    return new Pool(this.origin, { ...this.common(), connections: this.connections });
  }

  private http2(): Pool {
    const connections = Math.min(SESSIONS, this.connections);
    const streams = Math.ceil(this.connections / connections);
    return new Pool(this.origin, {
      ...this.common(),
      allowH2: true,
      connections,
      pipelining: streams,
      maxConcurrentStreams: streams,
    });
  }

  private common(): Pool.Options {
    return {
      headersTimeout: ANSWER_MS,
      bodyTimeout: ANSWER_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      ...(this.access.tls === undefined ? {} : { connect: { ...this.access.tls } }),
    };
  }

  private async authorization(): Promise<string | undefined> {
    if (this.access.token === undefined) return undefined;
    if (this.token === undefined || Date.now() > this.token.until)
      this.token = { header: `Bearer ${await this.access.token()}`, until: Date.now() + TOKEN_MS };
    return this.token.header;
  }

  private noAnswer(error: unknown): NoAnswer {
    const why = error instanceof Error ? error.message : String(error);
    return new NoAnswer(`no answer from ${new URL(this.origin).origin}: ${why}`, { cause: error });
  }
}

/** One request and its answer. */
class Exchange implements Dispatcher.DispatchHandler {
  private controller: Dispatcher.DispatchController | undefined;
  private cancelled: Error | undefined;
  private status = 0;
  private headers: HttpAnswer['headers'] = {};
  private readonly chunks: Buffer[] = [];

  constructor(
    private readonly resolve: (answer: HttpAnswer) => void,
    private readonly reject: (error: unknown) => void,
  ) {}

  abort(reason: unknown): void {
    this.cancelled = reason instanceof Error ? reason : new Error(String(reason));
    this.controller?.abort(this.cancelled);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.cancelled) controller.abort(this.cancelled);
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: HttpAnswer['headers']): void {
    this.status = status;
    this.headers = headers;
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.chunks.push(chunk);
  }

  onResponseEnd(): void {
    const [first] = this.chunks;
    const body = this.chunks.length === 1 ? first! : Buffer.concat(this.chunks);
    this.resolve({ status: this.status, headers: this.headers, body });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.reject(error);
  }
}
