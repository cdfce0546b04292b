import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { segmentDocumentId, videoId } from '../../../src/domain/documents.js';
import { OpsError } from '../../../src/domain/errors.js';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const idOf = (relativePath: string) => videoId(relativePath, sha256(relativePath));

const hash = (text: string) => sha256(text).slice(0, 12);

/** Paths that are near each other: same stems under other folders, suffixes, cases, spellings, and as their own ids. */
const stem = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'abA1_-. é😀'), minLength: 1, maxLength: 6 }),
  fc.constantFrom('video', 'clip-0123456789ab', 'a_seg_1', 'a_seg_1_seg_2', '..', '.', '-', '_'),
);
const relativePath = fc
  .tuple(fc.array(stem, { maxLength: 2 }), stem, fc.constantFrom('.mp4', '.MP4', '.mp4.mp4', ''))
  .map(([folders, name, suffix]) => [...folders, `${name}${suffix}`].join('/'));

describe('videoId', () => {
  it.each([
    ['bikes.mp4', 'bikes'],
    ['0_final-CUT.mp4', '0_final-CUT'],
    [`${'a'.repeat(100)}.mp4`, 'a'.repeat(100)],
  ])('of %s is its stem', (path, id) => {
    expect(idOf(path)).toBe(id);
  });

  it.each([
    ['day 1/bikes.mp4', 'bikes'],
    ['big buck.mp4', 'big_buck'],
    ['bikes.MP4', 'bikes'],
    ['bikes', 'bikes'],
    ['été.mp4', 't'],
    ['видео.mp4', 'video'],
    ['....mp4', 'video'],
    ['-rf.mp4', 'rf'],
    [`${'a'.repeat(101)}.mp4`, 'a'.repeat(60)],
    ['clip-0123456789ab.mp4', 'clip-0123456789ab'],
  ])('of %s is readable, with the path’s hash behind', (path, readable) => {
    expect(idOf(path)).toBe(`${readable}-${hash(path)}`);
  });

  it('is an id that document/v1 can address and a shell prints as it is', () => {
    fc.assert(
      fc.property(fc.oneof(relativePath, fc.string({ unit: 'binary' })), (path) => {
        expect(idOf(path)).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/);
      }),
    );
  });

  it('is one to one over paths: no two files of a folder overwrite each other', () => {
    fc.assert(
      fc.property(fc.uniqueArray(relativePath, { minLength: 2, maxLength: 40 }), (paths) => {
        expect(new Set(paths.map(idOf)).size).toBe(paths.length);
      }),
      { numRuns: 300 },
    );
  });

  it('cannot be met by naming a file as another’s id', () => {
    fc.assert(
      fc.property(relativePath, (path) => {
        const disguise = `${idOf(path)}.mp4`;
        if (disguise !== path) expect(idOf(disguise)).not.toBe(idOf(path));
      }),
    );
  });
});

describe('segmentDocumentId', () => {
  it('is the original’s <video>_seg_<n>', () => {
    expect(segmentDocumentId('bikes', 0)).toBe('bikes_seg_0');
    expect(segmentDocumentId('a_seg_1', 2)).toBe('a_seg_1_seg_2');
  });

  it('is one to one over videos and segments', () => {
    const segment = fc.tuple(relativePath.map(idOf), fc.nat(20));
    fc.assert(
      fc.property(
        fc.uniqueArray(segment, { selector: (s) => s.join('\0'), minLength: 2, maxLength: 40 }),
        (segments) => {
          const ids = segments.map(([video, n]) => segmentDocumentId(video, n));
          expect(new Set(ids).size).toBe(segments.length);
        },
      ),
    );
  });

  it.each([-1, 0.5, NaN, Infinity, 2 ** 53])('refuses %d, which is no index', (n) => {
    expect(() => segmentDocumentId('bikes', n)).toThrow(OpsError);
  });
});
