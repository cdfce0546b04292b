import { availableParallelism } from 'node:os';
import type { Encoder, RgbFrame } from '../port.js';
import { WorkerPool } from './pool.js';
import { textRows } from './text.js';

/**
 * The encoder that needs no model: it compares how things look (colours, light, texture, edges, motion), not what they
 * are. Text and pictures share one space through a lexicon of words about looks; see docs/encoders.md for what it can
 * and cannot find. Deterministic: the same pixels or text give the same numbers.
 *
 * Pictures are measured in worker threads, so that the event loop stays free.
 */
export class PixelEncoder implements Encoder {
  readonly id = 'embedded-pixels@1';
  readonly frameSize = 224;
  private readonly pool: WorkerPool;

  /** @param threads the most that work at once; all processors but one when not given, at most four */
  constructor(threads: number = Math.min(4, Math.max(1, availableParallelism() - 1))) {
    this.pool = new WorkerPool(threads);
  }

  encodeFrames(
    segment: { readonly frames: readonly RgbFrame[] },
    shape: { readonly grid: number; readonly dimensions: number },
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    return this.pool.run({ frames: segment.frames, grid: shape.grid, dimensions: shape.dimensions }, signal);
  }

  async encodeText(
    text: string,
    shape: { readonly dimensions: number },
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    signal?.throwIfAborted();
    return textRows(text, shape.dimensions);
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}
