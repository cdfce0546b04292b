import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Segmentation } from '../../../src/domain/profiles.js';
import { planSegments } from '../../../src/video/plan.js';

const chunks = (seconds: number, overlapSeconds: number, framesPerChunk: number): Segmentation => ({
  kind: 'chunks',
  seconds,
  overlapSeconds,
  framesPerChunk,
});
const frames: Segmentation = { kind: 'frames', fps: 1, maxFrames: 3000 };

const segmentation = fc.oneof(
  fc.record({
    kind: fc.constant('frames' as const),
    fps: fc.constantFrom(0.1, 0.5, 1, 2, 29.97),
    maxFrames: fc.integer({ min: 1, max: 5000 }),
  }),
  fc
    .record({
      seconds: fc.integer({ min: 1, max: 60 }),
      overlap: fc.nat(59),
      framesPerChunk: fc.integer({ min: 1, max: 32 }),
    })
    .filter(({ seconds, overlap }) => overlap < seconds)
    .map(({ seconds, overlap, framesPerChunk }) => chunks(seconds, overlap, framesPerChunk)),
);

describe('planSegments', () => {
  it('covers the whole video without a gap, each segment with samples of its own time', () => {
    fc.assert(
      fc.property(
        segmentation,
        fc.double({ min: 0.01, max: 4000, noNaN: true }),
        fc.constantFrom(0, 0.2, 25, 60),
        (by, duration, fps) => {
          const { segments, samples, rate } = planSegments(duration, fps, by);
          expect(
            rate.num <= 1_001_000 && rate.den <= 1_001_000 && Number.isInteger(rate.num) && rate.den > 0,
          ).toBe(true);
          expect(segments.map((s) => s.index)).toEqual(segments.map((_, i) => i));
          expect(segments[0]!.start).toBe(0);
          const capped = by.kind === 'frames' && segments.length === by.maxFrames;
          if (!capped) expect(segments.at(-1)!.end).toBeCloseTo(duration, 5);
          expect(segments.at(-1)!.firstSample + segments.at(-1)!.samples).toBe(samples);
          segments.forEach((segment, i) => {
            const next = segments[i + 1];
            expect(segment.end).toBeGreaterThan(segment.start);
            expect(segment.samples).toBeGreaterThan(0);
            if (next) expect(next.start).toBeLessThanOrEqual(segment.end + 1e-6);
            if (next)
              expect(next.firstSample + next.samples).toBeGreaterThan(segment.firstSample + segment.samples);
            // A video shorter than a sample's time has its only sample beyond its end.
            if (samples === 1) return;
            const first = ((segment.firstSample + 0.5) * rate.den) / rate.num;
            expect(first).toBeGreaterThanOrEqual(segment.start - 1e-4);
            expect(first).toBeLessThanOrEqual(segment.end + (0.5 * rate.den) / rate.num + 1e-4);
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  it('samples a chunk evenly from its start to its end', () => {
    const { segments, rate } = planSegments(90, 25, chunks(30, 0, 16));
    expect(segments.map((s) => s.samples)).toEqual([16, 16, 16]);
    expect(rate.num / rate.den).toBeCloseTo(16 / 30, 6);
  });

  it('spreads the frames of a chunk over a video that is shorter', () => {
    expect(planSegments(4, 25, chunks(30, 5, 10)).segments).toEqual([
      { index: 0, start: 0, end: 4, firstSample: 0, samples: 10 },
    ]);
    // But not denser than the video has pictures.
    expect(planSegments(4, 1, chunks(30, 5, 10)).segments[0]!.samples).toBe(4);
  });

  it('leaves no splinter at the end', () => {
    expect(planSegments(10.2, 25, frames).segments.at(-1)).toEqual({
      index: 9,
      start: 9,
      end: 10.2,
      firstSample: 9,
      samples: 1,
    });
    expect(planSegments(60.3, 25, chunks(30, 0, 16)).segments.map((s) => s.end)).toEqual([30, 60.3]);
    expect(planSegments(55.2, 25, chunks(30, 5, 10)).segments.map((s) => s.end)).toEqual([30, 55.2]);
  });

  it('stops at the most frames of its profile', () => {
    const { segments, samples } = planSegments(86_400, 25, frames);
    expect([segments.length, samples, segments.at(-1)!.end]).toEqual([3000, 3000, 3000]);
  });
});
