import { access, constants, stat } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { quoteForMessage } from '../domain/ids.js';
import { isInside, realFile } from '../video/discover.js';
import { listFiles, openFile } from './files.js';
import { listRecords } from './listRecords.js';
import type { ListOptions, VideoSourceReader } from './reader.js';

/**
 * The files that a list names. Those below the list's folder are named relative to it, as if that folder had been
 * ingested, however the list spells them; all others by their absolute paths.
 */
export class ListReader implements VideoSourceReader {
  private readonly folder: string;

  constructor(private readonly file: string) {
    this.folder = path.dirname(path.resolve(file));
  }

  async *list(options: ListOptions) {
    await this.check();
    yield* listFiles(this.names(options.signal), this.resolve, options);
  }

  open(name: string) {
    return openFile(name, this.resolve);
  }

  private async *names(signal: AbortSignal | undefined): AsyncGenerator<string, void> {
    for await (const record of listRecords(this.file, signal)) yield this.nameOf(record);
  }

  private nameOf(record: string): string {
    const file = path.resolve(this.folder, record);
    return isInside(this.folder, file) ? path.relative(this.folder, file).split(path.sep).join('/') : file;
  }

  /** Anywhere on this machine: who wrote the list may read what it names. */
  private readonly resolve = (name: string) => realFile(path.resolve(this.folder, name));

  private async check(): Promise<void> {
    const refuse = (why: string) =>
      new OpsError(
        'InvalidInput',
        `${why}: ${quoteForMessage(this.file)}`,
        'give a file with one path a line; it is read on the machine of the data worker',
      );
    try {
      if (!(await stat(this.file)).isFile()) throw refuse('the list is not a file');
      await access(this.file, constants.R_OK);
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
