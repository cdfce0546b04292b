import { createHash, randomBytes } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ManifestPart } from '../../../src/contracts/backup.js';
import { backupFolder } from '../../../src/domain/backups.js';
import { addDigests, noLines } from '../../../src/domain/lineDigests.js';
import { CHUNK_BYTES } from '../../../src/backup/format/encryption.js';
import { keyEncryptionKey, newDataKey } from '../../../src/backup/format/keys.js';
import { readPart } from '../../../src/backup/format/readPart.js';
import { writePart } from '../../../src/backup/format/writePart.js';
import { MemoryStore } from '../../support/memoryStore.js';
import { collect } from '../../support/videos.js';
import { BACKUP, TENANT, linesOf } from './formatFixtures.js';

const { key } = newDataKey(keyEncryptionKey(randomBytes(32)), { tenant: TENANT, backup: BACKUP });
const NAME = { kind: 'spans', index: 0 } as const;
const newPlace = () => ({ store: new MemoryStore(), folder: backupFolder(TENANT, BACKUP) });

const line = fc
  .oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc.string({ unit: 'binary', minLength: 1 }).map((text) => Buffer.from(text)),
    // Longer than what is compressed, encrypted or cut at once.
    fc.integer({ min: CHUNK_BYTES - 3, max: 10 * CHUNK_BYTES }).map((length) => Buffer.alloc(length, 'a0')),
  )
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0x0a ? 0x20 : byte))));
const lines = fc.oneof({ weight: 5, arbitrary: fc.array(line, { maxLength: 30 }) }, fc.constant([]));

describe('a part', () => {
  it('gives back the lines it was written of, byte for byte, however the store cuts it', async () => {
    await fc.assert(
      fc.asyncProperty(
        lines,
        fc.boolean(),
        fc.integer({ min: 1, max: 100_000 }),
        async (all, secret, piece) => {
          const place = newPlace();
          const part = await writePart(place, NAME, linesOf(...all), secret ? { key } : {});
          place.store.pieceBytes = piece;
          const read = await collect(readPart(place, part, secret ? { key } : {}));
          expect(read.length).toBe(all.length);
          expect(read.every((bytes, i) => bytes.equals(all[i]!))).toBe(true);
          const sums = all.map((bytes) => createHash('sha256').update(bytes).digest('hex'));
          expect(part).toMatchObject({
            count: all.length,
            plainSize: all.reduce((sum, bytes) => sum + bytes.length + 1, 0),
            digest: sums.reduce(addDigests, noLines),
          });
        },
      ),
      { numRuns: 150 },
    );
  });

  it('encrypts what repeats, at every length around a chunk', async () => {
    for (const length of [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES]) {
      // What does not compress is stored in as many chunks as it has.
      const bytes = Buffer.from(randomBytes(length).map((byte) => (byte === 0x0a ? 0x0b : byte)));
      const place = newPlace();
      const part = await writePart(place, NAME, linesOf(bytes), { key });
      expect((await collect(readPart(place, part, { key })))[0]!.equals(bytes)).toBe(true);
    }
  });

  it('never stores the same encrypted bytes twice, nor the plain ones', async () => {
    const place = newPlace();
    const secret = 'the number of the account is 4711';
    const first = await writePart(place, NAME, linesOf(secret), { key });
    const stored = [...place.store.objects.values()][0]!;
    const second = await writePart(place, NAME, linesOf(secret), { key });
    expect(second.sha256).not.toBe(first.sha256);
    expect(stored.includes('4711')).toBe(false);
    expect(second).toMatchObject({ count: 1, digest: first.digest });
  });

  it('refuses lines that are none, and leaves no object', async () => {
    for (const bad of ['', 'a\nb', '\n']) {
      const place = newPlace();
      await expect(writePart(place, NAME, linesOf('{}', bad))).rejects.toMatchObject({
        type: 'InvalidInput',
      });
      expect(place.store.objects.size).toBe(0);
    }
  });

  it('refuses what the store confirms otherwise', async () => {
    const place = newPlace();
    const put = place.store.put.bind(place.store);
    place.store.put = async (...call) => ({ ...(await put(...call)), sha256: noLines });
    await expect(writePart(place, NAME, linesOf('{}'))).rejects.toMatchObject({ type: 'Unavailable' });
  });

  it("passes on the source's failure, and an abort, both ways", async () => {
    const place = newPlace();
    const failing = (async function* () {
      yield Buffer.from('{}');
      throw new Error('the visit broke');
    })();
    await expect(writePart(place, NAME, failing)).rejects.toThrow('the visit broke');
    const signal = AbortSignal.abort(new Error('stop'));
    await expect(writePart(place, NAME, linesOf('{}'), { signal })).rejects.toThrow();
    const part = await writePart(place, NAME, linesOf('{}'));
    await expect(collect(readPart(place, part, { signal }))).rejects.toThrow();
  });
});

