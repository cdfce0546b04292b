import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, rename, unlink } from 'node:fs/promises';
import type { StorePath } from '../../../domain/backups.js';
import { storeLocationText } from '../../../domain/backupStores.js';
import { OpsError } from '../../../domain/errors.js';
import { quoteForMessage } from '../../../domain/ids.js';
import { piecesOf } from '../body.js';
import { objectNotFound } from '../failures.js';
import type { BackupStore, PutObject, StoreCall, StoredObject } from '../store.js';
import { codeOf, folderFailure, sweptAway } from './failures.js';
import { digestOf, readFile, writeAt } from './file.js';
import { Tree, splitPath } from './tree.js';
import { TEMPORARY, sweepFolder, walkFolder } from './walk.js';

/** Backups in a folder: see docs/backup-stores.md. */
export class FolderStore implements BackupStore {
  readonly location: string;
  private readonly tree: Tree;

  /** @param root absolute, with every link resolved; made by the first put if its parent is there */
  constructor(root: string) {
    this.location = storeLocationText({ kind: 'folder', path: root });
    this.tree = new Tree(root);
  }

  async put(
    path: StorePath,
    body: AsyncIterable<Uint8Array> | Uint8Array,
    { signal }: StoreCall = {},
  ): Promise<PutObject> {
    signal?.throwIfAborted();
    const temporary = `${TEMPORARY}${randomUUID()}`;
    const made = await explained(path, () => this.tree.create(path, temporary), signal);
    await using folder = made.folder;
    try {
      const stored = await write(made.handle, body, path, signal);
      await explained(path, async () => {
        await rename(folder.at(temporary), folder.at(splitPath(path).name)).catch((error: unknown) => {
          throw codeOf(error) === 'ENOENT' ? sweptAway(path) : error;
        });
        await folder.sync();
      });
      return stored;
    } catch (error) {
      // Gone already when it was renamed, or swept away; else `sweep` finds it.
      await unlink(folder.at(temporary)).catch(() => undefined);
      throw error;
    }
  }

  async *get(path: StorePath, { signal }: StoreCall = {}): AsyncGenerator<Uint8Array, void> {
    signal?.throwIfAborted();
    const handle = await explained(path, () => this.tree.open(path), signal);
    if (handle === undefined) throw objectNotFound(path, this.location);
    try {
      const { size } = await handle.stat();
      let read = 0;
      for await (const piece of readFile(handle, signal)) {
        read += piece.length;
        if (read > size) break;
        yield piece;
      }
      // A put gives the name to another file; only somebody else writes into this one.
      if (read !== size)
        throw new OpsError('Conflict', `${quoteForMessage(path)} was changed while it was read`);
    } catch (error) {
      signal?.throwIfAborted();
      throw folderFailure(error, path);
    } finally {
      await handle.close();
    }
  }

  head(path: StorePath, { signal }: StoreCall = {}): Promise<StoredObject | undefined> {
    const look = async () => {
      const handle = await this.tree.open(path);
      if (handle === undefined) return undefined;
      try {
        const { size, mtime } = await handle.stat();
        return { path, size, modifiedAt: mtime };
      } finally {
        await handle.close();
      }
    };
    return explained(path, look, signal);
  }

  async *list(folder?: StorePath, { signal }: StoreCall = {}): AsyncGenerator<StoredObject, void> {
    try {
      await using directory = (await this.tree.enter(folder?.split('/') ?? [])) ?? null;
      if (directory !== null) yield* walkFolder(directory, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw folderFailure(error, folder ?? this.location);
    }
  }

  remove(path: StorePath, { signal }: StoreCall = {}): Promise<void> {
    return explained(path, () => this.tree.remove(path), signal);
  }

  sweep(folder: StorePath, olderThanMs: number, { signal }: StoreCall = {}): Promise<void> {
    const before = Date.now() - olderThanMs;
    const names = folder.split('/');
    const work = async () => {
      {
        await using directory = (await this.tree.enter(names)) ?? null;
        if (directory !== null) await sweepFolder(directory, before, signal);
      }
      await this.tree.removeEmpty(names);
    };
    return explained(folder, work, signal);
  }

  async close(): Promise<void> {}
}

/**
 * Writes the body, closes the file, and reads it back.
 *
 * @throws the body's own error as it is
 */
async function write(
  handle: FileHandle,
  body: AsyncIterable<Uint8Array> | Uint8Array,
  path: StorePath,
  signal: AbortSignal | undefined,
): Promise<PutObject> {
  try {
    const hash = createHash('sha256');
    let size = 0;
    for await (const piece of piecesOf(body, signal)) {
      await explained(path, () => writeAt(handle, piece, size), signal);
      hash.update(piece);
      size += piece.length;
    }
    const sha256 = hash.digest('hex');
    const stored = await explained(
      path,
      async () => {
        await handle.sync();
        return digestOf(handle, signal);
      },
      signal,
    );
    if (stored.sha256 === sha256 && stored.size === size) return stored;
    throw new OpsError(
      'VerificationFailed',
      `${quoteForMessage(path)} reads back otherwise than it was written`,
      'check the disk of the backup store',
    );
  } finally {
    await handle.close();
  }
}

/** Does one thing with the file system; its errors become the store's. */
async function explained<T>(at: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  try {
    return await work();
  } catch (error) {
    signal?.throwIfAborted();
    throw folderFailure(error, at);
  }
}
