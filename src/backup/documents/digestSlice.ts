import { type CountedDigest, sumOf } from '../../domain/lineDigests.js';
import type { VisitSource } from '../../vespa/visit.js';
import { digestOfLines } from '../digest.js';
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
): Promise<CountedDigest> {
  let parts: CountedDigest[] = [];
  await backUpSlice(source, slice, {
    ...options,
    writePart: (_, lines) => digestOfLines(lines),
    onPart: async (_, part) => void parts.push(part),
    onRestart: async () => void (parts = []),
  });
  return sumOf(parts);
}

/** Count and digest of a schema: those of its backup when nothing differs. @throws as {@link backUpSlice} */
export async function digestSchema(
  source: VisitSource,
  documents: SchemaDocuments,
  slices: number,
  options: DigestOptions = {},
): Promise<CountedDigest> {
  const all = await inSlices(
    documents,
    slices,
    (slice, signal) => digestSlice(source, slice, { ...options, signal }),
    options.signal,
  );
  return sumOf(all);
}
