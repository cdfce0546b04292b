import { createHash } from 'node:crypto';

const MODULUS = 1n << 256n;

/**
 * The sum modulo 2^256 of the sha256 of each line, in 64 hex digits: the same for the same lines in any order, and for no
 * others that anybody could find by chance. A line that is there twice counts twice. It is no signature: whoever may
 * choose many lines can find another set of the same sum, so a manifest that holds it is signed.
 */
export type LinesDigest = string;

export const EMPTY_DIGEST: LinesDigest = '0'.repeat(64);

/** Sums digests as lines come. */
export class LineDigester {
  private sum = 0n;
  private lines = 0;

  /** @param line without its newline */
  add(line: Uint8Array): void {
    this.sum += BigInt(`0x${createHash('sha256').update(line).digest('hex')}`);
    this.lines++;
  }

  get count(): number {
    return this.lines;
  }

  get digest(): LinesDigest {
    return toHex(this.sum);
  }
}

export interface CountedDigest {
  readonly count: number;
  readonly digest: LinesDigest;
}

export async function digestOfLines(
  lines: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<CountedDigest> {
  const digester = new LineDigester();
  for await (const line of lines) digester.add(line);
  return { count: digester.count, digest: digester.digest };
}

/** Of the lines of all of them together. */
export function addDigests(...digests: readonly LinesDigest[]): LinesDigest {
  return toHex(digests.reduce((sum, digest) => sum + BigInt(`0x${digest}`), 0n));
}

function toHex(sum: bigint): LinesDigest {
  return (sum % MODULUS).toString(16).padStart(64, '0');
}
