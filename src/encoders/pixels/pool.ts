import type { Worker } from 'node:worker_threads';
import { startWorker } from '../../workerThread.js';
import type { FrameTask } from './rows.js';
import type { Answer } from './worker.js';

interface Job {
  readonly task: FrameTask;
  readonly resolve: (rows: Float32Array[]) => void;
  readonly reject: (error: unknown) => void;
  /** Its asker has gone; what the thread still answers is dropped. */
  dropped: boolean;
}

/**
 * Worker threads for segments, started as they are needed, each at one segment at a time; the rest waits in order.
 * Threads that have nothing to do do not keep the process alive.
 */
export class WorkerPool {
  private readonly workers = new Set<Worker>();
  private readonly idle: Worker[] = [];
  private readonly queue: Job[] = [];
  private readonly running = new Map<Worker, Job>();
  private closed = false;

  constructor(private readonly threads: number) {}

  /**
   * @throws Error of a thread that ended, or of a task that cannot be done
   * @throws AbortError, the signal's reason, at once when it aborts: a segment in work (some tens of milliseconds) is
   *   left to end by itself
   */
  run(task: FrameTask, signal?: AbortSignal): Promise<Float32Array[]> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.closed) throw new Error('the encoder is closed');
      const job: Job = {
        task,
        dropped: false,
        resolve: (rows) => settle(() => resolve(rows)),
        reject: (error) => settle(() => reject(error instanceof Error ? error : new Error(String(error)))),
      };
      const abort = () => {
        job.dropped = true;
        const at = this.queue.indexOf(job);
        if (at >= 0) this.queue.splice(at, 1);
        job.reject(signal?.reason);
      };
      const settle = (done: () => void) => {
        signal?.removeEventListener('abort', abort);
        done();
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.queue.push(job);
      this.next();
    });
  }

  /** Ends all threads; what waits or is in work is refused. */
  async close(): Promise<void> {
    this.closed = true;
    const left = [...this.queue.splice(0), ...this.running.values()];
    this.running.clear();
    for (const job of left) job.reject(new Error('the encoder was closed'));
    await Promise.all([...this.workers].map((worker) => worker.terminate()));
  }

  private next(): void {
    while (this.queue.length > 0) {
      const worker = this.idle.pop() ?? (this.workers.size < this.threads ? this.start() : undefined);
      if (!worker) return;
      const job = this.queue.shift()!;
      this.running.set(worker, job);
      worker.ref();
      // Copied, not handed over: the caller may need its pictures for another try.
      worker.postMessage(job.task);
    }
  }

  private start(): Worker {
    const worker = startWorker(import.meta.url, 'worker');
    this.workers.add(worker);
    let cause: Error | undefined;
    worker.on('message', (answer: Answer) => {
      const job = this.running.get(worker);
      this.running.delete(worker);
      worker.unref();
      this.idle.push(worker);
      if (job && !job.dropped) {
        if ('error' in answer) job.reject(new Error(answer.error));
        else job.resolve(rowsOf(answer.rows, answer.dimensions));
      }
      this.next();
    });
    worker.on('error', (error: Error) => {
      cause = error;
    });
    worker.on('exit', (code) => {
      this.workers.delete(worker);
      const at = this.idle.indexOf(worker);
      if (at >= 0) this.idle.splice(at, 1);
      const job = this.running.get(worker);
      this.running.delete(worker);
      job?.reject(new Error(`an encoder thread ended with ${code}`, { cause }));
      if (!this.closed) this.next();
    });
    return worker;
  }
}

/** Views of one memory: a picture has a thousand rows, and a thousand buffers are much for the garbage collector. */
function rowsOf(rows: Float32Array, dimensions: number): Float32Array[] {
  return Array.from({ length: rows.length / dimensions }, (_, at) =>
    rows.subarray(at * dimensions, (at + 1) * dimensions),
  );
}
