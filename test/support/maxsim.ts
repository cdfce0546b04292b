import { binarize } from '../../src/encoders/binarize.js';
import type { Encoder } from '../../src/encoders/port.js';

type Rows = readonly Float32Array[];
type Score = (query: Rows, patches: Rows) => number;

export function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, d) => sum + value * b[d]!, 0);
}

/** Sum over the query's rows of the best patch, as the rank profile `float_float` has it. */
export function maxSim(query: Rows, patches: Rows): number {
  return query.reduce((sum, row) => sum + Math.max(...patches.map((patch) => dot(row, patch))), 0);
}

/** The same on bits, as `binary_binary` has it: the nearest patch by Hamming distance. */
function maxSimBinary(query: Rows, patches: Rows): number {
  const bits = patches.map(binarize);
  return query.reduce((sum, row) => {
    const own = binarize(row);
    return sum + Math.max(...bits.map((patch) => 1 / (1 + hamming(own, patch))));
  }, 0);
}

function hamming(a: Int8Array, b: Int8Array): number {
  return a.reduce((sum, byte, at) => sum + ((byte ^ b[at]!) & 255).toString(2).replaceAll('0', '').length, 0);
}

/** Floats of the query against bits of the documents, as `float_binary` has it. */
function maxSimMixed(query: Rows, patches: Rows): number {
  return maxSim(
    query,
    patches.map((patch) => patch.map((value) => (value > 0 ? 1 : -1))),
  );
}

export const SCORES: Readonly<Record<string, Score>> = {
  float: maxSim,
  binary: maxSimBinary,
  mixed: maxSimMixed,
};

/** Names of the documents, best first; each by its best segment. */
export async function ranked(
  encoder: Encoder,
  text: string,
  documents: Readonly<Record<string, readonly Float32Array[][]>>,
  score: Score,
  dimensions: number,
): Promise<string[]> {
  const query = await encoder.encodeText(text, { dimensions });
  const best = Object.entries(documents).map(
    ([name, segments]) => [name, Math.max(...segments.map((patches) => score(query, patches)))] as const,
  );
  return best.sort((a, b) => b[1] - a[1]).map(([name]) => name);
}
