import { OpsError } from '../domain/errors.js';
import type { Segmentation } from '../domain/profiles.js';
import { inputArguments, lastComplaint, readBlocks, startTool } from './ffmpeg.js';
import { planSegments } from './plan.js';
import type { VideoProbe } from './probe.js';

export { planSegments } from './plan.js';

/** A picture of rows from the top, three bytes (red, green, blue) a pixel: `data.length = width * height * 3`. */
export interface RgbFrame {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** One document to be. Times in seconds from the video's start; `frames` holds at least one. */
export interface VideoSegment {
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly frames: readonly RgbFrame[];
}

export interface SegmentOptions {
  /** Side of the square every picture is scaled to (whole picture, not cropped); 224 when not given. */
  readonly size?: number;
  /** Leaves out the segments before this index, for taking up a video where it was left. */
  readonly from?: number;
  readonly signal?: AbortSignal | undefined;
  /** Longest wait for the next picture; the caller's own time does not count. 60 s when not given. */
  readonly stallMs?: number;
}

/** Decoding may end this much before the headers said: containers round, and audio outlasts the picture. */
const SHORTFALL = { share: 0.05, seconds: 1 };

/**
 * Cuts a video into segments with their pictures, in order, from one ffmpeg that runs only as fast as they are taken:
 * memory holds the pictures of one segment (and of what overlaps it). The same file gives the same bytes.
 *
 * @param probed of the same file
 * @throws OpsError `Rejected` with a plain reason when nothing can be decoded, or when decoding ends well before the
 *   duration in the headers; segments before the damage have been yielded by then
 * @throws ToolTimeout when ffmpeg stalls
 * @throws AbortError, the signal's reason, when it aborts
 */
export async function* segmentVideo(
  file: string,
  probed: Pick<VideoProbe, 'durationSeconds' | 'fps' | 'streamIndex'>,
  segmentation: Segmentation,
  options: SegmentOptions = {},
): AsyncGenerator<VideoSegment, void> {
  const { size = 224, from = 0 } = options;
  const plan = planSegments(probed.durationSeconds, probed.fps, segmentation);
  const wanted = plan.segments.filter((segment) => segment.index >= from);
  const kept = new Map<number, RgbFrame>();
  const complaint = { text: '' };
  let next = 0;
  let sample = 0;
  const samples = sampleFrames(file, probed.streamIndex, plan.rate, plan.samples, size, complaint, options);
  for await (const frame of samples) {
    const segment = wanted[next];
    if (!segment) return;
    if (sample >= segment.firstSample) kept.set(sample, frame);
    sample++;
    if (sample === segment.firstSample + segment.samples) {
      yield take(segment, kept);
      next++;
      const needed = wanted[next]?.firstSample ?? Infinity;
      for (const at of kept.keys()) if (at < needed) kept.delete(at);
    }
  }
  if (sample === 0) throw new OpsError('Rejected', `cannot be decoded: ${complaint.text}`);

  const reached = (sample * plan.rate.den) / plan.rate.num;
  const planned = (plan.samples * plan.rate.den) / plan.rate.num;
  const allowed = Math.max(SHORTFALL.share * planned, SHORTFALL.seconds, (2 * plan.rate.den) / plan.rate.num);
  if (planned - reached > allowed) {
    throw new OpsError(
      'Rejected',
      `damaged: can be decoded up to ${reached.toFixed(1)} of ${probed.durationSeconds.toFixed(1)} seconds`,
    );
  }
  const last = wanted[next];
  if (last && kept.size > 0) yield take(last, kept);
}

function take(
  segment: { index: number; start: number; end: number; firstSample: number },
  kept: ReadonlyMap<number, RgbFrame>,
): VideoSegment {
  const frames = [...kept].filter(([at]) => at >= segment.firstSample).map(([, frame]) => frame);
  return { index: segment.index, start: segment.start, end: segment.end, frames };
}

/** At most `count` pictures at the given rate; one when the video is too short for the rate to hit. */
async function* sampleFrames(
  file: string,
  stream: number,
  rate: { readonly num: number; readonly den: number },
  count: number,
  size: number,
  complaint: { text: string },
  options: SegmentOptions,
): AsyncGenerator<RgbFrame, void> {
  // The picture at a sample's time, from zero on whatever the first time stamp is, repeated where the video stands still.
  const even = `fps=fps=${rate.num}/${rate.den}:start_time=0,`;
  for (const filter of [even, '']) {
    let any = false;
    for await (const frame of decode(file, stream, filter, filter ? count : 1, size, complaint, options)) {
      any = true;
      yield frame;
    }
    if (any) return;
  }
}

async function* decode(
  file: string,
  stream: number,
  filter: string,
  count: number,
  size: number,
  complaint: { text: string },
  options: SegmentOptions,
): AsyncGenerator<RgbFrame, void> {
  const { signal, stallMs = 60_000 } = options;
  // The flags make swscale give the same bytes on every processor.
  const scale = `scale=${size}:${size}:flags=bilinear+accurate_rnd+full_chroma_int+bitexact`;
  const tool = startTool(
    'ffmpeg',
    [
      ...['-nostdin', '-hide_banner', '-v', 'error', '-threads', '2', '-filter_threads', '1'],
      ...inputArguments(file),
      ...['-map', `0:${stream}`, '-vf', `${filter}${scale}`, '-frames:v', String(count)],
      ...['-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'],
    ],
    signal,
  );
  for await (const data of readBlocks(tool, size * size * 3, { signal, stallMs })) {
    yield { width: size, height: size, data };
  }
  const { stderr, code } = await tool.ended;
  complaint.text = stderr || code === 0 ? lastComplaint(stderr, file) : `ffmpeg ended with ${code}`;
}
