import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { StorePath } from '../../../domain/backups.js';
import { OpsError } from '../../../domain/errors.js';
import { quoteForMessage } from '../../../domain/ids.js';
import { piecesOf } from '../body.js';
import type { PutObject } from '../store.js';
import { type Requests, unlessRefused } from './requests.js';

/** Of one request. Two are in memory: one on its way, one being filled. */
export const PART_BYTES = 8 << 20;
/** S3's limit. */
const MOST_PARTS = 10_000;
const PUT = 's3:PutObject';

/** What was sent and what S3 said to it. */
export interface Sent extends PutObject {
  /** Base64: SHA-256 of the bytes; of several parts, that of their SHA-256s one after the other. */
  readonly checksum: string;
  /** What S3 says of it, if it knows such checksums. */
  readonly confirmed: string | undefined;
  /** Undefined when the answer to the last request was lost. */
  readonly etag: string | undefined;
}

export interface UploadTarget {
  readonly requests: Requests;
  readonly path: StorePath;
  readonly key: string;
  readonly signal: AbortSignal | undefined;
}

/**
 * Sends an object with checksums that S3 compares before it takes it: in one request, or in parts of `PART_BYTES`. A
 * failed upload is aborted.
 *
 * @throws the body's own error as it is
 */
export async function upload(
  target: UploadTarget,
  body: AsyncIterable<Uint8Array> | Uint8Array,
): Promise<Sent> {
  const parts = inParts(body, target.signal);
  try {
    const first = await parts.next();
    const second = first.done ? first : await parts.next();
    if (second.done) return await sendWhole(target, first.done ? Buffer.alloc(0) : first.value);
    return await sendParts(target, [first.value!, second.value], parts);
  } finally {
    await parts.return();
  }
}

async function sendWhole({ requests, path, key, signal }: UploadTarget, bytes: Buffer): Promise<Sent> {
  const digest = createHash('sha256').update(bytes).digest();
  const checksum = digest.toString('base64');
  const command = new PutObjectCommand({
    Bucket: requests.bucket,
    Key: key,
    Body: bytes,
    ContentLength: bytes.length,
    ChecksumSHA256: checksum,
  });
  const answer = await requests.call(PUT, path, signal, (options) => requests.client.send(command, options));
  const sha256 = digest.toString('hex');
  return { size: bytes.length, sha256, checksum, confirmed: answer.ChecksumSHA256, etag: answer.ETag };
}

async function sendParts(
  target: UploadTarget,
  begun: readonly Buffer[],
  rest: AsyncIterable<Buffer>,
): Promise<Sent> {
  const { requests, path, key, signal } = target;
  const at = { Bucket: requests.bucket, Key: key };
  const create = new CreateMultipartUploadCommand({ ...at, ChecksumAlgorithm: 'SHA256' });
  const { UploadId } = await requests.call(PUT, path, signal, (options) =>
    requests.client.send(create, options),
  );
  if (UploadId === undefined) throw new OpsError('Rejected', 'S3 began an upload without an id');
  const whole = createHash('sha256');
  const digests = createHash('sha256');
  const done: CompletedPart[] = [];
  let size = 0;
  let onItsWay: Promise<CompletedPart> | undefined;
  try {
    for await (const bytes of joined(begun, rest)) {
      const PartNumber = done.length + (onItsWay ? 2 : 1);
      if (PartNumber > MOST_PARTS) throw tooLarge(path);
      whole.update(bytes);
      const digest = createHash('sha256').update(bytes).digest();
      digests.update(digest);
      size += bytes.length;
      if (onItsWay) done.push(await onItsWay);
      onItsWay = sendPart(target, { UploadId, PartNumber }, bytes, digest.toString('base64'));
      // It is awaited with the next one; that may fail first.
      onItsWay.catch(() => undefined);
    }
    if (onItsWay) done.push(await onItsWay);
    const complete = new CompleteMultipartUploadCommand({
      ...at,
      UploadId,
      MultipartUpload: { Parts: done },
    });
    const answer = await requests.call(PUT, path, signal, (options) =>
      // Completed before, by an attempt whose answer was lost: what is there now tells.
      requests.client.send(complete, options).catch(unlessRefused('NoSuchUpload')),
    );
    return {
      size,
      sha256: whole.digest('hex'),
      checksum: digests.digest('base64'),
      confirmed: answer?.ChecksumSHA256,
      etag: answer?.ETag,
    };
  } catch (error) {
    // A part that arrives after the abort would stay.
    await onItsWay?.catch(() => undefined);
    const abort = new AbortMultipartUploadCommand({ ...at, UploadId });
    // Failing that, `sweep` finds it.
    await requests.client.send(abort).catch(() => undefined);
    throw error;
  }
}

async function sendPart(
  { requests, path, key, signal }: UploadTarget,
  part: { readonly UploadId: string; readonly PartNumber: number },
  bytes: Buffer,
  checksum: string,
): Promise<CompletedPart> {
  const command = new UploadPartCommand({
    Bucket: requests.bucket,
    Key: key,
    ...part,
    Body: bytes,
    ContentLength: bytes.length,
    ChecksumSHA256: checksum,
  });
  const { ETag, ChecksumSHA256 } = await requests.call(PUT, path, signal, (options) =>
    requests.client.send(command, options),
  );
  if (ChecksumSHA256 !== undefined && ChecksumSHA256 !== checksum) throw otherChecksum(path);
  return { PartNumber: part.PartNumber, ETag, ChecksumSHA256: checksum };
}

/**
 * Whether a checksum that S3 answers with is that of what was sent. Amazon puts the number of parts behind it, `-3`; some
 * servers leave that out, or have the SHA-256 of the whole.
 */
export function agrees({ checksum, sha256 }: Sent, answered: string): boolean {
  const sum = answered.replace(/-[0-9]+$/, '');
  return sum === checksum || sum === Buffer.from(sha256, 'hex').toString('base64');
}

export function otherChecksum(path: StorePath): OpsError {
  return new OpsError(
    'VerificationFailed',
    `S3 confirms another checksum than that of what was sent: ${quoteForMessage(path)}`,
    'check the server and what lies between it and the data worker',
  );
}

function tooLarge(path: StorePath): OpsError {
  return new OpsError('Rejected', `${quoteForMessage(path)} is larger than ${MOST_PARTS} parts of S3`);
}

/** A body in buffers of `PART_BYTES` each, the last one shorter. Untouched pages of a buffer cost no memory. */
async function* inParts(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, void> {
  let buffer = Buffer.allocUnsafeSlow(PART_BYTES);
  let filled = 0;
  for await (const piece of piecesOf(body, signal)) {
    for (let taken = 0; taken < piece.length;) {
      if (filled === PART_BYTES) {
        yield buffer;
        buffer = Buffer.allocUnsafeSlow(PART_BYTES);
        filled = 0;
      }
      const some = piece.subarray(taken, taken + PART_BYTES - filled);
      buffer.set(some, filled);
      taken += some.length;
      filled += some.length;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}

async function* joined(begun: readonly Buffer[], rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  yield* begun;
  yield* rest;
}
