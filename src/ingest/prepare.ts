import { NoRoom } from '../sources/noRoom.js';
import type { OpenedVideo } from '../sources/reader.js';
import { probeVideo } from '../video/probe.js';
import { segmentVideo } from '../video/segment.js';
import { type Sidecar, readSidecar } from '../video/sidecar.js';
import type { VideoToIngest } from './ingestVideo.js';

/** How a file becomes pictures; exchanged where everything but the decoding is to be real. */
export interface VideoTools {
  readonly probe: typeof probeVideo;
  readonly segments: typeof segmentVideo;
}

export const FFMPEG: VideoTools = { probe: probeVideo, segments: segmentVideo };

/** A video as a local file that was looked into: its length, its content's digest, its side-cars. */
export interface PreparedVideo extends OpenedVideo {
  readonly probed: Awaited<ReturnType<typeof probeVideo>>;
  readonly sidecar: Sidecar;
}

/** @throws OpsError `Rejected` with a plain reason when the file is gone or no video */
export async function prepareVideo(
  tools: Pick<VideoTools, 'probe'>,
  { source, path }: Pick<VideoToIngest, 'source' | 'path'>,
  signal?: AbortSignal,
): Promise<PreparedVideo> {
  const opened = await source.open(path, signal);
  try {
    const { file, beside = file, fingerprint } = opened;
    const [probed, sidecar] = [await tools.probe(file, { signal }), await readSidecar(beside)];
    return {
      ...{ file, fingerprint, probed, sidecar },
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * The preparation of a video while the one before it is at work: it mostly waits, for a bucket or a child process. What goes
 * wrong is heard by whoever takes it; what nobody takes is stopped and put away.
 */
export class Ahead implements AsyncDisposable {
  private readonly stop = new AbortController();
  private readonly prepared: Promise<PreparedVideo>;
  private taken = false;

  constructor(
    private readonly prepare: (signal: AbortSignal) => Promise<PreparedVideo>,
    private readonly signal: AbortSignal,
  ) {
    this.prepared = prepare(AbortSignal.any([signal, this.stop.signal]));
    this.prepared.catch(() => undefined);
  }

  /** Whoever takes it disposes of it. Where the disk had no room beside the one before, there is some now. */
  take(): Promise<PreparedVideo> {
    this.taken = true;
    return this.prepared.catch((error: unknown) => {
      if (error instanceof NoRoom) return this.prepare(this.signal);
      throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.taken) return;
    this.stop.abort();
    const prepared = await this.prepared.catch(() => undefined);
    await prepared?.[Symbol.asyncDispose]();
  }
}
