import type { Segmentation } from '../domain/profiles.js';

/** One segment to be: its times in seconds, and which samples of the video show it. */
export interface PlannedSegment {
  readonly index: number;
  readonly start: number;
  readonly end: number;
  /** Samples `firstSample … firstSample + samples - 1`. */
  readonly firstSample: number;
  readonly samples: number;
}

/**
 * A whole video cut into segments over one even grid of sample times: sample `k` shows the picture at
 * `(k + ½) × den / num` seconds. One grid means one pass over the file, overlapping chunks included.
 */
export interface SegmentPlan {
  /** Samples a second as the ratio ffmpeg gets; both whole, at most 1,001,000 (its parser's limit). */
  readonly rate: { readonly num: number; readonly den: number };
  readonly samples: number;
  readonly segments: readonly PlannedSegment[];
}

const LARGEST_TERM = 1_001_000;
/** Denser sampling of a video shorter than its chunk shows the same pictures again. */
const DENSEST = 60;

/**
 * Frames: segment `k` lasts `1 / fps` seconds and is shown by its middle. Chunks: `framesPerChunk` samples spread over
 * the whole chunk (the original takes the first ten seconds of thirty); a video shorter than a chunk gets them over its
 * length, a shorter last chunk gets fewer. What is
 * too short at the end to hold a sample of its own belongs to the segment before.
 *
 * @param durationSeconds above zero
 * @param fps frames a second of the video; 0 when unknown
 */
export function planSegments(durationSeconds: number, fps: number, segmentation: Segmentation): SegmentPlan {
  return segmentation.kind === 'frames'
    ? planFrames(durationSeconds, segmentation)
    : planChunks(durationSeconds, fps, segmentation);
}

function planFrames(duration: number, by: Extract<Segmentation, { kind: 'frames' }>): SegmentPlan {
  const rate = ratio(by.fps);
  const perSecond = rate.num / rate.den;
  const whole = Math.max(1, Math.round(duration * perSecond));
  const samples = Math.min(whole, by.maxFrames);
  const segments = Array.from({ length: samples }, (_, index) => ({
    index,
    start: micro(index / perSecond),
    end: micro(index === whole - 1 ? duration : (index + 1) / perSecond),
    firstSample: index,
    samples: 1,
  }));
  return { rate, samples, segments };
}

function planChunks(
  duration: number,
  fps: number,
  by: Extract<Segmentation, { kind: 'chunks' }>,
): SegmentPlan {
  const step = by.seconds - by.overlapSeconds;
  if (!(step > 0)) throw new Error('chunks must be longer than their overlap');
  const wanted = by.framesPerChunk / Math.min(by.seconds, duration);
  const rate = ratio(Math.min(wanted, Math.max(1, fps > 0 ? fps : DENSEST), DENSEST));
  const perSecond = rate.num / rate.den;
  const samples = Math.max(1, Math.round(duration * perSecond));
  /** The first sample whose time is not before `time`; tolerant of the last bit of a product. */
  const sampleAt = (time: number) => Math.min(samples, Math.max(0, Math.ceil(time * perSecond - 0.5 - 1e-9)));

  const segments: PlannedSegment[] = [];
  let covered = 0;
  for (let index = 0; ; index++) {
    const start = index * step;
    const end = Math.min(start + by.seconds, duration);
    const last = end >= duration;
    const firstSample = index === 0 ? 0 : sampleAt(start);
    const endSample = last ? samples : sampleAt(end);
    const before = segments.at(-1);
    if (endSample > covered) {
      segments.push({
        index: segments.length,
        start: micro(start),
        end: micro(end),
        firstSample,
        samples: endSample - firstSample,
      });
      covered = endSample;
    } else if (before) {
      segments[segments.length - 1] = { ...before, end: micro(end) };
    }
    if (last) return { rate, samples, segments };
  }
}

/** A number as a ratio of whole numbers that ffmpeg's parser takes; to a thousandth, finer for what is below one. */
function ratio(value: number): { num: number; den: number } {
  for (const den of [1, 1000, 1001]) {
    const num = Math.round(value * den);
    if (num > 0 && Math.abs(num / den - value) < 1e-9 && num <= LARGEST_TERM) return reduced(num, den);
  }
  const den = Math.min(LARGEST_TERM, Math.max(1, Math.floor(LARGEST_TERM / Math.max(1, value))));
  return reduced(Math.max(1, Math.round(value * den)), den);
}

function reduced(num: number, den: number): { num: number; den: number } {
  let [a, b] = [num, den];
  while (b > 0) [a, b] = [b, a % b];
  return { num: num / a, den: den / a };
}

function micro(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}
