import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseTenantId } from '../../../src/domain/ids.js';
import { checkMemoryFile, readMemoryFile } from '../../../src/memory/file/read.js';
import { writeMemoryFile } from '../../../src/memory/file/write.js';
import { checkText } from '../../../src/memory/input.js';
import { vectorHex } from '../../../src/memory/vectors.js';
import type { MemoryRecord } from '../../../src/memory/tenantMemory.js';
import { ANYWHERE } from '../../../src/sources/reach.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-memory-file-'));
});

const tenant = parseTenantId('acme_corp');
const how = { signal: new AbortController().signal, reach: ANYWHERE };
const record = (at: string, data = 'tea', metadata: object = {}): MemoryRecord => ({
  id: `00000000-0000-4000-8000-${createHash('md5').update(at).digest('hex').slice(0, 12)}`,
  kind: 'memory',
  payload: {
    ...metadata,
    ...{ data, hash: createHash('md5').update(data).digest('hex'), createdAt: '2026-11-28T20:00:00.000Z' },
    user_id: 'ann',
  },
  embedder: 'test@2',
  embedding: vectorHex([1, 0.5]),
});
const metadatas = fc.dictionary(fc.string(), fc.jsonValue() as fc.Arbitrary<unknown>, { maxKeys: 3 });

/** Whether a memory may be this. */
function isText(text: string): boolean {
  try {
    checkText(text);
    return true;
  } catch {
    return false;
  }
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

let files = 0;
async function written(records: readonly MemoryRecord[]) {
  const file = path.join(folder, `${files++}.jsonl`);
  return { file, ...(await writeMemoryFile(file, tenant, each(records))) };
}
const refusal = (type: string) => expect.objectContaining({ type }) as Error;

describe('a file of memories', () => {
  test('gives back what was written, whatever is in it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.string({ minLength: 1 }).filter(isText), metadatas), { maxLength: 5 }),
        async (items) => {
          const records = items.map(([data, note], i) => record(`m${i}`, data, { note }));
          const { file, memories, sha256 } = await written(records);
          expect(memories).toBe(records.length);
          expect(await checkMemoryFile(file, how)).toEqual({ memories, sha256 });
          const read = await all(readMemoryFile(file, { sha256, ...how }));
          // As JSON has them: it knows no -0.
          expect(read).toEqual(JSON.parse(JSON.stringify(records)));
        },
      ),
      { numRuns: 8 },
    );
  });

  test('that was changed or cut anywhere is refused before it is believed', async () => {
    const { file } = await written([record('a'), record('b', 'coffee'), record('c')]);
    const whole = await readFile(file);
    const bad = path.join(folder, 'bad.jsonl');
    const ends = [...whole.keys()].filter((at) => at % 397 === 0 || whole[at] === 10 || whole[at - 1] === 10);
    for (const at of ends) {
      await writeFile(bad, whole.subarray(0, at));
      await expect(checkMemoryFile(bad, how)).rejects.toThrow(
        /missing|no file of memories|no end|is no memory/,
      );
    }
    const text = whole.toString();
    for (const changed of [
      text.replace('coffee', 'cocoa'),
      text.replace('"memories":3', '"memories":2'),
      text.replace(/^.*coffee.*\n/m, ''),
      text.replace(/^(.*coffee.*\n)/m, '$1$1'),
      text.replace('"kind":"memory"', '"kind":"memory","more":1'),
      `${text}{}\n`,
    ]) {
      expect(changed).not.toBe(text);
      await writeFile(bad, changed);
      await expect(checkMemoryFile(bad, how)).rejects.toThrow(refusal('VerificationFailed'));
    }
  });

  test('says nothing of what a bad line holds', async () => {
    const { file } = await written([record('a', 'a secret')]);
    await writeFile(file, (await readFile(file, 'utf8')).replace('"payload"', '"other"'));
    await expect(checkMemoryFile(file, how)).rejects.toThrow(/^[^]*line 2 is no memory$/);
  });

  test('that is another one since its check is refused', async () => {
    const first = await written([record('a')]);
    const second = await written([record('b')]);
    await expect(all(readMemoryFile(second.file, { sha256: first.sha256, ...how }))).rejects.toThrow(
      'it has changed since it was checked',
    );
  });

  test('has its name only when it is whole', async () => {
    const file = path.join(folder, 'whole.jsonl');
    await writeMemoryFile(file, tenant, each([record('kept')]));
    const before = await readFile(file);
    async function* failing(): AsyncGenerator<MemoryRecord> {
      yield record('a');
      throw new Error('Vespa is away');
    }
    await expect(writeMemoryFile(file, tenant, failing())).rejects.toThrow('Vespa is away');
    expect(await readFile(file)).toEqual(before);
    expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('is not found, or is none', async () => {
    await expect(checkMemoryFile(path.join(folder, 'nowhere'), how)).rejects.toThrow(refusal('NotFound'));
    await expect(checkMemoryFile(folder, how)).rejects.toThrow(refusal('InvalidInput'));
    await expect(writeMemoryFile(path.join(folder, 'no/folder'), tenant, each([]))).rejects.toThrow(
      refusal('InvalidInput'),
    );
    const other = path.join(folder, 'other.txt');
    await writeFile(other, 'hello\nworld\n');
    await expect(checkMemoryFile(other, how)).rejects.toThrow(refusal('InvalidInput'));
  });
});
