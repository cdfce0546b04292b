import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { orAborted } from '../../orAborted.js';

/** One object, opened. */
export interface ObjectStream {
  /** Bytes. */
  readonly size: number;
  readonly etag: string;
  /** The object, whole, or an error: `BrokenObject`, or what S3 refuses as the SDK's exceptions. */
  readonly bytes: AsyncGenerator<Buffer, void>;
  /** For one that is not read, or not to its end. */
  close(): void;
}

export interface ObjectStreamOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long it may give no byte before it counts as cut off. */
  readonly stallMs?: number;
  /** Only the object of this ETag. */
  readonly etag?: string | undefined;
}

/** An object that was begun and could not be read to its end. */
export class BrokenObject extends Error {
  constructor(
    message: string,
    /** `changed`: another one has its name. `cutOff`: an outage. `damaged`: all came, and is not what was stored. */
    readonly how: 'changed' | 'cutOff' | 'damaged',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Cut off this often without a single byte in between, it is the source's or the network's outage. */
const FRUITLESS = 4;

interface Address {
  readonly Bucket: string;
  readonly Key: string;
}

/**
 * Opens an object. Cut off, it goes on where it stood, on the condition that the object is the same one; whoever reads
 * slowly is not cut off for it.
 *
 * @returns undefined when there is no such object
 * @throws what S3 refuses, as the SDK's exceptions; `BrokenObject` when it is of another ETag than wanted
 */
export async function openObject(
  client: S3Client,
  at: Address,
  options: ObjectStreamOptions = {},
): Promise<ObjectStream | undefined> {
  const { signal } = options;
  let first: GetObjectCommandOutput;
  try {
    first = await ask(client, at, 0, options.etag, signal);
  } catch (error) {
    signal?.throwIfAborted();
    if (isMissing(error)) return undefined;
    throw error;
  }
  const body = bodyOf(first);
  const { ContentLength: size, ETag: etag } = first;
  if (size === undefined || etag === undefined) {
    body.destroy();
    throw new Error('S3 answered without the length or the ETag of an object');
  }
  return {
    size,
    etag,
    bytes: readOn(client, at, { size, etag }, body, options),
    close: () => void body.destroy(),
  };
}

async function* readOn(
  client: S3Client,
  at: Address,
  { size, etag }: { readonly size: number; readonly etag: string },
  first: Readable,
  { signal, stallMs = 60_000 }: ObjectStreamOptions,
): AsyncGenerator<Buffer, void> {
  let body: Readable | undefined = first;
  let read = 0;
  for (let fruitless = 0; ;) {
    const before = read;
    let cutOff: unknown;
    try {
      let skip = 0;
      if (body === undefined) {
        const answer = await ask(client, at, read, etag, signal);
        body = bodyOf(answer);
        // A server that knows no ranges begins anew, and may know no conditions either.
        if (answer.ETag !== etag) throw new BrokenObject('the object changed while it was read', 'changed');
        if (read > 0 && !answer.ContentRange?.startsWith(`bytes ${read}-`)) skip = read;
      }
      for await (const chunk of chunks(body, stallMs, signal)) {
        const rest = chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - rest.length;
        if (read + rest.length > size) throw new BrokenObject('S3 sent more than the object has', 'damaged');
        read += rest.length;
        if (rest.length > 0) yield rest;
      }
      if (read === size) return;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof S3ServiceException || error instanceof BrokenObject) throw error;
      if (read === size)
        throw new BrokenObject('S3 sent other bytes than it stored', 'damaged', { cause: error });
      cutOff = error;
    } finally {
      // One that is left unread would keep its connection.
      body?.destroy();
    }
    body = undefined;
    fruitless = read > before ? 0 : fruitless + 1;
    if (fruitless > FRUITLESS)
      throw new BrokenObject(
        `S3 cut it off at byte ${read} of ${size}`,
        'cutOff',
        cutOff === undefined ? {} : { cause: cutOff },
      );
    await wait(100 * 2 ** fruitless, undefined, signal ? { signal } : {});
  }
}

async function ask(
  client: S3Client,
  at: Address,
  from: number,
  etag: string | undefined,
  signal: AbortSignal | undefined,
): Promise<GetObjectCommandOutput> {
  const condition = etag === undefined ? {} : { IfMatch: etag };
  const range = from === 0 ? {} : { Range: `bytes=${from}-` };
  try {
    const command = new GetObjectCommand({ ...at, ...condition, ...range });
    return await orAborted(client.send(command, signal ? { abortSignal: signal } : {}), signal);
  } catch (error) {
    if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412)
      throw new BrokenObject('the object changed while it was read', 'changed', { cause: error });
    throw error;
  }
}

/** The chunks of a body, each awaited for so long; time in which nobody asks for one does not count. */
async function* chunks(
  body: Readable,
  stallMs: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void> {
  signal?.throwIfAborted();
  const stop = () => body.destroy(new Error('aborted'));
  signal?.addEventListener('abort', stop, { once: true });
  const silence = () => body.destroy(new Error(`nothing for ${stallMs} ms`));
  let timer = setTimeout(silence, stallMs);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      clearTimeout(timer);
      yield chunk;
      timer = setTimeout(silence, stallMs);
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

function bodyOf({ Body }: GetObjectCommandOutput): Readable {
  if (!(Body instanceof Readable)) throw new Error('S3 answered without the body of an object');
  // A loop over it stops listening at the first sign of an abort, and Node then throws the error at the whole process.
  return Body.on('error', () => undefined);
}

function isMissing(error: unknown): boolean {
  if (!(error instanceof S3ServiceException)) return false;
  return (
    error.name === 'NoSuchKey' || (error.$metadata.httpStatusCode === 404 && error.name !== 'NoSuchBucket')
  );
}
