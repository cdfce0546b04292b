import { createReadStream } from 'node:fs';

const NEWLINE = 10;

/** A file is not made of the lines it should be: what is wrong, for a message. */
export class BadLinesError extends Error {}

/**
 * The lines of a file, each without its newline, as bytes: no other character ends one (`readline` takes U+2028, which
 * JSON may hold, for one).
 *
 * @throws BadLinesError for a line above the limit, and a last one without its newline; the system's errors
 */
export async function* readLines(
  file: string,
  maxBytes: number,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  let begun: Buffer = Buffer.alloc(0);
  const chunks = createReadStream(file, { highWaterMark: 1 << 18, ...(signal ? { signal } : {}) });
  for await (const chunk of chunks as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, from)) >= 0; from = end + 1) {
      const rest = chunk.subarray(from, end);
      yield begun.length === 0 ? rest : Buffer.concat([begun, rest]);
      begun = Buffer.alloc(0);
    }
    begun = Buffer.concat([begun, chunk.subarray(from)]);
    if (begun.length > maxBytes) throw new BadLinesError('a line is above the limit');
  }
  if (begun.length > 0) throw new BadLinesError('its last line has no end');
}
