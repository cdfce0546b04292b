import { javaHashCode } from '../domain/naming.js';

/** Two fifths each to fit and to judge by, one to choose by. */
const PARTS = ['train', 'train', 'validation', 'heldOut', 'heldOut'] as const;
export type Part = (typeof PARTS)[number];

/** Which part a sample is of, by its key: the same in every retraining, so that none was ever fitted and judged by. */
export function partOf(key: string): Part {
  // The last bits of the hash alone follow the key's last character.
  let mixed = javaHashCode(key);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return PARTS[((mixed ^ (mixed >>> 16)) >>> 0) % PARTS.length]!;
}
