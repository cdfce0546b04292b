import { OpsError } from '../domain/errors.js';
import { DIMENSIONS } from './documents.js';

const HEX = new RegExp(`^[0-9A-F]{${DIMENSIONS * 8}}$`);

/** @throws OpsError `Rejected` for a vector that is too long, all zeros, or not of finite numbers: nothing is near to it */
function checkVector(vector: ArrayLike<number>): void {
  if (vector.length > DIMENSIONS)
    throw new OpsError(
      'Rejected',
      `the embedder gives ${vector.length} numbers, the schema has room for ${DIMENSIONS}`,
      'set MEMORY_EMBEDDER_DIMENSIONS to what the model can be cut to, or use a smaller model',
    );
  let length = 0;
  for (let at = 0; at < vector.length; at++) length += vector[at]! ** 2;
  if (!(length > 0) || !Number.isFinite(length))
    throw new OpsError('Rejected', 'the embedder gives a vector without a direction');
}

/**
 * A vector as Vespa takes it fastest and gives it back to the bit: the float32 values big-endian, upper-case hex.
 *
 * @throws OpsError `Rejected` for a vector that nothing is near to
 */
export function vectorHex(vector: ArrayLike<number>): string {
  checkVector(vector);
  const bytes = Buffer.alloc(DIMENSIONS * 4);
  for (let at = 0; at < vector.length; at++) bytes.writeFloatBE(vector[at]!, at * 4);
  return bytes.toString('hex').toUpperCase();
}

export function isVectorHex(text: unknown): text is string {
  return typeof text === 'string' && HEX.test(text);
}

/** Filled up with zeros, as a query's parameter. @throws as {@link vectorHex} */
export function queryVector(vector: ArrayLike<number>): number[] {
  checkVector(vector);
  return Array.from({ length: DIMENSIONS }, (_, at) => vector[at] ?? 0);
}

/**
 * The cosine behind Vespa's closeness, which is 1 / (1 + angle) with the angle in radians; in [0,1], for what points
 * away is as far as what has nothing to do with it.
 */
export function cosineOf(closeness: number): number {
  return Math.min(1, Math.max(0, Math.cos(1 / closeness - 1)));
}
