import type { VisitSource } from '../../vespa/visit.js';
import { LineDigest, type LineTotals } from '../lineDigest.js';
import { backUpSlice } from './backUpSlice.js';
import { type SchemaDocuments, type Slice, inSlices } from './slices.js';

export interface DigestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with each batch of lines. */
  readonly heartbeat?: () => void;
}

/** Count and digest of what {@link backUpSlice} would write now. @throws as it does */
export async function digestSlice(
  source: VisitSource,
  slice: Slice,
  options: DigestOptions = {},
): Promise<LineTotals> {
  let digest = new LineDigest();
  await backUpSlice(source, slice, {
    ...options,
    writePart: (_, lines) => digestLines(lines),
    onPart: async (_, part) => digest.merge(part),
    onRestart: async () => void (digest = new LineDigest()),
  });
  return digest.totals;
}

/** Count and digest of a schema: equal to the sum of its backup's parts when nothing differs. */
export async function digestSchema(
  source: VisitSource,
  documents: SchemaDocuments,
  slices: number,
  options: DigestOptions = {},
): Promise<LineTotals> {
  const digest = new LineDigest();
  const all = await inSlices(
    documents,
    slices,
    (slice, signal) => digestSlice(source, slice, { ...options, signal }),
    options.signal,
  );
  for (const totals of all) digest.merge(totals);
  return digest.totals;
}

async function digestLines(lines: AsyncIterable<Buffer>): Promise<LineTotals> {
  const digest = new LineDigest();
  for await (const line of lines) digest.add(line);
  return digest.totals;
}
