import { addDigests, noLines } from '../../domain/lineDigests.js';
import type { VisitSource } from '../../vespa/visit.js';
import { LineDigest } from '../digest.js';
import { backUpSlice } from './backUpSlice.js';
import { type SchemaDocuments, type Slice, inSlices } from './slices.js';

/** What two sets of documents are compared by. */
export interface DocumentTotals {
  readonly count: number;
  /** Sum of the lines' SHA-256 modulo 2^256 in 64 hex digits, as in the manifest. */
  readonly digest: string;
}

export interface DigestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with each batch of lines. */
  readonly heartbeat?: () => void;
}

const NOTHING: DocumentTotals = { count: 0, digest: noLines };

/** Count and digest of what {@link backUpSlice} would write now. @throws as it does */
export async function digestSlice(
  source: VisitSource,
  slice: Slice,
  options: DigestOptions = {},
): Promise<DocumentTotals> {
  let totals = NOTHING;
  await backUpSlice(source, slice, {
    ...options,
    writePart: (_, lines) => digestLines(lines),
    onPart: async (_, part) => void (totals = sumOf(totals, part)),
    onRestart: async () => void (totals = NOTHING),
  });
  return totals;
}

/** Count and digest of a schema: those of its backup when nothing differs. @throws as {@link backUpSlice} */
export async function digestSchema(
  source: VisitSource,
  documents: SchemaDocuments,
  slices: number,
  options: DigestOptions = {},
): Promise<DocumentTotals> {
  const all = await inSlices(
    documents,
    slices,
    (slice, signal) => digestSlice(source, slice, { ...options, signal }),
    options.signal,
  );
  return all.reduce(sumOf, NOTHING);
}

function sumOf(a: DocumentTotals, b: DocumentTotals): DocumentTotals {
  return { count: a.count + b.count, digest: addDigests(a.digest, b.digest) };
}

async function digestLines(lines: AsyncIterable<Buffer>): Promise<DocumentTotals> {
  const digest = new LineDigest();
  for await (const line of lines) digest.add(line);
  return { count: digest.count, digest: digest.digest };
}
