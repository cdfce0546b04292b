/**
 * The binarized form of a row: a bit for each number, set when it is above zero, the first of eight highest, as numpy's
 * `packbits` and Vespa's `unpack_bits` have it.
 *
 * @param row its length a multiple of eight
 * @returns `row.length / 8` bytes
 */
export function binarize(row: Float32Array): Int8Array {
  if (row.length % 8 !== 0) throw new RangeError(`${row.length} numbers do not fill whole bytes`);
  const bytes = new Int8Array(row.length / 8);
  for (let i = 0; i < row.length; i++) {
    if (row[i]! > 0) bytes[i >> 3]! |= 0x80 >> (i & 7);
  }
  return bytes;
}
