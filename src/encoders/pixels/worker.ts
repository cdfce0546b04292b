import { parentPort } from 'node:worker_threads';
import { type FrameTask, frameRows } from './rows.js';

/** The thread's side of `pool.ts`: one task at a time, its rows back as one block of numbers. */
export type Answer =
  { readonly rows: Float32Array; readonly dimensions: number } | { readonly error: string };

parentPort?.on('message', (task: FrameTask) => {
  let answer: Answer;
  try {
    const list = frameRows(task);
    const rows = new Float32Array(list.length * task.dimensions);
    list.forEach((row, at) => rows.set(row, at * task.dimensions));
    answer = { rows, dimensions: task.dimensions };
  } catch (error) {
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(answer, 'rows' in answer ? [answer.rows.buffer as ArrayBuffer] : []);
});
