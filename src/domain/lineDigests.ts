/** The digest of no lines at all. */
export const noLines = '0'.repeat(64);

/**
 * Digests of lines are 256-bit numbers, 64 hex digits: the sum, modulo 2^256, of each line's SHA-256. They do not depend
 * on the order of the lines, and the digest of two heaps of lines is the sum of theirs.
 */
export function addDigests(a: string, b: string): string {
  return BigInt.asUintN(256, BigInt(`0x${a}`) + BigInt(`0x${b}`))
    .toString(16)
    .padStart(64, '0');
}
