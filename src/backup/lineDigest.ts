import { hash } from 'node:crypto';

/** What two sets of lines are compared by. */
export interface LineTotals {
  readonly count: number;
  /** Sum of the lines' SHA-256 modulo 2^256, 64 lower-case hex digits: the same whatever the order. */
  readonly digest: string;
}

const WORDS = 8;
const WORD = 2 ** 32;
/** A double is exact up to 2^53, which is 2^21 words of 32 bits. */
const SUMS_BETWEEN_CARRIES = 1_000_000;

/**
 * The order-independent digest of lines, without their newlines: the SHA-256 of each, read as a number, added up modulo
 * 2^256. Equal sums mean equal lines unless somebody made lines for it (sums of hashes can be forged with millions of
 * lines of one's choice); the parts' own SHA-256 and the signature are what guards against that.
 */
export class LineDigest {
  count = 0;
  /** The sum in words of 32 bits, least first, with carries not done yet. */
  private readonly words = new Float64Array(WORDS);
  private sums = 0;

  add(line: Uint8Array): void {
    this.sum(hash('sha256', line, 'buffer'));
    this.count++;
  }

  merge({ count, digest }: LineTotals): void {
    this.sum(Buffer.from(digest, 'hex'));
    this.count += count;
  }

  get totals(): LineTotals {
    this.carry();
    const sum = Buffer.alloc(4 * WORDS);
    for (let word = 0; word < WORDS; word++) sum.writeUInt32BE(this.words[word]!, 4 * (WORDS - 1 - word));
    return { count: this.count, digest: sum.toString('hex') };
  }

  private sum(digest: Buffer): void {
    for (let word = 0; word < WORDS; word++) this.words[word]! += digest.readUInt32BE(4 * (WORDS - 1 - word));
    if (++this.sums % SUMS_BETWEEN_CARRIES === 0) this.carry();
  }

  private carry(): void {
    let carried = 0;
    for (let word = 0; word < WORDS; word++) {
      const value = this.words[word]! + carried;
      this.words[word] = value % WORD;
      carried = Math.floor(value / WORD);
    }
  }
}
