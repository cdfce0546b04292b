/**
 * Multi-vectors as Vespa takes them fastest: hex strings per patch, big-endian, upper-case.
 */

/** The two digits of each byte, as the 16 bits that they are in memory. */
const DIGITS = new Uint16Array(
  Uint8Array.from(
    Array.from({ length: 256 }, (_, byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(''),
    (digit) => digit.charCodeAt(0),
  ).buffer,
);
const [QUOTE, COLON, COMMA] = [0x22, 0x3a, 0x2c];

/** @throws Error when a vector has the wrong width, is empty, or holds NaN or an infinity: Vespa would store nonsense */
export function checkVectors(vectors: readonly Float32Array[], dimensions: number): void {
  if (vectors.length === 0) throw new Error('no vectors: nothing could be found by them');
  for (const [row, vector] of vectors.entries()) {
    if (vector.length !== dimensions)
      throw new Error(`vector ${row} has ${vector.length} values, not ${dimensions}`);
    for (const value of vector) if (!Number.isFinite(value)) throw new Error(`vector ${row} holds ${value}`);
  }
}

/** One bit a value, 1 where it is positive, most significant bit first. */
export function binarize(vector: Float32Array): Int8Array {
  const bits = new Int8Array(vector.length / 8);
  for (let i = 0; i < vector.length; i++) if (vector[i]! > 0) bits[i >> 3]! |= 0x80 >> (i & 7);
  return bits;
}

/**
 * The body of one segment's put: each vector once as bfloat16 (the high 16 bits of a float32, as the original does: cut,
 * not rounded) and once as bits, in blocks `{"0":"…","1":"…"}` labelled by position.
 *
 * Written byte by byte into its place: put together from strings, a picture's thousand rows are ten megabytes of garbage,
 * and collecting it was a fifth of what a worker's own process did.
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
  const head = Buffer.from(`{"fields":{${plain}"embedding":{"blocks":{`);
  const between = Buffer.from('}},"embedding_binary":{"blocks":{');
  const tail = Buffer.from('}}}}');
  const [float, binary] = [new Uint16Array(dimensions * 2), new Uint16Array(dimensions / 8)];
  const floatBytes = blocksBytes(vectors.length, float.byteLength);
  const bytes = head.length + floatBytes + between.length + blocksBytes(vectors.length, binary.byteLength);
  const body = Buffer.allocUnsafe(bytes + tail.length);
  const floats = new Blocks(body, head.copy(body), float);
  const binaries = new Blocks(
    body,
    floats.at + floatBytes + between.copy(body, floats.at + floatBytes),
    binary,
  );
  tail.copy(body, bytes);

  // One memory under two types: a vector's numbers, and their bits.
  const values = new Float32Array(dimensions);
  const bits = new Uint32Array(values.buffer);
  for (const vector of vectors) {
    values.set(vector);
    for (let i = 0; i < dimensions; i++) {
      float[2 * i] = DIGITS[bits[i]! >>> 24]!;
      float[2 * i + 1] = DIGITS[(bits[i]! >>> 16) & 0xff]!;
    }
    for (let at = 0; at < binary.length; at++) {
      let byte = 0;
      for (let i = 8 * at; i < 8 * at + 8; i++) byte = (byte << 1) | (values[i]! > 0 ? 1 : 0);
      binary[at] = DIGITS[byte]!;
    }
    floats.add();
    binaries.add();
  }
  return body;
}

/** Bytes of so many blocks of so many digits: `"0":"…","1":"…"`. */
function blocksBytes(rows: number, digits: number): number {
  let labels = rows;
  for (let from = 10; from < rows; from *= 10) labels += rows - from;
  return labels + rows * (digits + 5) + rows - 1;
}

/** Writes `"0":"…","1":"…"` into a buffer, one block after the other. */
class Blocks {
  private readonly digits: Uint8Array;
  private row = 0;

  /** @param digits of the block that is added next */
  constructor(
    private readonly body: Buffer,
    public at: number,
    digits: Uint16Array,
  ) {
    this.digits = new Uint8Array(digits.buffer);
  }

  add(): void {
    const { body, digits } = this;
    let { at } = this;
    if (this.row > 0) body[at++] = COMMA!;
    const label = String(this.row++);
    body[at++] = QUOTE!;
    for (let i = 0; i < label.length; i++) body[at++] = label.charCodeAt(i);
    body[at++] = QUOTE!;
    body[at++] = COLON!;
    body[at++] = QUOTE!;
    body.set(digits, at);
    at += digits.length;
    body[at++] = QUOTE!;
    this.at = at;
  }
}
