import { hash, randomBytes } from 'node:crypto';

/** 64 MiB of hashes. */
const MAX_HELD = 2 ** 23;

/**
 * Finds ids that occur twice among any number, in bounded memory: by 64 bits of a hash each, and when there are too many
 * for one go, in several, each of which holds another share of the hashes.
 *
 * No doubled id is missed. Of n ids that all differ some are taken for doubled with a chance of n² / 2^65: 3 in a million
 * for 10 million ids.
 */
export class IdsOnce {
  private readonly passes: bigint;
  private readonly held: BigUint64Array;
  private size = 0;
  private pass = 0n;
  /** Nobody can choose ids that fall into one share. */
  private readonly salt = randomBytes(16).toString('hex');

  /** @param expected how many ids there are at most; each pass must bring the same */
  constructor(expected: number, most = MAX_HELD) {
    const passes = Math.max(1, Math.ceil(expected / most));
    const share = expected / passes;
    // Shares differ by chance: by eight standard deviations never.
    this.held = new BigUint64Array(passes === 1 ? expected : Math.ceil(share + 8 * Math.sqrt(share)) + 64);
    this.passes = BigInt(passes);
  }

  add(id: string): void {
    const value = BigInt(`0x${hash('sha256', this.salt + id).slice(0, 16)}`);
    if (value % this.passes !== this.pass) return;
    if (this.size === this.held.length) throw new RangeError('more ids than were said');
    this.held[this.size++] = value;
  }

  /** After a pass. @returns how many ids of its share had occurred before, and whether another pass is needed */
  endPass(): { readonly twice: number; readonly again: boolean } {
    const sorted = this.held.subarray(0, this.size).sort();
    let twice = 0;
    for (let i = 1; i < sorted.length; i++) if (sorted[i] === sorted[i - 1]) twice++;
    this.size = 0;
    this.pass++;
    return { twice, again: this.pass < this.passes };
  }
}
