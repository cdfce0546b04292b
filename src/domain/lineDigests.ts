/** What two heaps of lines are compared by. */
export interface CountedDigest {
  readonly count: number;
  /** Sum of the lines' SHA-256 modulo 2^256, 64 hex digits, as in the manifest. */
  readonly digest: string;
}

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

/** Several heaps of lines taken together. */
export function sumOf(heaps: readonly CountedDigest[]): CountedDigest {
  return heaps.reduce<CountedDigest>(
    (sum, { count, digest }) => ({ count: sum.count + count, digest: addDigests(sum.digest, digest) }),
    { count: 0, digest: noLines },
  );
}
