import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Queue } from '../../workflows/ingestQueue.js';

/** What comes of a turn, by a number that picks how many of its videos ended first. */
const turn = fc.record({
  turns: fc.integer({ min: 1, max: 100 }),
  ended: fc.nat(10),
  how: fc.constantFrom('handed back' as const, 'failed' as const, 'refused' as const),
  carried: fc.boolean(),
});

test('every video is handed out until it has ended, none while a turn has it, and a turn holds 1 to 10', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.array(turn, { maxLength: 60 }), (total, turns) => {
      let queue = new Queue(total, { next: 1 });
      const ended = new Set<number>();
      const take = (under: number) => {
        const videos = queue.take(under);
        expect(videos.length).toBeGreaterThan(0);
        expect(videos.length).toBeLessThanOrEqual(10);
        for (const { item } of videos) expect(ended.has(item), `item ${item}`).toBe(false);
        expect(new Set(videos.map(({ item }) => item)).size).toBe(videos.length);
        return videos;
      };
      for (const { turns: under, ended: few, how, carried } of turns) {
        if (queue.size === 0) break;
        const videos = take(under);
        const done = videos.slice(0, few);
        const rest = videos.slice(few);
        for (const { item } of done) ended.add(item);
        if (how === 'handed back') queue.handBack(rest.map(({ item }) => item));
        if (how === 'failed') queue.tryAlone(rest.map(({ item }) => item));
        if (how === 'refused')
          for (const video of rest) if (!queue.parking.putBack(video, 'blocked', 'full', 0)) fail(video);
        expect(queue.size + ended.size).toBe(total);
        if (carried) queue = new Queue(total, structuredClone(queue.carried()));
      }
      while (queue.size > 0) for (const { item } of take(4)) ended.add(item);
      expect(ended).toEqual(new Set(Array.from({ length: total }, (_, i) => i + 1)));
    }),
    { numRuns: 500 },
  );
});

test('videos of a turn that failed come one by one, after those that nothing is known of', () => {
  const queue = new Queue(200, { next: 1 });
  const failed = queue.take(2);
  expect(failed).toHaveLength(10);
  queue.tryAlone(failed.map(({ item }) => item));
  const order: number[][] = [];
  while (queue.size > 0) order.push(queue.take(2).map(({ item }) => item));
  expect(order.slice(-10)).toEqual(failed.map(({ item }) => [item]));
  expect(order.slice(0, -10).flat()).toEqual(Array.from({ length: 190 }, (_, i) => i + 11));
});

test('towards the end turns get shorter, so that none works long after the others', () => {
  const queue = new Queue(100, { next: 1 });
  const sizes: number[] = [];
  while (queue.size > 0) sizes.push(queue.take(4).length);
  expect(sizes[0]).toBe(10);
  expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
  expect(sizes.slice(-8)).toEqual(Array.from({ length: 8 }, () => 1));
});

function fail(video: { readonly item: number }): never {
  throw new Error(`video ${video.item} was given up for a blocked Vespa`);
}
