import { type FileHandle, open, statfs } from 'node:fs/promises';
import { Readable, addAbortSignal } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { OpsError } from '../../domain/errors.js';
import { NoRoom } from '../noRoom.js';

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

/** Cut off this often without a single byte in between, it is the source's or the network's outage. */
const FRUITLESS = 4;
/** Left free on the disk: ffmpeg, logs and others need some of it. */
const SPARE_BYTES = 64 << 20;

/**
 * Fetches one object into a new file. Cut off, it goes on where it stood, on the condition that the object is the same
 * one: the file is that object, whole, or this throws.
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
    return await fetchInto(handle, file, client, at, options);
  } finally {
    await handle.close();
  }
}

async function fetchInto(
  handle: FileHandle,
  file: string,
  client: S3Client,
  at: { readonly Bucket: string; readonly Key: string },
  { signal, maxBytes, stallMs = 60_000 }: DownloadOptions,
): Promise<Downloaded | undefined> {
  let object: Downloaded | undefined;
  let written = 0;
  for (let fruitless = 0; ;) {
    signal?.throwIfAborted();
    const watch = new Watchdog(stallMs);
    const abortSignal = signal ? AbortSignal.any([signal, watch.signal]) : watch.signal;
    const before = written;
    let cutOff: unknown;
    let body: Readable | undefined;
    try {
      const condition = object === undefined ? {} : { IfMatch: object.etag };
      const range = written === 0 ? {} : { Range: `bytes=${written}-` };
      const answer = await client.send(new GetObjectCommand({ ...at, ...condition, ...range }), {
        abortSignal,
      });
      body = bodyOf(answer);
      if (object === undefined) {
        object = described(answer);
        if (object.size > (maxBytes ?? Infinity))
          throw new OpsError('Rejected', `larger than ${maxBytes} bytes`);
        await needRoom(file, object.size);
      }
      // A server that knows no ranges begins anew.
      if (written > 0 && !answer.ContentRange?.startsWith(`bytes ${written}-`)) written = 0;
      for await (const chunk of addAbortSignal(abortSignal, body) as AsyncIterable<Buffer>) {
        watch.alive();
        await writeAll(handle, chunk, written);
        written += chunk.length;
      }
      if (written === object.size) {
        await handle.truncate(written);
        return object;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (isMissing(error) && object === undefined) return undefined;
      if (isPrecondition(error)) throw new Error('the object changed while it was read', { cause: error });
      // Nothing was begun: no credentials, no network, which the SDK has tried again by itself.
      if (object === undefined) throw error;
      if (error instanceof OpsError || error instanceof S3ServiceException || isLocal(error)) throw error;
      cutOff = error;
    } finally {
      watch.end();
      // One that was refused unread would keep its connection.
      body?.destroy();
    }
    // All bytes, or more, and yet an error: they are not the right ones.
    if (written >= object.size) written = 0;
    fruitless = written > before ? 0 : fruitless + 1;
    if (fruitless > FRUITLESS)
      throw new Error(
        `S3 cut it off at byte ${written} of ${object.size}`,
        cutOff === undefined ? {} : { cause: cutOff },
      );
    await wait(100 * 2 ** fruitless, undefined, signal ? { signal } : {});
  }
}

function bodyOf({ Body }: GetObjectCommandOutput): Readable {
  if (!(Body instanceof Readable)) throw new Error('S3 answered without the body of an object');
  // A loop over it stops listening at the first sign of an abort, and Node then throws the error at the whole process.
  return Body.on('error', () => undefined);
}

function described({ ContentLength, ETag }: GetObjectCommandOutput): Downloaded {
  if (ContentLength === undefined || ETag === undefined)
    throw new Error('S3 answered without the length or the ETag of an object');
  return { size: ContentLength, etag: ETag };
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
    if (!['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw new Local(error);
    throw new NoRoom('the temporary folder of the data worker (TMPDIR) is full', { cause: error });
  }
}

/** Failed on this machine: asking S3 again does not help. */
class Local extends Error {
  constructor(cause: unknown) {
    super(`cannot write to the temporary folder: ${(cause as Error).message}`, { cause });
  }
}

function isLocal(error: unknown): boolean {
  return error instanceof NoRoom || error instanceof Local;
}

function isMissing(error: unknown): boolean {
  if (!(error instanceof S3ServiceException)) return false;
  return (
    error.name === 'NoSuchKey' || (error.$metadata.httpStatusCode === 404 && error.name !== 'NoSuchBucket')
  );
}

function isPrecondition(error: unknown): boolean {
  return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412;
}

/** Aborts when nothing has been heard for a while. */
class Watchdog {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;

  constructor(ms: number) {
    this.timer = setTimeout(() => this.controller.abort(new Error(`nothing for ${ms} ms`)), ms);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  alive(): void {
    this.timer.refresh();
  }

  end(): void {
    clearTimeout(this.timer);
  }
}
