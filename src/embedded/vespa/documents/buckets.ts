import { hash } from 'node:crypto';

/** Vespa splits its buckets as they grow; here they are small from the start: 50 documents each in a type of 200,000. */
const BUCKET_DIGITS = 3;
export const BUCKETS = 16 ** BUCKET_DIGITS;

/** The bucket of a document, from its id's MD5 as Vespa's are. */
function bucketOf(id: string): number {
  return Number.parseInt(hash('md5', id).slice(0, BUCKET_DIGITS), 16);
}

/**
 * Ids by bucket: a visit goes from bucket to bucket, so any of them is found at once and within one no order is kept. An
 * id costs the reference to it.
 */
export class Buckets {
  private readonly filled = new Map<number, string[]>();

  /** @param id not in it yet */
  add(id: string): void {
    const bucket = bucketOf(id);
    const ids = this.filled.get(bucket);
    if (ids === undefined) this.filled.set(bucket, [id]);
    else ids.push(id);
  }

  remove(id: string): void {
    const bucket = bucketOf(id);
    const left = this.filled.get(bucket)?.filter((other) => other !== id) ?? [];
    if (left.length === 0) this.filled.delete(bucket);
    else this.filled.set(bucket, left);
  }

  /** As they are now: what is written later does not show in it. */
  idsOf(bucket: number): readonly string[] {
    return this.filled.get(bucket)?.slice() ?? [];
  }
}
