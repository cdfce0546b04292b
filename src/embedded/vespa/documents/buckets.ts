import { hash } from 'node:crypto';

/** Vespa splits its buckets as they grow; here they are small from the start: 50 documents each in a type of 200,000. */
const BUCKET_DIGITS = 3;
export const BUCKETS = 16 ** BUCKET_DIGITS;

/** The bucket of a document, from its id's MD5 as Vespa's are. */
function bucketOf(id: string): number {
  return Number.parseInt(hash('md5', id).slice(0, BUCKET_DIGITS), 16);
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
