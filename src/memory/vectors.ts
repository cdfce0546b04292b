import { OpsError } from '../domain/errors.js';
import { DIMENSIONS } from './documents.js';

const HEX = new RegExp(`^[0-9A-F]{${DIMENSIONS * 8}}$`);

/**
 * A vector as Vespa takes it fastest and gives it back to the bit: the float32 values big-endian, upper-case hex.
 *
 * @throws OpsError `Rejected` for a vector that is too long, all zeros, or not of finite numbers: nothing is near to it
 */
export function vectorHex(vector: ArrayLike<number>): string {
  if (vector.length > DIMENSIONS)
    throw new OpsError(
      'Rejected',
      `the embedder gives ${vector.length} numbers, the schema has room for ${DIMENSIONS}`,
      'set MEMORY_EMBEDDER_DIMENSIONS to what the model can be cut to, or use a smaller model',
    );
  const bytes = Buffer.alloc(DIMENSIONS * 4);
  let length = 0;
  for (let at = 0; at < vector.length; at++) {
    length += vector[at]! ** 2;
    bytes.writeFloatBE(vector[at]!, at * 4);
  }
  if (!(length > 0) || !Number.isFinite(length))
    throw new OpsError('Rejected', 'the embedder gives a vector without a direction');
  return bytes.toString('hex').toUpperCase();
}

export function isVectorHex(text: unknown): text is string {
  return typeof text === 'string' && HEX.test(text);
}

/** Filled up with zeros, as a query's parameter. */
export function queryVector(vector: ArrayLike<number>): number[] {
  return Array.from({ length: DIMENSIONS }, (_, at) => vector[at] ?? 0);
}

/**
 * The cosine behind Vespa's closeness, which is 1 / (1 + angle) with the angle in radians; in [0,1], for what points
 * away is as far as what has nothing to do with it.
 */
export function cosineOf(closeness: number): number {
  return Math.min(1, Math.max(0, Math.cos(1 / closeness - 1)));
}
