import type { S3Client } from '@aws-sdk/client-s3';
import { parseSource } from '../domain/sources.js';
import { FolderReader } from './folder.js';
import { ListReader } from './list.js';
import type { Reach } from './reach.js';
import type { VideoSourceReader } from './reader.js';
import { Scratch } from './scratch.js';
import type { S3Settings } from './s3/client.js';

/** Opens readers of sources; keeps the S3 client and the folder for what is fetched. One a process. */
export class Sources {
  private s3: Promise<S3Client> | undefined;

  constructor(
    private readonly settings: S3Settings,
    private readonly scratch = new Scratch(),
  ) {}

  /**
   * @param text see `parseSource`
   * @param reach of whoever asks
   * @throws OpsError `InvalidInput`, `PermissionDenied`
   */
  async reader(text: string, reach: Reach): Promise<VideoSourceReader> {
    const source = parseSource(text);
    reach.require(source);
    switch (source.kind) {
      case 'folder':
        return new FolderReader(source.path, reach);
      case 'list':
        return new ListReader(source.path, reach);
      case 's3': {
        // Loaded at its first use: the SDK costs every command a half a second.
        const { S3Reader } = await import('./s3/reader.js');
        this.s3 ??= import('./s3/client.js').then(({ s3Client }) => s3Client(this.settings));
        return new S3Reader(source, await this.s3, this.scratch, reach);
      }
    }
  }

  /** Takes away what a killed process of this machine left behind. */
  sweep(): Promise<void> {
    return this.scratch.sweep();
  }

  async close(): Promise<void> {
    (await this.s3)?.destroy();
    await this.scratch.close();
  }
}
