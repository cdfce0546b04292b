/**
 * The text of a body, as long as it is no longer than it may be.
 *
 * @param body chunks of bytes
 * @returns undefined when it is longer; the rest is not read
 */
export async function readBounded(
  body: AsyncIterable<unknown>,
  maxBytes: number,
): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
