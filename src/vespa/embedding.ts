/**
 * Multi-vectors as Vespa takes them fastest: hex strings per patch, big-endian, upper-case.
 */

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).toUpperCase().padStart(2, '0'));

/** @throws Error when a vector has the wrong width, is empty, or holds NaN or an infinity: Vespa would store nonsense */
export function checkVectors(vectors: readonly Float32Array[], dimensions: number): void {
  if (vectors.length === 0) throw new Error('no vectors: nothing could be found by them');
  for (const [row, vector] of vectors.entries()) {
    if (vector.length !== dimensions)
      throw new Error(`vector ${row} has ${vector.length} values, not ${dimensions}`);
    for (const value of vector) if (!Number.isFinite(value)) throw new Error(`vector ${row} holds ${value}`);
  }
}

/** float32 → bfloat16 by its high 16 bits, 4 hex digits a value (as the original does: truncated, not rounded). */
export function bfloat16Hex(vector: Float32Array): string {
  const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
  let hex = '';
  // Little-endian memory, as on every platform Node runs on: the high bytes are the last two.
  for (let at = 0; at < bytes.length; at += 4) hex += HEX[bytes[at + 3]!]! + HEX[bytes[at + 2]!]!;
  return hex;
}

/** One bit a value, 1 where it is positive, most significant bit first. */
export function binarize(vector: Float32Array): Int8Array {
  const bits = new Int8Array(vector.length / 8);
  for (let i = 0; i < vector.length; i++) if (vector[i]! > 0) bits[i >> 3]! |= 0x80 >> (i & 7);
  return bits;
}

export function int8Hex(vector: Int8Array): string {
  let hex = '';
  for (const value of vector) hex += HEX[value & 0xff]!;
  return hex;
}

/** `{"0":"…","1":"…"}`: the blocks of a tensor with one mapped dimension, labelled by position. */
export function blocksJson(hexes: readonly string[]): string {
  return `{${hexes.map((hex, row) => `"${row}":"${hex}"`).join(',')}}`;
}

/**
 * The body of one segment's put. The vectors are written as text directly: as objects they would be ten times the size.
 *
 * @param fields everything but the embeddings, plain JSON
 */
export function segmentBody(
  fields: Readonly<Record<string, unknown>>,
  vectors: readonly Float32Array[],
  dimensions: number,
): Buffer {
  checkVectors(vectors, dimensions);
  const plain = Object.keys(fields).length > 0 ? `${JSON.stringify(fields).slice(1, -1)},` : '';
  const float = blocksJson(vectors.map(bfloat16Hex));
  const binary = blocksJson(vectors.map((vector) => int8Hex(binarize(vector))));
  return Buffer.from(
    `{"fields":{${plain}"embedding":{"blocks":${float}},"embedding_binary":{"blocks":${binary}}}}`,
  );
}
