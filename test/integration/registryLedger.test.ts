import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationId } from '../../src/domain/ids.js';
import type { Pool } from '../../src/registry/database.js';
import {
  addItems,
  countItems,
  failedItems,
  finishItem,
  getItem,
  nextPendingItems,
} from '../../src/registry/ledger.js';
import {
  getVideo,
  noteFeeding,
  noteFingerprint,
  noteStored,
  unchangedPaths,
} from '../../src/registry/videos.js';
import {
  type TestRegistry,
  atOnce,
  makeIngest,
  makeTenant,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';

let registry: TestRegistry;
let pool: Pool;

beforeAll(async () => {
  registry = await startTestRegistry();
  pool = registry.pool;
});
afterAll(() => registry.stop());

const listed = (...paths: string[]) => paths.map((path) => ({ path, video: `v-${path}` }));
const newIngest = async () => makeIngest(pool, await makeTenant(pool));

async function wholeLedger(operation: OperationId): Promise<[number, string][]> {
  const { rows } = await pool.query<{ item: number; path: string }>(
    'select item, path from ingest_items where operation = $1 order by item',
    [operation],
  );
  return rows.map(({ item, path }) => [item, path]);
}

describe('the listing', () => {
  it('numbers from 1 in the order given, over pages', async () => {
    const operation = await newIngest();
    await addItems(pool, operation, listed('b', 'a'));
    await addItems(pool, operation, listed('d', 'c'));
    await addItems(pool, operation, []);
    expect(await wholeLedger(operation)).toEqual([
      [1, 'b'],
      [2, 'a'],
      [3, 'd'],
      [4, 'c'],
    ]);
    expect(await getItem(pool, operation, 2)).toEqual({
      item: 2,
      path: 'a',
      video: 'v-a',
      state: 'pending',
      reason: null,
      documents: 0,
      fingerprint: null,
    });
  });

  it('run again over a folder that has changed loses no file and leaves no hole', async () => {
    const operation = await newIngest();
    await addItems(pool, operation, listed('a', 'c'));
    await finishItem(pool, operation, 2, { state: 'stored', documents: 3 });
    // Killed here; meanwhile b came, and sorts before c.
    await addItems(pool, operation, listed('a', 'b', 'c', 'd', 'b'));
    expect(await wholeLedger(operation)).toEqual([
      [1, 'a'],
      [2, 'c'],
      [3, 'b'],
      [4, 'd'],
    ]);
    expect(await getItem(pool, operation, 2)).toMatchObject({ path: 'c', state: 'stored', documents: 3 });
  });

  it('takes paths longer than an index can hold, once each', async () => {
    const operation = await newIngest();
    const long = (last: string) => `/${randomBytes(1500).toString('hex')}/${last}`;
    const items = [long('a'), long('b')].map((path) => ({ path, video: 'clip-0123456789ab' }));
    for (let i = 0; i < 2; i++) await addItems(pool, operation, items);
    expect((await wholeLedger(operation)).map(([, path]) => path)).toEqual(items.map(({ path }) => path));
  });

  it('by five attempts at once gives each path one number, 1 to n', async () => {
    const operation = await newIngest();
    const paths = Array.from({ length: 200 }, (_, i) => `p${i}`);
    const ends = await atOnce(5, async (i) => {
      const mine = paths.slice(i * 20).concat(paths.slice(0, i * 20));
      for (let from = 0; from < mine.length; from += 50)
        await addItems(pool, operation, listed(...mine.slice(from, from + 50)));
    });
    expect(ends).toEqual(Array(5).fill(undefined));
    const ledger = await wholeLedger(operation);
    expect(ledger.map(([item]) => item)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    expect(new Set(ledger.map(([, path]) => path))).toEqual(new Set(paths));
  });

  it('is refused for an operation that nobody began', async () => {
    await expect(addItems(pool, newOperation(), listed('a'))).rejects.toMatchObject({ type: 'NotFound' });
  });
});

describe('an item', () => {
  it('ends once: of ten different ends at once the first is the word for all', async () => {
    const operation = await newIngest();
    await addItems(pool, operation, listed('a'));
    const ends = await atOnce(10, (i) =>
      finishItem(
        pool,
        operation,
        1,
        i % 2 === 0 ? { state: 'stored', documents: i + 1 } : { state: 'failed', reason: `reason ${i}` },
      ),
    );
    const kept = await getItem(pool, operation, 1);
    expect(ends).toEqual(Array(10).fill(kept));
    expect(kept.state).not.toBe('pending');
  });

  it('keeps a reason that Postgres would refuse, and a long one cut', async () => {
    const operation = await newIngest();
    await addItems(pool, operation, listed('a', 'b'));
    await finishItem(pool, operation, 1, { state: 'failed', reason: 'moov\0 atom' });
    // Cut in the middle of a pair.
    await finishItem(pool, operation, 2, { state: 'failed', reason: `${'x'.repeat(1999)}\u{1f4a5}!` });
    expect(await failedItems(pool, operation, 10)).toEqual([
      { item: 1, video: 'a', reason: 'moov\ufffd atom' },
      { item: 2, video: 'b', reason: `${'x'.repeat(1999)}\ufffd` },
    ]);
  });

  it('that is not there cannot end', async () => {
    const end = finishItem(pool, await newIngest(), 1, { state: 'unchanged', documents: 1 });
    await expect(end).rejects.toMatchObject({ type: 'NotFound' });
  });

  it.each([
    ['failed without a reason', `state = 'failed', ended_at = now()`],
    ['ended without a time', `state = 'stored'`],
    ['failed with documents', `state = 'failed', reason = 'x', documents = 1, ended_at = now()`],
    ['of another state', `state = 'lost', ended_at = now()`],
  ])('cannot be written as %s', async (_, change) => {
    const operation = await newIngest();
    await addItems(pool, operation, listed('a'));
    const update = pool.query(`update ingest_items set ${change} where operation = $1`, [operation]);
    await expect(update).rejects.toThrow(/violates check constraint/);
  });
});

describe('the ledger of 5,000 items', () => {
  it('counts, pages what is pending and what failed, each item once', async () => {
    const operation = await newIngest();
    const paths = Array.from({ length: 5000 }, (_, i) => `p${i + 1}`);
    for (let from = 0; from < paths.length; from += 1000)
      await addItems(pool, operation, listed(...paths.slice(from, from + 1000)));
    await pool.query(
      `update ingest_items set ended_at = now(), state = case item % 4 when 0 then 'failed' when 1 then 'unchanged' else 'stored' end,
         reason = case item % 4 when 0 then 'r' || item end, documents = case item % 4 when 0 then 0 else 2 end
       where operation = $1 and item % 10 <> 0`,
      [operation],
    );
    // In 1 to 5,000: 500 multiples of 10 stay pending; of the others a quarter of 5,000 each, less the multiples taken out.
    expect(await countItems(pool, operation)).toEqual({
      pending: 500,
      stored: 2500 - 250,
      unchanged: 1250,
      failed: 1250 - 250,
      documents: 2 * (2250 + 1250),
    });

    const pending: number[] = [];
    for (;;) {
      const page = await nextPendingItems(pool, operation, pending.at(-1) ?? 0, 128);
      pending.push(...page.map(({ item }) => item));
      if (page.length < 128) break;
    }
    expect(pending).toEqual(Array.from({ length: 500 }, (_, i) => (i + 1) * 10));

    const failed: number[] = [];
    for (;;) {
      const page = await failedItems(pool, operation, 300, failed.at(-1) ?? 0);
      failed.push(...page.map(({ item }) => item));
      if (page.length < 300) break;
    }
    const expected = Array.from({ length: 1250 }, (_, i) => (i + 1) * 4).filter((item) => item % 10 !== 0);
    expect(failed).toEqual(expected);
  });
});

describe('a video', () => {
  it('names every document that may be there, through kills and re-runs', async () => {
    const { incarnation } = await makeTenant(pool);
    const key = { incarnation, base: 'video_colpali_smol500_mv_frame' as const, video: 'clip' };
    expect(await getVideo(pool, key)).toBeUndefined();
    await noteFeeding(pool, key, 'clip.mp4', 1);
    await noteFeeding(pool, key, 'clip.mp4', 8);
    // Killed; the next attempt begins small and must not forget the eight.
    await noteFeeding(pool, key, 'clip.mp4', 1);
    expect(await getVideo(pool, key)).toMatchObject({ documents: 8, complete: false });

    const record = {
      sha256: 'abc',
      profileVersion: 1,
      encoder: 'pixels-1',
      documents: 5,
      bytes: 5000,
      fingerprint: 'video 1 2',
    };
    for (let i = 0; i < 2; i++) await noteStored(pool, key, record);
    expect(await getVideo(pool, key)).toEqual({ ...record, path: 'clip.mp4', complete: true });
    // Fed again: what was complete is not, from the first document on.
    await noteFeeding(pool, key, 'clip.mp4', 2);
    expect(await getVideo(pool, key)).toEqual({ ...record, path: 'clip.mp4', complete: false });
  });

  it('is never stored without the note that came before its documents', async () => {
    const { incarnation } = await makeTenant(pool);
    const key = { incarnation, base: 'video_colpali_smol500_mv_frame' as const, video: 'clip' };
    const stored = noteStored(pool, key, {
      ...{ sha256: '', profileVersion: 1, encoder: '', documents: 1, bytes: 1, fingerprint: null },
    });
    await expect(stored).rejects.toThrow('fed without a note');
  });

  it('is left out as unchanged only when whole, stored in that way, and of the same looks', async () => {
    const { incarnation } = await makeTenant(pool);
    const as = {
      incarnation,
      base: 'video_colpali_smol500_mv_frame' as const,
      profileVersion: 2,
      encoder: 'e',
    };
    const store = async (video: string, record: object) => {
      const key = { incarnation, base: as.base, video };
      await noteFeeding(pool, key, `${video}.mp4`, 1);
      const same = { sha256: '', profileVersion: 2, encoder: 'e', documents: 1, bytes: 1, fingerprint: 'f' };
      await noteStored(pool, key, { ...same, ...record });
      return key;
    };
    await store('same', {});
    await store('noted', { fingerprint: null });
    await store('older', { profileVersion: 1 });
    await store('other', { encoder: 'x' });
    await store('looks', { fingerprint: 'g' });
    const fed = await store('fed', {});
    await noteFeeding(pool, fed, 'fed.mp4', 1);
    await noteFingerprint(pool, fed, 'f');
    const entries = ['same', 'noted', 'older', 'other', 'looks', 'fed', 'new'].map((video) => ({
      ...{ video, path: `${video}.mp4`, fingerprint: 'f' },
    }));
    expect(await unchangedPaths(pool, as, entries)).toEqual(new Set(['same.mp4']));
    await noteFingerprint(pool, { incarnation, base: as.base, video: 'noted' }, 'f');
    expect(await unchangedPaths(pool, as, entries)).toEqual(new Set(['same.mp4', 'noted.mp4']));
    const next = { ...as, incarnation: (await makeTenant(pool)).incarnation };
    expect(await unchangedPaths(pool, next, entries)).toEqual(new Set());
  });

  it('is not begun under the id of another path: one would overwrite the other', async () => {
    const { incarnation } = await makeTenant(pool);
    const key = { incarnation, base: 'video_colpali_smol500_mv_frame' as const, video: 'clip' };
    await noteFeeding(pool, key, 'clip.mp4', 3);
    await expect(noteFeeding(pool, key, 'other.mp4', 1)).rejects.toThrow('another path');
    expect(await getVideo(pool, key)).toMatchObject({ path: 'clip.mp4', documents: 3 });
  });

  it('of one life is unknown to the next', async () => {
    const [one, two] = [await makeTenant(pool), await makeTenant(pool)];
    const key = { base: 'video_colpali_smol500_mv_frame' as const, video: 'clip' };
    await noteFeeding(pool, { ...key, incarnation: one.incarnation }, 'clip.mp4', 1);
    expect(await getVideo(pool, { ...key, incarnation: two.incarnation })).toBeUndefined();
  });
});
