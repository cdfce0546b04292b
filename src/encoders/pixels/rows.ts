import type { RgbFrame } from '../../video/segment.js';
import { patchFeatures } from './features.js';
import { project } from './projection.js';

/** What a worker is asked: one segment's pictures. */
export interface FrameTask {
  readonly frames: readonly RgbFrame[];
  readonly grid: number;
  readonly dimensions: number;
}

/** A segment's rows, one a patch, row by row from the top left, each of length one. */
export function frameRows({ frames, grid, dimensions }: FrameTask): Float32Array[] {
  return patchFeatures(frames, grid).map((features) => project(features, dimensions));
}
