import type { Dispatcher } from 'undici';
import type { HttpAnswer } from '../http.js';

/** Bytes that arrived and were not read; above this the socket is left alone until they are. */
const PAUSE_BYTES = 1 << 20;

/**
 * One answer, read as it arrives. Who does not read it slows the server down: about a MiB waits here at most. An
 * answer that stays silent for `idleMs` ends with an error, unless it is the reader who lets it wait.
 */
export class AnswerStream implements Dispatcher.DispatchHandler {
  status = 0;
  headers: HttpAnswer['headers'] = {};
  private controller: Dispatcher.DispatchController | undefined;
  private aborted: Error | undefined;
  private arrived: Buffer[] = [];
  private arrivedBytes = 0;
  private paused = false;
  private end: { readonly error?: Error } | undefined;
  private wake: (() => void) | undefined;
  private idle: NodeJS.Timeout | undefined;

  constructor(
    private readonly idleMs: number,
    private readonly onHead: (stream: AnswerStream) => void,
    /** Called once, after the last bytes or an error; what it returns is what a reader is told. */
    private readonly onClose: (error?: Error) => Error | undefined,
  ) {}

  /** What has arrived since the last call, at least one chunk; undefined after the last. @throws what cut it off */
  async read(): Promise<readonly Buffer[] | undefined> {
    while (this.arrived.length === 0 && this.end === undefined)
      await new Promise<void>((resolve) => (this.wake = resolve));
    if (this.arrived.length === 0) {
      if (this.end?.error !== undefined) throw this.end.error;
      return undefined;
    }
    const chunks = this.arrived;
    this.arrived = [];
    this.arrivedBytes = 0;
    if (this.paused) {
      this.paused = false;
      this.watch();
      this.controller?.resume();
    }
    return chunks;
  }

  /** All of it, for an answer that turns out to be short. */
  async whole(): Promise<HttpAnswer> {
    const chunks: Buffer[] = [];
    for (let next = await this.read(); next !== undefined; next = await this.read()) chunks.push(...next);
    return { status: this.status, headers: this.headers, body: Buffer.concat(chunks) };
  }

  /** Nothing more is read; the connection is given up unless the answer had ended. */
  abort(reason: unknown): void {
    if (this.end !== undefined) return;
    this.aborted = reason instanceof Error ? reason : new Error(String(reason));
    this.controller?.abort(this.aborted);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.aborted) controller.abort(this.aborted);
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: HttpAnswer['headers']): void {
    this.status = status;
    this.headers = headers;
    this.watch();
    this.onHead(this);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.arrived.push(chunk);
    this.arrivedBytes += chunk.length;
    this.idle?.refresh();
    if (this.arrivedBytes > PAUSE_BYTES && !this.paused) {
      this.paused = true;
      clearTimeout(this.idle);
      controller.pause();
    }
    this.wake?.();
  }

  onResponseEnd(): void {
    this.close({});
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.close({ error });
  }

  private close(end: { readonly error?: Error }): void {
    clearTimeout(this.idle);
    const error = this.onClose(end.error);
    this.end = error === undefined ? {} : { error };
    this.wake?.();
  }

  private watch(): void {
    clearTimeout(this.idle);
    this.idle = setTimeout(
      () => this.abort(new Error(`silent for ${this.idleMs} ms within an answer`)),
      this.idleMs,
    );
  }
}
