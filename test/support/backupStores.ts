import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type StorePath, parseStorePath } from '../../src/domain/backups.js';
import { FolderStore } from '../../src/backup/store/folder/store.js';
import { S3Store } from '../../src/backup/store/s3/store.js';
import type { BackupStore, StoreCall } from '../../src/backup/store/store.js';
import { s3Client } from '../../src/sources/s3/client.js';
import type { S3Server } from './s3.js';
import { temporaryFolder } from './videos.js';

/** A store and a look behind it. */
export interface StoreWorld {
  readonly store: BackupStore;
  /** For another process: see `openStore`. */
  readonly text: string;
  readonly s3Endpoint: string;
  /** What puts have left that did not end. */
  leftovers(): Promise<readonly string[]>;
}

export const place = (text: string): StorePath => parseStorePath(text);

export async function folderWorld(): Promise<StoreWorld & { readonly root: string }> {
  const root = await temporaryFolder();
  return {
    root,
    store: new FolderStore(root),
    text: root,
    s3Endpoint: '',
    leftovers: async () =>
      (await readdir(root, { recursive: true })).filter((name) => path.basename(name).startsWith('.put-')),
  };
}

/** @param attempts of the SDK for one request */
export async function s3World(
  s3: S3Server,
  bucket: string,
  prefix: string,
  attempts = 6,
): Promise<StoreWorld> {
  const client = s3Client({ s3Endpoint: s3.endpoint }, {}, { attempts, silentMs: 60_000 });
  return {
    store: new S3Store(client, { bucket, prefix }),
    text: `s3://${bucket}/${prefix}`,
    s3Endpoint: s3.endpoint,
    leftovers: async () => [...s3.uploads.open.values()].map(({ key }) => key),
  };
}

/** Bytes that no one can guess, in pieces of odd sizes. */
export async function* inPieces(bytes: Buffer, size = 777_777): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Gives pieces of a MiB until it has given so many; then waits for `then`, or fails with it. */
export async function* slowly(mib: number, then: () => Promise<unknown>): AsyncGenerator<Buffer> {
  for (let given = 0; given < mib; given++) yield randomBytes(1 << 20);
  await then();
}

export function read(store: BackupStore, at: StorePath, call?: StoreCall): Promise<Buffer> {
  return buffer(store.get(at, call));
}

export async function listed(store: BackupStore, folder?: StorePath): Promise<string[]> {
  const paths: string[] = [];
  for await (const { path } of store.list(folder)) paths.push(path);
  return paths;
}
