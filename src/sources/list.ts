import { access, constants, stat } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { quoteForMessage } from '../domain/ids.js';
import type { Pinned } from '../pinned.js';
import { isInside, realFile } from '../video/discover.js';
import { listFiles, openFile } from './files.js';
import { listRecords } from './listRecords.js';
import type { Reach } from './reach.js';
import type { ListOptions, VideoSourceReader } from './reader.js';

/**
 * The files that a list names. Those below the list's folder are named relative to it, as if that folder had been
 * ingested, however the list spells them; all others by their absolute paths. A list that names what its principal may not
 * have read is refused as a whole.
 */
export class ListReader implements VideoSourceReader {
  private readonly folder: string;

  constructor(
    private readonly file: string,
    private readonly reach: Reach,
  ) {
    this.folder = path.dirname(path.resolve(file));
  }

  async *list(options: ListOptions) {
    await using opened = await this.openList();
    yield* listFiles(this.names(opened.file, options.signal), this.resolve, options);
  }

  open(name: string) {
    return openFile(name, this.resolve, this.reach.pin);
  }

  private async *names(list: string, signal: AbortSignal | undefined): AsyncGenerator<string, void> {
    for await (const record of listRecords(list, signal)) yield this.nameOf(this.fileOf(record));
  }

  private nameOf(file: string): string {
    return isInside(this.folder, file) ? path.relative(this.folder, file).split(path.sep).join('/') : file;
  }

  /** An administrator's list may name any file of this machine. */
  private readonly resolve = async (name: string) => realFile(this.fileOf(name));

  /** @throws OpsError `PermissionDenied` */
  private fileOf(name: string): string {
    const file = path.resolve(this.folder, name);
    this.reach.require({ kind: 'file', path: file });
    return file;
  }

  private async openList(): Promise<Pinned> {
    const refuse = (why: string) =>
      new OpsError(
        'InvalidInput',
        `${why}: ${quoteForMessage(this.file)}`,
        'give a file with one path a line; it is read on the machine of the data worker',
      );
    await using opened = new AsyncDisposableStack();
    try {
      const { file } = opened.use(await this.reach.pin(this.file));
      if (!(await stat(file)).isFile()) throw refuse('the list is not a file');
      await access(file, constants.R_OK);
      const held = opened.move();
      return { file, [Symbol.asyncDispose]: () => held.disposeAsync() };
    } catch (error) {
      switch ((error as NodeJS.ErrnoException).code) {
        case 'ENOENT':
        case 'ENOTDIR':
          throw refuse('no such list');
        case 'EACCES':
          throw refuse('the list may not be read');
        default:
          throw error;
      }
    }
  }
}
