import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { type StorePath, isStorePath } from '../../../domain/backups.js';
import { storeLocationText } from '../../../domain/backupStores.js';
import { OpsError } from '../../../domain/errors.js';
import { quoteForMessage } from '../../../domain/ids.js';
import { noSuchBucket } from '../../../sources/s3/failures.js';
import { openObject } from '../../../sources/s3/objectStream.js';
import { objectPages } from '../../../sources/s3/pages.js';
import { objectNotFound } from '../failures.js';
import {
  type BackupStore,
  type PutObject,
  type StoreCall,
  StoreUnavailable,
  type StoredObject,
} from '../store.js';
import { Requests, unlessRefused } from './requests.js';
import { type Sent, agrees, otherChecksum, upload } from './upload.js';

/** Backups in a bucket: see docs/backup-stores.md. */
export class S3Store implements BackupStore {
  readonly location: string;
  private readonly requests: Requests;
  /** `''`, or ends with `/`. */
  private readonly prefix: string;

  /** @param client ends with the store */
  constructor(
    private readonly client: S3Client,
    { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
  ) {
    this.location = storeLocationText({ kind: 's3', bucket, prefix });
    this.requests = new Requests(client, bucket);
    this.prefix = prefix === '' ? '' : `${prefix}/`;
  }

  async put(
    path: StorePath,
    body: AsyncIterable<Uint8Array> | Uint8Array,
    { signal }: StoreCall = {},
  ): Promise<PutObject> {
    signal?.throwIfAborted();
    const sent = await upload({ requests: this.requests, path, key: this.key(path), signal }, body);
    await this.confirm(path, sent, signal);
    return { size: sent.size, sha256: sent.sha256 };
  }

  get(path: StorePath, { signal }: StoreCall = {}): AsyncGenerator<Uint8Array, void> {
    return this.read(path, undefined, signal);
  }

  async head(path: StorePath, { signal }: StoreCall = {}): Promise<StoredObject | undefined> {
    const found = await this.look(path, signal);
    if (found !== undefined)
      return { path, size: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0) };
    // An answer without a body does not say whether the object is missing or the bucket.
    const bucket = new HeadBucketCommand({ Bucket: this.requests.bucket });
    const there = await this.requests.call('s3:ListBucket', path, signal, (options) =>
      this.client.send(bucket, options).catch(unlessRefused(404)),
    );
    if (there !== undefined) return undefined;
    throw noSuchBucket(this.requests.bucket);
  }

  async *list(folder?: StorePath, { signal }: StoreCall = {}): AsyncGenerator<StoredObject, void> {
    signal?.throwIfAborted();
    const within = { bucket: this.requests.bucket, prefix: this.below(folder) };
    let last = '';
    try {
      for await (const page of objectPages(this.client, within, signal))
        for (const { key, size, modifiedAt } of page) {
          signal?.throwIfAborted();
          const path = this.pathOf(key);
          if (path === undefined) continue;
          if (path <= last) throw unordered(this.location);
          last = path;
          yield { path, size, modifiedAt };
        }
    } catch (error) {
      signal?.throwIfAborted();
      throw this.requests.failure(error, 's3:ListBucket', folder ?? this.location);
    }
  }

  async remove(path: StorePath, { signal }: StoreCall = {}): Promise<void> {
    const command = new DeleteObjectCommand({ Bucket: this.requests.bucket, Key: this.key(path) });
    await this.requests.call('s3:DeleteObject', path, signal, (options) =>
      this.client.send(command, options).catch(unlessRefused('NoSuchKey')),
    );
  }

  async sweep(folder: StorePath, olderThanMs: number, { signal }: StoreCall = {}): Promise<void> {
    const before = Date.now() - olderThanMs;
    const Bucket = this.requests.bucket;
    let after = {};
    for (;;) {
      const list = new ListMultipartUploadsCommand({ Bucket, Prefix: this.below(folder), ...after });
      const page = await this.requests.call('s3:ListBucketMultipartUploads', folder, signal, (options) =>
        this.client.send(list, options),
      );
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Key === undefined || this.pathOf(Key) === undefined) continue;
        if (Initiated === undefined || Initiated.getTime() > before) continue;
        const abort = new AbortMultipartUploadCommand({ Bucket, Key, UploadId });
        await this.requests.call('s3:AbortMultipartUpload', folder, signal, (options) =>
          this.client.send(abort, options).catch(unlessRefused('NoSuchUpload')),
        );
      }
      if (!page.IsTruncated || page.NextKeyMarker === undefined) return;
      after = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    }
  }

  async close(): Promise<void> {
    this.client.destroy();
  }

  private key(path: StorePath): string {
    return `${this.prefix}${path}`;
  }

  private below(folder: StorePath | undefined): string {
    return folder === undefined ? this.prefix : `${this.key(folder)}/`;
  }

  /** @returns undefined for what no store has put there */
  private pathOf(key: string): StorePath | undefined {
    if (!key.startsWith(this.prefix)) return undefined;
    const path = key.slice(this.prefix.length);
    return isStorePath(path) ? path : undefined;
  }

  private look(
    path: StorePath,
    signal: AbortSignal | undefined,
  ): Promise<HeadObjectCommandOutput | undefined> {
    const command = new HeadObjectCommand({
      Bucket: this.requests.bucket,
      Key: this.key(path),
      ChecksumMode: 'ENABLED',
    });
    return this.requests.call('s3:GetObject', path, signal, (options) =>
      this.client.send(command, options).catch(unlessRefused(404)),
    );
  }

  private async *read(
    path: StorePath,
    etag: string | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void> {
    const at = { Bucket: this.requests.bucket, Key: this.key(path) };
    const object = await this.requests.call('s3:GetObject', path, signal, () =>
      openObject(this.client, at, { signal, etag }),
    );
    if (object === undefined) throw objectNotFound(path, this.location);
    try {
      yield* object.bytes;
    } catch (error) {
      signal?.throwIfAborted();
      throw this.requests.failure(error, 's3:GetObject', path);
    } finally {
      object.close();
    }
  }

  /** Makes sure that S3 has what was sent: by the checksum that it answers with, else by reading all of it. */
  private async confirm(path: StorePath, sent: Sent, signal: AbortSignal | undefined): Promise<void> {
    const there = await this.look(path, signal);
    const replaced = sent.etag !== undefined && there !== undefined && there.ETag !== sent.etag;
    if (replaced && sent.confirmed !== undefined && agrees(sent, sent.confirmed)) return;
    if (there === undefined || replaced) throw lost(path);
    const checksum = sent.confirmed ?? there.ChecksumSHA256;
    const same =
      there.ContentLength === sent.size &&
      (checksum === undefined
        ? (await this.digest(path, there.ETag, signal)) === sent.sha256
        : agrees(sent, checksum));
    if (same) return;
    // Completed by nobody knows whom: it is not this upload's.
    if (sent.etag === undefined) throw lost(path);
    await this.remove(path, { signal });
    throw otherChecksum(path);
  }

  private async digest(
    path: StorePath,
    etag: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const hash = createHash('sha256');
    for await (const piece of this.read(path, etag, signal)) hash.update(piece);
    return hash.digest('hex');
  }
}

function lost(path: StorePath): StoreUnavailable {
  return new StoreUnavailable(
    `${quoteForMessage(path)} was removed or replaced while it was stored`,
    'silent',
  );
}

function unordered(location: string): OpsError {
  return new OpsError(
    'Rejected',
    `${location} lists its objects in no order`,
    'keep backups in a general purpose bucket: directory buckets (S3 Express) know no order',
  );
}
