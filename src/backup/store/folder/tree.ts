import { type Stats, constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, rmdir, unlink } from 'node:fs/promises';
import nodePath from 'node:path';
import type { StorePath } from '../../../domain/backups.js';
import { OpsError } from '../../../domain/errors.js';
import { quoteForMessage } from '../../../domain/ids.js';
import { StoreUnavailable } from '../store.js';
import { Directory } from './directory.js';
import { codeOf, isLink, isNoFile } from './failures.js';

/** How often a folder may be tidied away between its making and the first file in it. */
const ENTRIES = 5;

/** A new file and the folder it is in, both open. */
export interface NewFile {
  readonly folder: Directory;
  readonly handle: FileHandle;
}

/** The folders and files below a root, reached without following a link. Errors are the file system's or OpsErrors. */
export class Tree {
  /** @param root absolute, with every link resolved */
  constructor(private readonly root: string) {}

  /** @returns undefined when there is no such folder */
  async enter(folders: readonly string[]): Promise<Directory | undefined> {
    let folder = await Directory.root(this.root);
    for (const name of folders) {
      if (folder === undefined) return undefined;
      await using above: Directory = folder;
      folder = await above.child(name);
    }
    return folder;
  }

  /** @returns undefined when there is no such file */
  async open(path: StorePath): Promise<FileHandle | undefined> {
    const { folders, name } = splitPath(path);
    await using folder = (await this.enter(folders)) ?? null;
    if (folder === null || (await fileIn(folder, name)) === undefined) return undefined;
    // Without O_NONBLOCK a pipe that took the file's place would be waited for.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const handle = await open(folder.at(name), flags).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw codeOf(error) === 'ELOOP' ? isLink(path) : error;
    });
    if (handle === undefined || (await handle.stat()).isFile()) return handle;
    await handle.close();
    throw isNoFile(path);
  }

  /** Opens a new file, of another name, in the folder where `path` shall be; makes the folders. */
  async create(path: StorePath, temporary: string): Promise<NewFile> {
    const { folders, name } = splitPath(path);
    for (let entry = 1; entry <= ENTRIES; entry++) {
      const folder = await this.make(folders);
      if (folder === undefined) continue;
      try {
        await fileIn(folder, name);
        const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        return { folder, handle: await open(folder.at(temporary), flags, 0o600) };
      } catch (error) {
        await folder[Symbol.asyncDispose]();
        if (codeOf(error) !== 'ENOENT') throw error;
      }
    }
    throw new StoreUnavailable(`the folder of ${quoteForMessage(path)} is removed again and again`, 'silent');
  }

  /** Removes a file, and the folders that have become empty: their names are those of tenants. */
  async remove(path: StorePath): Promise<void> {
    const { folders, name } = splitPath(path);
    {
      await using folder = (await this.enter(folders)) ?? null;
      if (folder !== null && (await fileIn(folder, name)) !== undefined) {
        await unlink(folder.at(name)).catch(unless('ENOENT'));
        await folder.sync();
      }
    }
    await this.removeEmpty(folders);
  }

  /** Removes a folder if it is empty, then the one above it if that is. */
  async removeEmpty(folders: readonly string[]): Promise<void> {
    for (let depth = folders.length; depth > 0; depth--) {
      await using above = (await this.enter(folders.slice(0, depth - 1))) ?? null;
      if (above === null) continue;
      if (!(await rmdirIfEmpty(above, folders[depth - 1]!))) return;
    }
  }

  /** @returns undefined when one was removed meanwhile */
  private async make(folders: readonly string[]): Promise<Directory | undefined> {
    let folder = (await Directory.root(this.root)) ?? (await this.makeRoot());
    for (const name of folders) {
      if (folder === undefined) return undefined;
      await using above: Directory = folder;
      folder = (await above.child(name)) ?? (await makeIn(above, name));
    }
    return folder;
  }

  /** Only its last name: a parent that is missing is more likely a disk that is not mounted. */
  private async makeRoot(): Promise<Directory | undefined> {
    const parent = await Directory.root(nodePath.dirname(this.root));
    if (parent === undefined)
      throw new OpsError(
        'NotFound',
        `there is no folder for the backup store ${quoteForMessage(this.root)}`,
        'make the folder above it, or mount the disk it is on',
      );
    await using above = parent;
    return await makeIn(above, nodePath.basename(this.root));
  }
}

export function splitPath(path: StorePath): { folders: readonly string[]; name: string } {
  const names = path.split('/');
  return { folders: names.slice(0, -1), name: names.at(-1)! };
}

/** @returns whether it is gone */
export async function rmdirIfEmpty(above: Directory, name: string): Promise<boolean> {
  try {
    await rmdir(above.at(name));
    await above.sync();
    return true;
  } catch (error) {
    const code = codeOf(error) ?? '';
    if (code === 'ENOENT') return true;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * @returns undefined when there is nothing of that name
 * @throws OpsError when it is something else than a file
 */
export async function fileIn(folder: Directory, name: string): Promise<Stats | undefined> {
  const found = await lstat(folder.at(name)).catch(unless('ENOENT'));
  if (found === undefined || found.isFile()) return found;
  throw found.isSymbolicLink() ? isLink(folder.placeOf(name)) : isNoFile(folder.placeOf(name));
}

async function makeIn(above: Directory, name: string): Promise<Directory | undefined> {
  try {
    await mkdir(above.at(name), 0o700);
    await above.sync();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (codeOf(error) !== 'EEXIST') throw error;
  }
  return above.child(name);
}

/** For `catch`: that one error is an answer, not a failure. */
export function unless(code: string): (error: unknown) => undefined {
  return (error) => {
    if (codeOf(error) !== code) throw error;
  };
}
