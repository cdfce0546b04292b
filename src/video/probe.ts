import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { OpsError } from '../domain/errors.js';
import { walkBoxes } from './boxes.js';
import { ToolFlood, inputArguments, lastComplaint, runTool } from './ffmpeg.js';

/** What a video is, as the file's own headers say. */
export interface VideoProbe {
  /** Of the picture stream where it says so, else of the file. */
  readonly durationSeconds: number;
  /** As shown, that is after the rotation a phone writes beside the picture. */
  readonly width: number;
  readonly height: number;
  /** Frames a second, on average; 0 when the file does not say. */
  readonly fps: number;
  readonly codec: string;
  readonly hasAudio: boolean;
  readonly sizeBytes: number;
  /** SHA-256 of the file's bytes, lower-case hex. */
  readonly sha256: string;
  /** Which of the file's streams holds the picture; a cover picture is none. */
  readonly streamIndex: number;
}

interface ProbedStream {
  index: number;
  codec_type?: string;
  codec_name?: string;
  width?: number;
  height?: number;
  avg_frame_rate?: string;
  r_frame_rate?: string;
  duration?: string;
  disposition?: { attached_pic?: number };
  tags?: { rotate?: string };
  side_data_list?: { rotation?: number | string }[];
}

const PROBE_TIMEOUT_MS = 30_000;
/** A full decode at the speed of reading; only for files that do not tell their length. */
const MEASURE_TIMEOUT_MS = 300_000;
/** 8192 × 8192: one decoded picture is 100 MB there, and ffmpeg holds several. */
const MAX_PIXELS = 67_108_864;
/** Every byte is read for the hash; nobody's video is larger, and a sparse file of any size costs its maker nothing. */
const MAX_BYTES = 64 * 2 ** 30;
/** A header can promise centuries in four bytes, and the plan of the segments is held in memory. */
const MAX_SECONDS = 24 * 3600;

const ENTRIES = [
  'format=duration',
  'stream=index,codec_type,codec_name,width,height,avg_frame_rate,r_frame_rate,duration',
  'stream_disposition=attached_pic',
  'stream_tags=rotate',
  'stream_side_data=rotation',
].join(':');

/**
 * Looks at a video's headers and hashes its bytes (streamed).
 *
 * @param options.timeoutMs for ffprobe; 30 s when not given
 * @throws OpsError `Rejected` whose message is a plain reason: `empty file`, `not a video`, `unreadable: …`,
 *   `truncated: …`, `no video stream (audio only)`, `zero seconds`, … (all of them: docs/videos.md)
 * @throws ToolTimeout when ffprobe does not end in time
 * @throws AbortError, the signal's reason, when it aborts
 */
export async function probeVideo(
  file: string,
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number } = {},
): Promise<VideoProbe> {
  options.signal?.throwIfAborted();
  const { sizeBytes, isMp4 } = await checkFile(file);
  const { streams, formatDuration } = await readHeaders(
    file,
    isMp4,
    options.signal,
    options.timeoutMs ?? PROBE_TIMEOUT_MS,
  );
  const stream = pickStream(streams);
  if (!stream.codec_name || stream.codec_name === 'unknown') throw rejected('unknown video codec');
  const { width = 0, height = 0 } = stream;
  if (width <= 0 || height <= 0) throw rejected('no picture size');
  if (width * height > MAX_PIXELS) throw rejected(`picture too large: ${width} × ${height}`);
  const durationSeconds =
    seconds(stream.duration) ?? formatDuration ?? (await measureDuration(file, stream.index, options.signal));
  if (durationSeconds <= 0) throw rejected('zero seconds');
  if (durationSeconds > MAX_SECONDS) throw rejected(`too long: over ${MAX_SECONDS / 3600} hours`);
  const turned = isTurned(stream);
  return {
    durationSeconds,
    width: turned ? height : width,
    height: turned ? width : height,
    fps: rate(stream.avg_frame_rate) || rate(stream.r_frame_rate),
    codec: stream.codec_name,
    hasAudio: streams.some((s) => s.codec_type === 'audio'),
    sizeBytes,
    sha256: await hashFile(file, options.signal),
    streamIndex: stream.index,
  };
}

/** SHA-256 of a file's bytes, streamed, lower-case hex. */
export async function hashFile(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const stream = createReadStream(file, { highWaterMark: 1 << 20, ...(signal ? { signal } : {}) });
  try {
    for await (const chunk of stream) hash.update(chunk as Buffer);
  } catch (error) {
    signal?.throwIfAborted();
    throw unreadable(error);
  }
  return hash.digest('hex');
}

