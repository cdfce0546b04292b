import { hash } from 'node:crypto';

/** Vespa splits its buckets as they grow; here they are small from the start: 50 documents each in a type of 200,000. */
const BUCKET_DIGITS = 3;
export const BUCKETS = 16 ** BUCKET_DIGITS;

/** By MD5 of its id, as Vespa's; documents of a group or number are together, as they are there. */
function bucketOf(id: string): number {
  const [, number, group] = /^id:[^:]*:[^:]*:(?:n=(-?\d+)|g=([^:]*)):/.exec(id) ?? [];
  return number === undefined && group === undefined
    ? hashed(id)
    : bucketOfAll({ group, number: number === undefined ? undefined : BigInt(number) })!;
}

/** The bucket that holds all documents of a group or number; undefined where neither is named. */
export function bucketOfAll(of: {
  readonly group?: string | undefined;
  readonly number?: bigint | undefined;
}): number | undefined {
  if (of.number !== undefined) return Number(BigInt.asUintN(4 * BUCKET_DIGITS, of.number));
  return of.group === undefined ? undefined : hashed(of.group);
}

function hashed(text: string): number {
  return Number.parseInt(hash('md5', text).slice(0, BUCKET_DIGITS), 16);
}

/**
 * Documents by bucket: a visit goes from bucket to bucket, so any of them is found at once and within one no order is
 * kept. A document costs the reference to it.
 */
export class Buckets<T extends { readonly id: string }> {
  private readonly filled = new Map<number, T[]>();

  /** @param document not in it yet */
  add(document: T): void {
    const bucket = bucketOf(document.id);
    const documents = this.filled.get(bucket);
    if (documents === undefined) this.filled.set(bucket, [document]);
    else documents.push(document);
  }

  remove(document: T): void {
    const bucket = bucketOf(document.id);
    const left = this.filled.get(bucket)?.filter((other) => other !== document) ?? [];
    if (left.length === 0) this.filled.delete(bucket);
    else this.filled.set(bucket, left);
  }

  /** As they are now: what is added later does not show in it. */
  of(bucket: number): readonly T[] {
    return this.filled.get(bucket)?.slice() ?? [];
  }
}
