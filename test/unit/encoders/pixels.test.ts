import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { binarize } from '../../../src/encoders/binarize.js';
import { PixelEncoder } from '../../../src/encoders/pixels/encoder.js';
import { FEATURES } from '../../../src/encoders/pixels/features.js';
import { type RgbFrame, createEncoder } from '../../../src/encoders/port.js';
import { SCORES, dot, maxSim, ranked as rankedBy } from '../../support/maxsim.js';

type Rgb = readonly [number, number, number];
const SHAPE = { grid: 8, dimensions: 128 };
const encoder = createEncoder({ url: '', model: '', tokenRef: '' });
afterAll(() => encoder.close());

/** A picture by a function of place, both 0 to 1. */
function picture(colour: (x: number, y: number) => Rgb, side = 224): RgbFrame {
  const data = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) data.set(colour(x / side, y / side), (y * side + x) * 3);
  }
  return { width: side, height: side, data };
}

const plain = (colour: Rgb) => picture(() => colour);
/** Half in the colour, half gray, with some grain, as pictures have. */
const half = (colour: Rgb) =>
  picture((x, y) => {
    const grain =
      ((Math.imul(Math.round(x * 224) * 7919 + Math.round(y * 224) * 104729, 2654435761) >>> 24) % 24) - 12;
    const [r, g, b] = x < 0.5 ? colour : [120, 120, 120];
    return [
      Math.max(0, Math.min(255, r + grain)),
      Math.max(0, Math.min(255, g + grain)),
      Math.max(0, Math.min(255, b + grain)),
    ];
  });

const ranked = (
  text: string,
  documents: Readonly<Record<string, readonly Float32Array[][]>>,
  score: (typeof SCORES)[string],
) => rankedBy(encoder, text, documents, score, SHAPE.dimensions);

describe('rows', () => {
  it('are one a patch, finite, of length one, the same each time and in each encoder', async () => {
    const frames = [half([200, 30, 30])];
    const rows = await encoder.encodeFrames({ frames }, SHAPE);
    expect(rows.length).toBe(64);
    expect(rows.every((row) => row.length === 128 && row.every(Number.isFinite))).toBe(true);
    for (const row of rows) expect(dot(row, row)).toBeCloseTo(1, 5);
    const other = new PixelEncoder(2);
    const again = await Promise.all([1, 2, 3].map(() => other.encodeFrames({ frames }, SHAPE)));
    for (const copy of again) expect(copy).toEqual(rows);
    await other.close();
  });

  it('fit every profile, and keep their angles where there is room for all features', async () => {
    const frames = [half([40, 160, 60])];
    for (const shape of [
      SHAPE,
      { grid: 4, dimensions: 768 },
      { grid: 3, dimensions: 64 },
      { grid: 2, dimensions: 32 },
    ]) {
      const rows = await encoder.encodeFrames({ frames }, shape);
      expect([rows.length, rows[0]!.length]).toEqual([shape.grid ** 2, shape.dimensions]);
    }
    const [small, large] = await Promise.all(
      [128, 768].map((dimensions) => encoder.encodeFrames({ frames }, { grid: 4, dimensions })),
    );
    expect(FEATURES).toBeLessThanOrEqual(64);
    for (const [a, b] of [
      [0, 3],
      [2, 9],
      [5, 15],
    ] as const) {
      expect(dot(small![a]!, small![b]!)).toBeCloseTo(dot(large![a]!, large![b]!), 5);
    }
  });

  it('are zero-centred enough for bits: over many colours, each bit is set about as often as not', async () => {
    const colours: Rgb[] = [0, 128, 255].flatMap((r) =>
      [0, 128, 255].flatMap((g) => [0, 128, 255].map((b): Rgb => [r, g, b])),
    );
    const rows = (
      await Promise.all(colours.map((c) => encoder.encodeFrames({ frames: [half(c)] }, SHAPE)))
    ).flat();
    const set = Array.from({ length: 128 }, (_, d) => rows.filter((row) => row[d]! > 0).length / rows.length);
    const stuck = set.filter((share) => share < 0.02 || share > 0.98).length;
    expect(stuck).toBeLessThan(13);
    const mean = set.reduce((a, b) => a + b, 0) / set.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.1);
  });

  it('of several pictures tell what moves from what stands', async () => {
    // Stripes everywhere; only the lower ones move.
    const frame = (at: number) =>
      picture((x, y) => (Math.floor(x * 8 + (y > 0.5 ? at : 0)) % 2 === 0 ? [230, 230, 230] : [90, 90, 90]));
    const moving = await encoder.encodeFrames({ frames: [0, 1, 2, 3].map(frame) }, SHAPE);
    const still = await encoder.encodeFrames({ frames: [0, 0, 0, 0].map(frame) }, SHAPE);
    for (const score of Object.values(SCORES)) {
      expect(await ranked('fast action', { moving: [moving], still: [still] }, score)).toEqual([
        'moving',
        'still',
      ]);
      expect(await ranked('motionless', { moving: [moving], still: [still] }, score)).toEqual([
        'still',
        'moving',
      ]);
    }
    const [query] = await encoder.encodeText('moving', SHAPE);
    const [top, bottom] = [moving.slice(0, 32), moving.slice(32)].map((rows) => maxSim([query!], rows));
    expect(bottom! - top!).toBeGreaterThan(0.1);
  });

  it('are refused for pictures that are none', async () => {
    await expect(encoder.encodeFrames({ frames: [] }, SHAPE)).rejects.toThrow('at least one picture');
    const short = { width: 224, height: 224, data: new Uint8Array(10) };
    await expect(encoder.encodeFrames({ frames: [short] }, SHAPE)).rejects.toThrow('three bytes a pixel');
    await expect(
      encoder.encodeFrames({ frames: [plain([0, 0, 0])] }, { grid: 300, dimensions: 128 }),
    ).rejects.toThrow('cannot be cut into a grid of 300');
  });
});