/** That a file can be read, and is whole as far as its outermost boxes tell. */
async function checkFile(file: string): Promise<{ sizeBytes: number; isMp4: boolean }> {
  let handle: FileHandle | undefined;
  try {
    // Without O_NONBLOCK, opening a named pipe waits for somebody to write to it.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await handle.stat();
    if (stat.isDirectory()) throw rejected('unreadable: a folder, not a file');
    if (!stat.isFile()) throw rejected('unreadable: a device, pipe or socket, not a file');
    if (stat.size === 0) throw rejected('empty file');
    if (stat.size > MAX_BYTES) throw rejected(`too large: over ${MAX_BYTES / 2 ** 30} GiB`);
    const { isMp4, missing } = await walkBoxes(handle, stat.size);
    if (missing > 0) throw rejected(`truncated: ${missing} bytes are missing at its end`);
    return { sizeBytes: stat.size, isMp4 };
  } catch (error) {
    throw unreadable(error);
  } finally {
    await handle?.close();
  }
}

async function readHeaders(
  file: string,
  isMp4: boolean,
  signal: AbortSignal | undefined,
  timeoutMs: number,
): Promise<{ streams: ProbedStream[]; formatDuration: number | undefined }> {
  const args = ['-v', 'error', '-show_entries', ENTRIES, '-of', 'json', ...inputArguments(file)];
  const { stdout, stderr, code } = await runTool('ffprobe', args, {
    signal,
    timeoutMs,
    maxOutputBytes: 1 << 20,
  }).catch((error: unknown) => {
    throw error instanceof ToolFlood ? rejected('not a video: more streams than can be listed') : error;
  });
  if (code !== 0) {
    if (isMp4 && /moov atom not found/.test(stderr))
      throw rejected('truncated or damaged: it has no index (moov atom)');
    if (!isMp4 || /Invalid data found|whitelist|could not find codec parameters/i.test(stderr))
      throw rejected('not a video');
    throw rejected(`not a video: ${lastComplaint(stderr, file)}`);
  }
  const found = JSON.parse(stdout.toString('utf8')) as {
    streams?: ProbedStream[];
    format?: { duration?: string };
  };
  return { streams: found.streams ?? [], formatDuration: seconds(found.format?.duration) };
}

function pickStream(streams: readonly ProbedStream[]): ProbedStream {
  const picture = streams.find((s) => s.codec_type === 'video' && s.disposition?.attached_pic !== 1);
  if (picture) return picture;
  const audio = streams.some((s) => s.codec_type === 'audio');
  throw rejected(audio ? 'no video stream (audio only)' : 'no video stream');
}

/** Some containers hold no duration (a stream that was recorded until the power went); then the packets are counted. */
async function measureDuration(
  file: string,
  stream: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const copy = ['-map', `0:${stream}`, '-c', 'copy', '-f', 'null', '-progress', 'pipe:1', '-'];
  const { stdout } = await runTool('ffmpeg', ['-nostdin', '-v', 'quiet', ...inputArguments(file), ...copy], {
    signal,
    timeoutMs: MEASURE_TIMEOUT_MS,
    maxOutputBytes: 8 << 20,
  });
  // `out_time_ms` has always been in microseconds, and `out_time_us` is missing in old versions.
  const last = [...stdout.toString('latin1').matchAll(/^out_time_ms=(\d+)$/gm)].at(-1);
  return last ? Number(last[1]) / 1e6 : 0;
}

function isTurned(stream: ProbedStream): boolean {
  const angle = Number(
    stream.side_data_list?.find((d) => d.rotation !== undefined)?.rotation ?? stream.tags?.rotate,
  );
  return Number.isFinite(angle) && Math.abs(angle % 180) === 90;
}

/** @returns undefined for what is absent or `N/A` */
function seconds(text: string | undefined): number | undefined {
  const value = Number(text ?? Number.NaN);
  return Number.isFinite(value) ? value : undefined;
}

function rate(text: string | undefined): number {
  const [over, under] = (text ?? '').split('/').map(Number);
  return over !== undefined && under !== undefined && over > 0 && under > 0 ? over / under : 0;
}

function rejected(reason: string): OpsError {
  return new OpsError('Rejected', reason);
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  ELOOP: 'a chain of links that never ends',
  ENAMETOOLONG: 'its name is too long',
  EISDIR: 'a folder, not a file',
  ENXIO: 'a device, pipe or socket, not a file',
  EIO: 'input/output error',
  ERR_INVALID_ARG_VALUE: 'its name holds a zero byte',
};

/** What the file system says as a reason; anything else (too many open files, say) is no fault of the video. */
export function unreadable(error: unknown): unknown {
  const why = WHY[(error as NodeJS.ErrnoException).code ?? ''];
  return why === undefined ? error : rejected(`unreadable: ${why}`);
}
