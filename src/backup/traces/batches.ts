export interface Sized<T> {
  readonly content: T;
  /** Of its line. */
  readonly bytes: number;
}

/** Contents in batches of so many and about so many bytes, in order; one that is larger comes alone. */
export async function* batches<T>(
  contents: AsyncIterable<Sized<T>>,
  max: { readonly items: number; readonly bytes: number },
): AsyncGenerator<T[]> {
  let batch: T[] = [];
  let size = 0;
  for await (const { content, bytes } of contents) {
    if (batch.length > 0 && (batch.length >= max.items || size + bytes > max.bytes)) {
      yield batch;
      batch = [];
      size = 0;
    }
    batch.push(content);
    size += bytes;
  }
  if (batch.length > 0) yield batch;
}