describe('text finds drawn pictures', () => {
  const COLOURS: Readonly<Record<string, Rgb>> = {
    red: [200, 30, 30],
    green: [50, 150, 60],
    blue: [40, 80, 200],
    yellow: [240, 220, 40],
    orange: [240, 130, 20],
    purple: [125, 55, 155],
    pink: [245, 145, 180],
    brown: [105, 65, 35],
    turquoise: [45, 180, 170],
    black: [12, 12, 12],
    white: [248, 248, 248],
  };
  let documents: Record<string, Float32Array[][]>;
  beforeAll(async () => {
    const entries = Object.entries(COLOURS).map(async ([name, colour]) => [
      name,
      [await encoder.encodeFrames({ frames: [half(colour)] }, SHAPE)],
    ]);
    documents = Object.fromEntries(await Promise.all(entries));
  });

  it.each(Object.keys(COLOURS))('%s before all other colours, by floats, bits and both', async (name) => {
    for (const score of Object.values(SCORES)) expect((await ranked(name, documents, score))[0]).toBe(name);
    expect((await ranked(`something ${name}, perhaps a zeppelin`, documents, maxSim))[0]).toBe(name);
  });

  it('by things that have a colour, and in the order of a tone', async () => {
    const best = async (text: string) => (await ranked(text, documents, maxSim))[0];
    expect(await best('grassy fields')).toBe('green');
    expect(await best('snow')).toBe('white');
    expect(await best('a dark night')).toBe('black');
    const shades = {
      deep: [await encoder.encodeFrames({ frames: [half([15, 60, 22])] }, SHAPE)],
      fresh: [await encoder.encodeFrames({ frames: [half([165, 225, 170])] }, SHAPE)],
    };
    expect(await ranked('dark green', shades, maxSim)).toEqual(['deep', 'fresh']);
    expect(await ranked('light green', shades, maxSim)).toEqual(['fresh', 'deep']);
  });

  it('by texture and by the way lines run', async () => {
    const lines = (along: (x: number, y: number) => number) =>
      picture((x, y) => (Math.floor(along(x, y) * 56) % 2 ? [160, 160, 160] : [90, 90, 90]));
    const pages = {
      plain: [await encoder.encodeFrames({ frames: [plain([125, 125, 125])] }, SHAPE)],
      upright: [await encoder.encodeFrames({ frames: [lines((x) => x)] }, SHAPE)],
      level: [await encoder.encodeFrames({ frames: [lines((_, y) => y)] }, SHAPE)],
      slanted: [await encoder.encodeFrames({ frames: [lines((x, y) => (x + y) / 1.4)] }, SHAPE)],
    };
    expect((await ranked('smooth', pages, maxSim))[0]).toBe('plain');
    expect((await ranked('busy', pages, maxSim)).at(-1)).toBe('plain');
    expect((await ranked('vertical', pages, maxSim))[0]).toBe('upright');
    expect((await ranked('horizontal', pages, maxSim))[0]).toBe('level');
    expect((await ranked('diagonal', pages, maxSim))[0]).toBe('slanted');
  });
});

