import { resolveVideo, walkVideos } from '../video/discover.js';
import { listFiles, openFile } from './files.js';
import type { Reach } from './reach.js';
import type { ListOptions, VideoSourceReader } from './reader.js';

/** The videos of a folder and the folders below it, named by their paths in it: it may be moved as a whole. */
export class FolderReader implements VideoSourceReader {
  constructor(
    private readonly root: string,
    private readonly reach: Reach,
  ) {}

  list(options: ListOptions) {
    return listFiles(walkVideos(this.root, options.signal, this.reach.pin), this.resolve, options);
  }

  open(path: string) {
    return openFile(path, this.resolve, this.reach.pin);
  }

  private readonly resolve = (path: string) => resolveVideo(this.root, path);
}
