import { createHash } from 'node:crypto';
import { type StorePath, parseStorePath } from '../../src/domain/backups.js';
import { OpsError } from '../../src/domain/errors.js';
import type { BackupStore, PutObject, StoredObject } from '../../src/backup/store/store.js';

/** A backup store in memory, whose objects a test may change behind its back. */
export class MemoryStore implements BackupStore {
  readonly location = 'memory:';
  readonly objects = new Map<string, Buffer>();
  /** Bytes of one piece that `get` gives. */
  pieceBytes = 64 * 1024;

  async put(path: StorePath, body: AsyncIterable<Uint8Array> | Uint8Array): Promise<PutObject> {
    const pieces: Uint8Array[] = [];
    if (body instanceof Uint8Array) pieces.push(body);
    else for await (const piece of body) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    this.objects.set(parseStorePath(path), bytes);
    return { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  }

  async *get(path: StorePath): AsyncGenerator<Uint8Array> {
    const bytes = this.objects.get(parseStorePath(path));
    if (bytes === undefined) throw new OpsError('NotFound', `there is no ${path}`);
    for (let from = 0; from < bytes.length; from += this.pieceBytes)
      yield bytes.subarray(from, from + this.pieceBytes);
  }

  async head(path: StorePath): Promise<StoredObject | undefined> {
    const bytes = this.objects.get(path);
    return bytes && { path, size: bytes.length, modifiedAt: new Date(0) };
  }

  async *list(folder?: StorePath): AsyncGenerator<StoredObject> {
    for (const path of [...this.objects.keys()].toSorted())
      if (folder === undefined || path.startsWith(`${folder}/`)) yield (await this.head(path as StorePath))!;
  }

  async remove(path: StorePath): Promise<void> {
    this.objects.delete(path);
  }

  async sweep(): Promise<void> {
    // It leaves nothing.
  }

  async close(): Promise<void> {
    // It has nothing open.
  }
}