describe('text that says nothing about looks', () => {
  it('gives rows that score near nothing, the same each time', async () => {
    const query = await encoder.encodeText('quarterly invoice', SHAPE);
    expect(query.length).toBe(2);
    const patches = await encoder.encodeFrames({ frames: [half([90, 140, 60])] }, SHAPE);
    expect(Math.abs(maxSim(query, patches))).toBeLessThan(0.1);
    expect(await encoder.encodeText('quarterly invoice', SHAPE)).toEqual(query);
    expect((await encoder.encodeText('', SHAPE)).length).toBe(1);
    expect((await encoder.encodeText('🎬 '.repeat(5000), SHAPE)).length).toBe(1);
  });
});

describe('threads', () => {
  it('leave the event loop free, and keep up with 60 pictures a second each', async () => {
    const one = new PixelEncoder(1);
    const frames = [half([90, 140, 60])];
    await one.encodeFrames({ frames }, SHAPE);
    // Processor time and not the clock's, which a busy machine stretches.
    const [all, loop] = [process.cpuUsage(), process.threadCpuUsage()];
    await Promise.all(Array.from({ length: 240 }, () => one.encodeFrames({ frames }, SHAPE)));
    const seconds = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1e6;
    const [work, ours] = [seconds(process.cpuUsage(all)), seconds(process.threadCpuUsage(loop))];
    await one.close();
    expect(240 / work).toBeGreaterThan(60);
    expect(ours / work).toBeLessThan(0.25);
  });

  it('end a task with its signal at once, in work or waiting, and go on with the next', async () => {
    const one = new PixelEncoder(1);
    const frames = Array.from({ length: 30 }, () => half([90, 140, 60]));
    const [first, second] = [new AbortController(), new AbortController()];
    const tasks = [first.signal, second.signal, undefined].map((signal) =>
      one.encodeFrames({ frames }, SHAPE, signal),
    );
    first.abort(new Error('first'));
    second.abort(new Error('second'));
    const outcomes = await Promise.allSettled(tasks);
    expect(
      outcomes.map((o) => (o.status === 'rejected' ? (o.reason as Error).message : o.value.length)),
    ).toEqual(['first', 'second', 64]);
    await expect(one.encodeFrames({ frames }, SHAPE, first.signal)).rejects.toThrow('first');
    await one.close();
  });

  it('refuse what is left when the encoder closes', async () => {
    const one = new PixelEncoder(1);
    const tasks = [1, 2].map(() => one.encodeFrames({ frames: [half([90, 140, 60])] }, SHAPE));
    await Promise.all([
      one.close(),
      ...tasks.map((task) => expect(task).rejects.toThrow('the encoder was closed')),
    ]);
    await expect(one.encodeFrames({ frames: [plain([1, 2, 3])] }, SHAPE)).rejects.toThrow(
      'the encoder is closed',
    );
  });
});

describe('binarize', () => {
  it('packs signs as numpy does, the first number highest', () => {
    const row = Float32Array.from([1, -1, 0, 0.5, -2, 3, 1, -1, -1, -1, -1, -1, -1, -1, -1, 1]);
    expect([...binarize(row)]).toEqual([0b10010110 - 256, 1]);
    expect(() => binarize(new Float32Array(9))).toThrow('do not fill whole bytes');
  });
});