describe('a part that is not what the manifest says', () => {
  it('is left at the first byte too many of a bomb: 512 MiB in 50 KB cost a few pieces', async () => {
    const place = newPlace();
    const bomb = zstdCompressSync(Buffer.alloc(512 * 1024 * 1024, 'x'));
    const part = await storeAs(place, bomb, { count: 1, plainSize: 1000 });
    let taken = 0;
    const before = process.memoryUsage().arrayBuffers;
    await expect(
      (async () => {
        for await (const read of readPart(place, part)) taken += read.length;
      })(),
    ).rejects.toMatchObject({ type: 'VerificationFailed' });
    expect(taken).toBe(0);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 1024 * 1024);
  });

  it.each([
    ['more lines', '{}\n{}\n', { count: 1, plainSize: 6 }, 'more lines'],
    ['fewer lines', '{}\n', { count: 2, plainSize: 3 }, 'fewer lines'],
    ['fewer bytes', '{}\n', { count: 1, plainSize: 4 }, 'fewer bytes'],
    ['an end without newline', '{}\n{}', { count: 2, plainSize: 5 }, 'has no end'],
  ])('is refused: %s', async (_, text, plain, why) => {
    const place = newPlace();
    const part = await storeAs(place, zstdCompressSync(text), plain);
    await expect(collect(readPart(place, part))).rejects.toThrow(why);
  });

  it('is refused when its frame is cut off though its hash is right, or wants a window of 16 MiB', async () => {
    const place = newPlace();
    const whole = zstdCompressSync(`${'{"a":1}'.repeat(100)}\n`);
    const cut = await storeAs(place, whole.subarray(0, -3), { count: 1, plainSize: 701 });
    await expect(collect(readPart(place, cut))).rejects.toMatchObject({ type: 'VerificationFailed' });
    const wide = zstdCompressSync(
      randomBytes(2 ** 24).map((byte) => (byte & 0x7f) | 0x20),
      {
        params: { [constants.ZSTD_c_windowLog]: 24, [constants.ZSTD_c_contentSizeFlag]: 0 },
      },
    );
    const part = await storeAs(place, wide, { count: 1, plainSize: 2 ** 24 });
    await expect(collect(readPart(place, part))).rejects.toThrow('cannot be decompressed');
  });

  it('is refused in another place, of another backup, and with another key', async () => {
    const place = newPlace();
    const part = await writePart(place, NAME, linesOf('{}'), { key });
    const bytes = [...place.store.objects.values()][0]!;
    const moved = { ...(await storeAs(place, bytes, part)), path: 'traces/spans-00001.jsonl.zst' };
    place.store.objects.set(`${place.folder}/${moved.path}`, bytes);
    const keys = newDataKey(keyEncryptionKey(randomBytes(32)), { tenant: TENANT, backup: BACKUP });
    for (const [as, with_] of [
      [moved, key],
      [part, { ...key, of: `${TENANT}/20261128T154500Z-00000000` }],
      [part, keys.key],
    ] as const)
      await expect(collect(readPart(place, as, { key: with_ }))).rejects.toThrow('cannot be decrypted');
  });

  it('is refused when encrypted chunks are left out, moved, doubled or cut, though its hash is right', async () => {
    const place = newPlace();
    const line = Buffer.from(randomBytes(5 * CHUNK_BYTES).map((byte) => (byte === 0x0a ? 0x0b : byte)));
    const part = await writePart(place, NAME, linesOf(line), { key });
    const bytes = [...place.store.objects.values()][0]!;
    const [head, chunk] = [36, CHUNK_BYTES + 16];
    const chunks = Array.from({ length: Math.ceil((bytes.length - head) / chunk) }, (_, i) =>
      bytes.subarray(head + i * chunk, head + (i + 1) * chunk),
    );
    expect(chunks.length).toBeGreaterThan(4);
    const [first, second, ...others] = chunks as [Buffer, Buffer, ...Buffer[]];
    for (const lie of [
      [],
      [first],
      [first, second],
      chunks.slice(0, -1),
      [second, first, ...others],
      [first, second, second, ...others],
      [first, ...others],
      [...chunks.slice(0, -1), chunks.at(-1)!.subarray(0, 10)],
      [...chunks, chunks.at(-1)!],
    ]) {
      const as = await storeAs(place, Buffer.concat([bytes.subarray(0, head), ...lie]), part);
      await expect(collect(readPart(place, as, { key }))).rejects.toThrow('cannot be decrypted');
    }
    for (const short of [0, 3, 35]) {
      const as = await storeAs(place, bytes.subarray(0, short), part);
      await expect(collect(readPart(place, as, { key }))).rejects.toThrow('cannot be decrypted');
    }
    expect(
      (await collect(readPart(place, await storeAs(place, bytes, part), { key })))[0]!.equals(line),
    ).toBe(true);
  });
});

/** Bytes as they are, with a manifest's entry whose size and hash are right. */
async function storeAs(
  place: ReturnType<typeof newPlace>,
  bytes: Buffer,
  plain: Pick<ManifestPart, 'count' | 'plainSize'>,
): Promise<ManifestPart> {
  const path = 'traces/spans-00000.jsonl.zst';
  place.store.objects.set(`${place.folder}/${path}`, bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const { count, plainSize } = plain;
  return { path, kind: 'spans', size: bytes.length, sha256, count, plainSize, digest: noLines };
}
