/**
 * Items in batches of so many and about so many bytes, in order; an item that is larger comes alone.
 *
 * @param bytes of one item
 */
export async function* batches<T>(
  items: AsyncIterable<T>,
  max: { readonly items: number; readonly bytes: number },
  bytes: (item: T) => number,
): AsyncGenerator<T[]> {
  let batch: T[] = [];
  let size = 0;
  for await (const item of items) {
    const more = bytes(item);
    if (batch.length > 0 && (batch.length >= max.items || size + more > max.bytes)) {
      yield batch;
      batch = [];
      size = 0;
    }
    batch.push(item);
    size += more;
  }
  if (batch.length > 0) yield batch;
}
