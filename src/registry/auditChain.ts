import { createHash } from 'node:crypto';

/** What the first row follows. */
export const GENESIS = '0'.repeat(64);

/** What a row's hash covers, beside the hash before it. */
export interface AuditContent {
  readonly seq: number;
  readonly at: Date;
  readonly principal: string;
  readonly verb: string;
  readonly tenant: string;
  readonly operation: string | null;
  readonly outcome: string;
  readonly reason: string;
  readonly detail: unknown;
}

/** One row of the chain. Hashes are SHA-256 in lower-case hex. */
export interface AuditLink extends AuditContent {
  readonly previous: string;
  readonly hash: string;
}

/** A row by its number and hash: noted elsewhere, it proves later that nothing up to it was changed or cut off. */
export interface AuditHead {
  readonly seq: number;
  readonly hash: string;
}

export interface AuditVerdict {
  /** Checked, the broken one included. */
  readonly rows: number;
  /** Hash of the last good row. */
  readonly head: string;
  /**
   * The first `seq` that was changed, put in, or follows a row that was taken out. Of a noted head that is not reached: the
   * first row that is gone.
   */
  readonly brokenAt?: number;
  /** Says what is wrong there. */
  readonly problem?: string;
}

/**
 * Computes every hash again, from the first row on or from what follows `after`. Rows cut off at the end leave a whole chain: only a noted head tells
 * of it. Somebody who can write every row can make another chain, whole in itself: it has other hashes than were noted.
 */
export async function verifyChain(
  links: AsyncIterable<AuditLink>,
  noted?: AuditHead,
  after: AuditHead = { seq: 0, hash: GENESIS },
): Promise<AuditVerdict> {
  let head = after.hash;
  let count = after.seq;
  for await (const link of links) {
    count++;
    const problem = problemOf(link, count, head) ?? problemOfNoted(link, noted);
    if (problem !== undefined) return { rows: count, head, brokenAt: link.seq, problem };
    head = link.hash;
  }
  if (noted === undefined || noted.seq <= count) return { rows: count, head };
  const problem = `the chain ends at row ${count}, before the noted row ${noted.seq}: rows were cut off`;
  return { rows: count, head, brokenAt: count + 1, problem };
}

function problemOf(link: AuditLink, expected: number, previous: string): string | undefined {
  if (link.seq !== expected) return `row ${link.seq} comes where row ${expected} belongs`;
  if (link.previous !== previous) return `row ${link.seq} does not follow the row before it`;
  if (link.hash !== hashOf(link, previous)) return `row ${link.seq} is not what was written`;
  return undefined;
}

function problemOfNoted(link: AuditLink, noted: AuditHead | undefined): string | undefined {
  if (noted === undefined || link.seq !== noted.seq || link.hash === noted.hash) return undefined;
  return `row ${link.seq} is another one than was noted: the chain was written anew`;
}

export function hashOf(row: AuditContent, previous: string): string {
  const { seq, at, principal, verb, tenant, operation, outcome, reason, detail } = row;
  const text = JSON.stringify([
    seq,
    at.toISOString(),
    principal,
    verb,
    tenant,
    operation,
    outcome,
    reason,
    canonical(detail),
    previous,
  ]);
  return createHash('sha256').update(text).digest('hex');
}

/**
 * jsonb keeps no key order: sorted keys give the same text before and after. An object becomes a list of pairs and a
 * list an object of one key, so that neither can stand for the other under one hash.
 */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return { list: value.map(canonical) };
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, canonical(inner)]);
}
