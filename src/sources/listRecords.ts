import { createReadStream } from 'node:fs';

/** Longer than any path that can be opened, and no more of a record is kept: a file of one line costs no memory. */
export const LONGEST_RECORD = 8192;

const [ZERO, NEWLINE] = [0, 10];

/**
 * The paths in a list: records between zero bytes when the file holds one, as `find -print0` writes, else lines, of which
 * blank ones and those that begin with `#` are left out. UTF-8; what is not becomes U+FFFD. Streamed, the file twice.
 */
export async function* listRecords(file: string, signal?: AbortSignal): AsyncGenerator<string, void> {
  const zeroes = await holdsZero(file, signal);
  let first = true;
  for await (const record of split(chunks(file, signal), zeroes ? ZERO : NEWLINE)) {
    const text = decode(record, first);
    first = false;
    if (zeroes) {
      if (text !== '') yield text;
      continue;
    }
    const line = text.endsWith('\r') ? text.slice(0, -1) : text;
    if (line.trim() !== '' && !line.startsWith('#')) yield line;
  }
}

function chunks(file: string, signal: AbortSignal | undefined): AsyncIterable<Buffer> {
  return createReadStream(file, { highWaterMark: 1 << 18, ...(signal ? { signal } : {}) });
}

async function holdsZero(file: string, signal: AbortSignal | undefined): Promise<boolean> {
  for await (const chunk of chunks(file, signal)) if (chunk.includes(ZERO)) return true;
  return false;
}

async function* split(stream: AsyncIterable<Buffer>, separator: number): AsyncGenerator<Buffer, void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    let from = 0;
    for (let at = chunk.indexOf(separator); at >= 0; at = chunk.indexOf(separator, from)) {
      yield joined(rest, chunk.subarray(from, at));
      rest = Buffer.alloc(0);
      from = at + 1;
    }
    rest = joined(rest, chunk.subarray(from));
  }
  if (rest.length > 0) yield rest;
}

function joined(rest: Buffer, more: Buffer): Buffer {
  const kept = more.subarray(0, LONGEST_RECORD - rest.length);
  return rest.length === 0 ? Buffer.from(kept) : Buffer.concat([rest, kept]);
}

/** Windows editors begin a file with a mark that is no part of its first name. */
function decode(record: Buffer, first: boolean): string {
  return new TextDecoder('utf-8', { ignoreBOM: !first }).decode(record);
}
