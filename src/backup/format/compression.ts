import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { BACKUP_LIMITS } from '../../domain/backupLimits.js';

const PIECE_BYTES = 256 * 1024;
/** From this length on a line is mostly digits of vectors. */
const LONG_LINE = 16 * 1024;
const NEWLINE = 0x0a;

/**
 * zstd, level 1, without matches of fewer than 7 bytes. Random hex digits have hardly any match at all: there a table of
 * few candidates costs 2 % of the ratio and compresses three times as fast; lines of text need the larger one.
 *
 * @param text lines, in pieces that are not small; the first one shows what they are like
 */
export async function* compressed(text: AsyncIterable<Buffer>, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const pieces = text[Symbol.asyncIterator]();
  const first = await pieces.next();
  const end = first.done ? -1 : first.value.indexOf(NEWLINE);
  const zstd = createZstdCompress({
    chunkSize: PIECE_BYTES,
    params: {
      [constants.ZSTD_c_compressionLevel]: 1,
      [constants.ZSTD_c_minMatch]: 7,
      [constants.ZSTD_c_hashLog]: end < LONG_LINE ? 14 : 8,
    },
  });
  yield* through(again(first, pieces), zstd, signal);
}

/** @throws DecompressionError when the bytes are not one whole compressed text */
export async function* decompressed(
  stored: AsyncIterable<Buffer>,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const zstd = createZstdDecompress({
    chunkSize: PIECE_BYTES,
    params: { [constants.ZSTD_d_windowLogMax]: BACKUP_LIMITS.windowLog },
  });
  let other: unknown;
  try {
    yield* through(noting(stored), zstd, signal);
  } catch (error) {
    if (other !== undefined || signal?.aborted) throw error;
    throw new DecompressionError(
      `it cannot be decompressed (${(error as NodeJS.ErrnoException).code ?? 'zstd'})`,
      {
        cause: error,
      },
    );
  }

  async function* noting(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let given = false;
    try {
      for await (const piece of source) {
        given = true;
        yield piece;
        given = false;
      }
    } catch (error) {
      // A stream that fails throws its own failure into its source, where it waits.
      if (!given) other = error;
      throw error;
    }
  }
}

export class DecompressionError extends Error {
  override readonly name = 'DecompressionError';
}

async function* through(
  source: AsyncIterable<Buffer>,
  transform: Transform,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const done = pipeline(Readable.from(source, { objectMode: true, highWaterMark: 1 }), transform, {
    ...(signal ? { signal } : {}),
  });
  // It is awaited below; a reader that stops early has no interest in how it ends.
  done.catch(() => undefined);
  try {
    for await (const piece of transform) yield piece as Buffer;
    await done;
  } finally {
    transform.destroy();
  }
}

async function* again(
  first: IteratorResult<Buffer, unknown>,
  rest: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer> {
  try {
    for (let next = first; !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
