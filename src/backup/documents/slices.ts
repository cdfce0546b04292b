/** The documents of a schema. */
export interface SchemaDocuments {
  /** Content cluster. */
  readonly cluster: string;
  /** Physical schema. */
  readonly schema: string;
  readonly namespace?: string | undefined;
  /** Of each document; all of it when left out. */
  readonly fieldSet?: string;
}

/** A share of them; together the slices of one number of slices hold every document once. */
export interface Slice extends SchemaDocuments {
  readonly slices: number;
  readonly sliceId: number;
}

const MAX_SLICES = 16;
const DOCUMENTS_PER_SLICE = 5_000;

/** How many slices to visit at a time: 4 or, for many documents, up to 16; 1 for next to none. Any number is right. */
export function slicesFor(documents: number): number {
  if (documents < 100) return 1;
  return Math.min(MAX_SLICES, Math.max(4, Math.ceil(documents / DOCUMENTS_PER_SLICE)));
}

/**
 * Runs something for each slice at a time. The first failure ends the others, and is thrown when all have ended.
 *
 * @returns the results, by slice
 */
export async function inSlices<T>(
  documents: SchemaDocuments,
  slices: number,
  run: (slice: Slice, signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T[]> {
  const failed = new AbortController();
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  let first: { readonly error: unknown } | undefined;
  const results = await Promise.all(
    Array.from({ length: slices }, (_, sliceId) =>
      run({ ...documents, slices, sliceId }, either).catch((error: unknown) => {
        first ??= { error };
        failed.abort(error);
        return undefined;
      }),
    ),
  );
  if (first !== undefined) throw first.error;
  return results as T[];
}
