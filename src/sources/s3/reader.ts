import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import { OpsError } from '../../domain/errors.js';
import { MAX_SIDECAR_BYTES, SIDECAR_SUFFIXES, videoStem } from '../../video/sidecar.js';
import type { Reach } from '../reach.js';
import type { ListOptions, OpenedVideo, SourceEntry, VideoSourceReader } from '../reader.js';
import type { Scratch } from '../scratch.js';
import { download } from './download.js';
import { s3Failure } from './failures.js';
import { SidecarWindow, objectMark, objectsFingerprint } from './listing.js';
import { objectPages } from './pages.js';

/**
 * The `.mp4` objects below a prefix, named `s3://bucket/key`, so that a video is the same one under whatever prefix it is
 * listed. Opening one fetches it and its side-cars into a folder of this process, which goes when it is disposed of.
 */
export class S3Reader implements VideoSourceReader {
  constructor(
    private readonly source: { readonly bucket: string; readonly prefix: string },
    private readonly client: S3Client,
    private readonly scratch: Scratch,
    private readonly reach: Reach,
  ) {}

  async *list({ signal }: ListOptions): AsyncGenerator<readonly SourceEntry[], void> {
    const window = new SidecarWindow();
    try {
      for await (const page of objectPages(this.client, this.source, signal)) {
        const known = page.flatMap(({ key, size, etag }) =>
          window.push({ key, mark: objectMark(size, etag) }),
        );
        yield known.map((video) => this.entry(video));
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw s3Failure(error, this.source.bucket);
    }
    yield window.end().map((video) => this.entry(video));
  }

  async open(name: string, signal?: AbortSignal): Promise<OpenedVideo> {
    const at = this.address(name);
    this.reach.require({ kind: 's3', bucket: at.Bucket, prefix: at.Key });
    const folder = await this.scratch.folder();
    const dispose = () => rm(folder, { recursive: true, force: true });
    try {
      const file = path.join(folder, 'video.mp4');
      const video = await download(this.client, at, file, { signal });
      if (video === undefined) throw new OpsError('Rejected', 'unreadable: no such object');
      const sidecars = await this.fetchSidecars(at, videoStem(file), signal);
      return {
        file,
        fingerprint: objectsFingerprint(objectMark(video.size, video.etag), sidecars),
        [Symbol.asyncDispose]: dispose,
      };
    } catch (error) {
      await dispose();
      const failure = s3Failure(error, at.Bucket, at.Key);
      // At the start a lack of credentials is final; later it is an outage of whoever gives them.
      throw (error as Error).name === 'CredentialsProviderError' ? error : failure;
    }
  }

  /** @returns their marks by suffix */
  private async fetchSidecars(
    at: { readonly Bucket: string; readonly Key: string },
    localStem: string,
    signal: AbortSignal | undefined,
  ): Promise<Map<string, string>> {
    const marks = new Map<string, string>();
    for (const suffix of SIDECAR_SUFFIXES) {
      const Key = `${videoStem(at.Key)}${suffix}`;
      try {
        const found = await download(this.client, { ...at, Key }, `${localStem}${suffix}`, {
          signal,
          maxBytes: MAX_SIDECAR_BYTES,
        });
        if (found === undefined) await rm(`${localStem}${suffix}`);
        else marks.set(suffix, objectMark(found.size, found.etag));
      } catch (error) {
        if (!(error instanceof OpsError)) throw error;
        throw new OpsError(error.type, `${suffix} beside it: ${error.message}`, error.hint);
      }
    }
    return marks;
  }

  private entry({ key, fingerprint }: { key: string; fingerprint: string }): SourceEntry {
    return { path: `s3://${this.source.bucket}/${key}`, fingerprint };
  }

  private address(name: string): { Bucket: string; Key: string } {
    const start = `s3://${this.source.bucket}/`;
    if (!name.startsWith(start)) throw new OpsError('Rejected', 'unreadable: not of this bucket');
    return { Bucket: this.source.bucket, Key: name.slice(start.length) };
  }
}
