import { type FileHandle, open, statfs } from 'node:fs/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { OpsError } from '../../domain/errors.js';
import { NoRoom } from '../noRoom.js';
import { BrokenObject, openObject } from './objectStream.js';

export interface Downloaded {
  /** Bytes. */
  readonly size: number;
  readonly etag: string;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** A larger object is refused before its first byte. */
  readonly maxBytes?: number;
  /** How long it may give no byte before it counts as cut off. */
  readonly stallMs?: number;
}

/** How often an object whose bytes are not the right ones is fetched. */
const TRIES = 5;
/** Left free on the disk: ffmpeg, logs and others need some of it. */
const SPARE_BYTES = 64 << 20;

/**
 * Fetches one object into a new file: the file is that object, whole, or this throws.
 *
 * @returns undefined when there is no such object
 * @throws OpsError `Rejected` when larger than allowed; what S3 refuses as the SDK's exceptions; plain errors for what may
 *   pass: no room on the disk, changed meanwhile, cut off again and again
 */
export async function download(
  client: S3Client,
  at: { readonly Bucket: string; readonly Key: string },
  file: string,
  options: DownloadOptions = {},
): Promise<Downloaded | undefined> {
  const handle = await open(file, 'wx', 0o600);
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await fetchInto(handle, file, client, at, options);
      } catch (error) {
        const damaged = error instanceof BrokenObject && error.how === 'damaged';
        if (!damaged || attempt === TRIES) throw error;
      }
    }
  } finally {
    await handle.close();
  }
}

async function fetchInto(
  handle: FileHandle,
  file: string,
  client: S3Client,
  at: { readonly Bucket: string; readonly Key: string },
  { maxBytes, ...options }: DownloadOptions,
): Promise<Downloaded | undefined> {
  const object = await openObject(client, at, options);
  if (object === undefined) return undefined;
  try {
    const { size, etag } = object;
    if (size > (maxBytes ?? Infinity)) throw new OpsError('Rejected', `larger than ${maxBytes} bytes`);
    await needRoom(file, size);
    let written = 0;
    for await (const chunk of object.bytes) {
      await writeAll(handle, chunk, written);
      written += chunk.length;
    }
    await handle.truncate(written);
    return { size, etag };
  } finally {
    object.close();
  }
}

async function needRoom(file: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(file);
  if (bavail * bsize >= bytes + SPARE_BYTES) return;
  throw new NoRoom(`no room for ${bytes} bytes in the temporary folder of the data worker (TMPDIR)`);
}

async function writeAll(handle: FileHandle, chunk: Buffer, position: number): Promise<void> {
  try {
    for (let done = 0; done < chunk.length;) {
      const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done);
      done += bytesWritten;
    }
  } catch (error) {
    const message = (error as Error).message;
    if (!['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw new Error(`cannot write to the temporary folder: ${message}`, { cause: error });
    throw new NoRoom('the temporary folder of the data worker (TMPDIR) is full', { cause: error });
  }
}
