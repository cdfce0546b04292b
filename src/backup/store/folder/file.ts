import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { PutObject } from '../store.js';

const PIECE = 256 << 10;

/** Writes all of it, from `position` on. */
export async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** Reads a file from its beginning, each piece in a buffer of its own. */
export async function* readFile(handle: FileHandle, signal?: AbortSignal): AsyncGenerator<Buffer, void> {
  for (let at = 0; ;) {
    signal?.throwIfAborted();
    const buffer = Buffer.allocUnsafeSlow(PIECE);
    const { bytesRead } = await handle.read(buffer, 0, PIECE, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** What the file system holds of it. */
export async function digestOf(handle: FileHandle, signal?: AbortSignal): Promise<PutObject> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const piece of readFile(handle, signal)) {
    hash.update(piece);
    size += piece.length;
  }
  return { size, sha256: hash.digest('hex') };
}
