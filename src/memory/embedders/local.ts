import { OpsError } from '../../domain/errors.js';
import { startWorker } from '../../workerThread.js';
import type { Embedder } from './port.js';
import type { Answer } from './textWorker.js';

/** Texts that one run of the model takes; more at once are no faster. */
const BATCH = 32;

interface Waiting {
  readonly text: string;
  readonly resolve: (vector: Float32Array) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Universal Sentence Encoder Lite, English, 512 numbers of length 1, from npm packages: no network, no native code. It
 * runs in a thread of its own, started at the first text, as a text is some 10 ms of work in which nothing else would
 * happen here, heartbeats included. Texts that come meanwhile are taken together.
 */
export class LocalEmbedder implements Embedder {
  readonly id = 'use-lite@1';
  private worker: ReturnType<typeof startWorker> | undefined;
  private readonly queue: Waiting[] = [];
  private running: readonly Waiting[] = [];
  private closed = false;

  async embed(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]> {
    signal?.throwIfAborted();
    const vectors = texts.map(
      (text) => new Promise<Float32Array>((resolve, reject) => this.queue.push({ text, resolve, reject })),
    );
    this.next();
    return Promise.all(vectors);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.fail(new Error('the embedder was closed'));
    await this.worker?.terminate();
  }

  private next(): void {
    if (this.closed) return this.fail(new Error('the embedder is closed'));
    if (this.running.length > 0 || this.queue.length === 0) return;
    this.running = this.queue.splice(0, BATCH);
    this.worker ??= this.start();
    this.worker.ref();
    this.worker.postMessage(this.running.map(({ text }) => text));
  }

  private start(): ReturnType<typeof startWorker> {
    const worker = startWorker(import.meta.url, 'textWorker');
    worker.on('message', (answer: Answer) => {
      const done = this.running;
      this.running = [];
      // Idle, it does not keep the process alive.
      worker.unref();
      for (const [at, { resolve, reject }] of done.entries()) {
        if ('error' in answer) reject(new OpsError('Rejected', `the embedded model: ${answer.error}`));
        else resolve(answer.vectors[at]!);
      }
      this.next();
    });
    worker.on('error', (error: Error) =>
      this.fail(new Error('the embedder thread failed', { cause: error })),
    );
    worker.on('exit', () => {
      this.worker = undefined;
      this.fail(new OpsError('Unavailable', 'the embedder thread ended', 'try again'));
    });
    return worker;
  }

  private fail(error: unknown): void {
    const lost = [...this.running, ...this.queue.splice(0)];
    this.running = [];
    for (const { reject } of lost) reject(error);
  }
}
