import { type Dirent, constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, isLink, isNoFolder } from './failures.js';

/** Below the open directory itself, whatever its path leads to by now. Only Linux has such names. */
const HAS_DESCRIPTOR_PATHS = process.platform === 'linux';

/**
 * A directory held open, entered from the root one name at a time and never through a link. On Linux its children are
 * named from the open directory, so a link that is planted meanwhile leads nowhere; elsewhere they are named by path, and
 * only one that was there before is seen.
 */
export class Directory implements AsyncDisposable {
  private constructor(
    private readonly handle: FileHandle,
    private readonly absolute: string,
    /** Its place in the store, `''` for the root. */
    readonly place: string,
  ) {}

  /**
   * @param absolute with every link resolved
   * @returns undefined when there is none
   */
  static root(absolute: string): Promise<Directory | undefined> {
    return enter(absolute, absolute, '', (handle) => new Directory(handle, absolute, ''));
  }

  /** How a child is named to the file system. */
  at(name: string): string {
    return HAS_DESCRIPTOR_PATHS ? `/proc/self/fd/${this.handle.fd}/${name}` : path.join(this.absolute, name);
  }

  placeOf(name: string): string {
    return this.place === '' ? name : `${this.place}/${name}`;
  }

  /** @returns undefined when there is none */
  child(name: string): Promise<Directory | undefined> {
    const place = this.placeOf(name);
    return enter(
      this.at(name),
      place,
      place,
      (handle) => new Directory(handle, path.join(this.absolute, name), place),
    );
  }

  entries(): Promise<Dirent[]> {
    return readdir(this.at('.'), { withFileTypes: true });
  }

  /** What was made, renamed or removed in it outlasts a loss of power. */
  sync(): Promise<void> {
    return this.handle.sync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.handle.close();
  }
}

async function enter(
  name: string,
  shown: string,
  place: string,
  made: (handle: FileHandle) => Directory,
): Promise<Directory | undefined> {
  try {
    return made(await open(name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW));
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return undefined;
    if (code !== 'ENOTDIR' && code !== 'ELOOP') throw error;
    const linked = (await lstat(name).catch(() => undefined))?.isSymbolicLink() === true;
    throw linked ? isLink(place || shown) : isNoFolder(place || shown);
  }
}
