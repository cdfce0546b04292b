import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type SlicePosition, backUpSlice } from '../../../src/backup/documents/backUpSlice.js';
import { digestSlice } from '../../../src/backup/documents/digestSlice.js';
import { inSlices, slicesFor } from '../../../src/backup/documents/slices.js';
import { LineDigest } from '../../../src/backup/digest.js';
import type { DocumentClient } from '../../../src/vespa/documents.js';
import { type Bucket, bucketsOf, put, startedVisits } from '../vespa/visitServer.js';

const { open, start, close } = startedVisits();
afterEach(close);

const SLICE = { cluster: 'c', schema: 'music', slices: 1, sliceId: 0 };

/** What a caller keeps, and a process that is killed leaves behind: the parts that were reported, and where to go on. */
class Recorded {
  readonly parts: string[][] = [];
  position: SlicePosition | undefined;
  done = false;
  /** Documents that were given to a writer. */
  written = 0;
  private alive: { readonly kill: () => void } | undefined;

  /** Ends when the slice is done, or, like a killed process, when so many documents were written. */
  async run(client: DocumentClient, killAfter = Infinity): Promise<void> {
    const until = this.written + killAfter;
    const abort = new AbortController();
    const killed = new Promise<void>((kill) => (this.alive = { kill }));
    const { alive } = this;
    const isDead = () => this.alive !== alive || abort.signal.aborted;
    const never = () => new Promise<never>(() => undefined);
    const run = backUpSlice(client, SLICE, {
      resume: this.position,
      signal: abort.signal,
      writePart: async (_, lines) => {
        const part: string[] = [];
        for await (const line of lines) {
          if (isDead()) return never();
          part.push(String(line));
          if (++this.written < until) continue;
          alive!.kill();
          return never();
        }
        return part;
      },
      onPart: async (index, part, position) => {
        if (isDead()) return never();
        this.parts[index] = part;
        this.position = position;
      },
      onRestart: async () => void (this.parts.length = 0),
    }).then((count) => {
      this.done = true;
      expect(count).toBe(this.parts.length);
    });
    run.catch(() => undefined);
    await Promise.race([run, killed]);
    this.alive = undefined;
    abort.abort();
  }
}

const documentsOf = (buckets: readonly Bucket[]) => buckets.flatMap(({ documents }) => documents);
/** Buckets of documents that are large enough for a part to end after 9 of them. */
const LARGE = `{"t":"${'f'.repeat(1 << 20)}"}`;
const largeBuckets = (sizes: readonly number[]): Bucket[] =>
  sizes.map((size, bucket) => ({
    documents: Array.from({ length: size }, (_, n) => put(`${bucket}_${n}`, LARGE)),
  }));
const MOST_PER_PART = 8 + 4;

describe('a slice', () => {
  it('is cut into parts where the server can go on, each reported with its position', async () => {
    const buckets = bucketsOf(Array.from({ length: 40 }, () => 300));
    const { client } = await start(buckets);
    const recorded = new Recorded();
    await recorded.run(client);
    expect(recorded.parts.map((part) => part.length)).toEqual([5_101, 5_100, 1_799]);
    expect(recorded.parts.flat()).toEqual(documentsOf(buckets));
    expect([recorded.done, recorded.position]).toEqual([true, undefined]);
  });

  it('without documents has no parts', async () => {
    const { client } = await start(bucketsOf([0, 0]));
    const recorded = new Recorded();
    await recorded.run(client);
    expect([recorded.done, recorded.parts]).toEqual([true, []]);
  });

  it('holds every document once after kills at any points, and repeats one part at most for each', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 5, maxLength: 14 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 4 }),
        async (sizes, kills) => {
          const buckets = largeBuckets(sizes);
          const { client } = await start(buckets);
          const recorded = new Recorded();
          for (const killAfter of [...kills, Infinity])
            if (!recorded.done) await recorded.run(client, killAfter);
          const total = documentsOf(buckets).length;
          expect(recorded.parts.flat().length).toBe(total);
          expect(new Set(recorded.parts.flat())).toEqual(new Set(documentsOf(buckets)));
          expect(recorded.written).toBeLessThanOrEqual(total + kills.length * MOST_PER_PART);
          for (const close of open.splice(0)) await close();
        },
      ),
      { numRuns: 15 },
    );
  });

  it('has whole parts only when its responses are cut', async () => {
    const buckets = largeBuckets([3, 4, 4, 3, 4, 2]);
    const { client } = await start(buckets, (request) =>
      request < 3 ? { kind: 'cut', after: (7 << 20) + request * 3_000_000 } : { kind: 'whole' },
    );
    const recorded = new Recorded();
    await recorded.run(client);
    expect(recorded.parts.flat()).toEqual(documentsOf(buckets));
  });

  it('begins anew when the server lost a document, and is given up when it keeps doing so', async () => {
    const buckets = bucketsOf(Array.from({ length: 40 }, () => 300));
    const loses = { kind: 'loses', document: 7_000 } as const;
    const { client } = await start(buckets, (request) => (request === 0 ? loses : { kind: 'whole' }));
    const recorded = new Recorded();
    await recorded.run(client);
    expect(recorded.parts.flat()).toEqual(documentsOf(buckets));
    const { client: bad } = await start(buckets, () => loses);
    await expect(digestSlice(bad, SLICE)).rejects.toMatchObject({ type: 'Unavailable' });
  });

  it('passes on what its writer throws, and reads no further', async () => {
    const { client, server } = await start(bucketsOf([10]));
    const run = backUpSlice(client, SLICE, {
      writePart: async () => {
        throw new Error('disk full');
      },
      onPart: async () => undefined,
      onRestart: async () => undefined,
    });
    await expect(run).rejects.toThrow('disk full');
    expect(server.requests).toHaveLength(1);
  });

  it('has the digest of its lines, in whatever order and after whatever cuts', async () => {
    const buckets = bucketsOf([4, 0, 7, 1]);
    const digest = new LineDigest();
    for (const line of documentsOf(buckets).toReversed()) digest.add(Buffer.from(line));
    const { client } = await start(buckets, (request) =>
      request < 2 ? { kind: 'cut', after: 300 + 100 * request } : { kind: 'whole' },
    );
    expect(await digestSlice(client, SLICE)).toEqual({ count: 12, digest: digest.digest });
  });
});

describe('slices', () => {
  it('run at a time, and one that fails ends the others', async () => {
    const ended: number[] = [];
    const failure = new Error('no');
    const run = inSlices({ cluster: 'c', schema: 's' }, 3, async ({ sliceId }, signal) => {
      if (sliceId === 1) throw failure;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      ended.push(sliceId);
      throw signal.reason;
    });
    await expect(run).rejects.toBe(failure);
    expect(ended).toEqual([0, 2]);
  });

  it('are few for few documents and never more than 16', () => {
    expect([0, 99, 100, 20_000, 30_000, 10_000_000].map(slicesFor)).toEqual([1, 1, 4, 4, 6, 16]);
  });
});
