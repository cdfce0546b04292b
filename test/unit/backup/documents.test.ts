import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { backUpSlice } from '../../../src/backup/documents/backUpSlice.js';
import { digestSchema } from '../../../src/backup/documents/digestSlice.js';
import { putOf, restoreParts } from '../../../src/backup/documents/restoreParts.js';
import { inSlices } from '../../../src/backup/documents/slices.js';
import { lineRenamer } from '../../../src/backup/format/documentLine.js';
import { readPart } from '../../../src/backup/format/readPart.js';
import { writePart } from '../../../src/backup/format/writePart.js';
import { parseStorePath } from '../../../src/domain/backups.js';
import { addDigests, noLines } from '../../../src/domain/lineDigests.js';
import type { ManifestPart } from '../../../src/contracts/backup.js';
import { withFaults } from '../../../src/embedded/vespa/documents/faults.js';
import { ApiServer } from '../../../src/embedded/vespa/http/server.js';
import { DocumentClient } from '../../../src/vespa/documents.js';
import { freePort } from '../../support/postgres.js';
import { MemoryStore } from '../../support/memoryStore.js';
import { typescriptChild } from '../../support/typescriptChild.js';
import { VisitedStore } from '../emulator/visitedStore.js';

const BASE = 'video_colpali_smol500_mv_frame';
const AA = { namespace: 'ns', schema: 'aa' };
const BB = { namespace: 'ns', schema: 'bb' };
const SCHEMA = { cluster: 'd', schema: 'aa' };

let vespa: VisitedStore;
let server: ApiServer;
let client: DocumentClient;
let url: string;

async function serve(visitFaults = 0): Promise<void> {
  const visits = {
    rate: visitFaults,
    kinds: ['cut', 'unfinished', 'refused'] as const,
    withinBytes: 3_000_000,
  };
  server = new ApiServer(withFaults(vespa.handler, { rate: 0, statuses: [], seed: 11, visits }));
  const port = await freePort();
  await server.listen(port, '127.0.0.1');
  url = `http://127.0.0.1:${port}`;
  client = new DocumentClient(url, { connections: 16 });
}

beforeEach(async () => {
  vespa = await VisitedStore.create();
});
afterEach(async () => {
  await client.close();
  await server.close();
  await vespa.remove();
});

const PLACE = { store: new MemoryStore(), folder: parseStorePath('acme_corp') };

async function backUp(slices: number): Promise<ManifestPart[]> {
  const all = await inSlices(SCHEMA, slices, async (slice, signal) => {
    const parts: ManifestPart[] = [];
    await backUpSlice(client, slice, {
      signal,
      writePart: (index, lines) =>
        writePart(PLACE, { kind: 'documents', base: BASE, index: slice.sliceId * 1_000 + index }, lines),
      onPart: async (_, part) => void parts.push(part),
      onRestart: async () => void parts.splice(0),
    });
    return parts;
  });
  return all.flat();
}

/** Every line of a schema in the order of its ids. */
async function linesOf(schema: string): Promise<string[]> {
  const query = `/document/v1/?cluster=d&selection=${schema}&stream=true&format.tensors=hex`;
  const text = await vespa.text('GET', query, '', { accept: 'application/jsonl' });
  return text
    .split('\n')
    .filter((line) => line.startsWith('{"put"'))
    .toSorted();
}

describe('documents out of one schema and into another', () => {
  it('differ in not one byte, whatever they hold', async () => {
    await serve();
    const odd = {
      plain: '{"title":"x"}',
      'a"b\\c/d+e %2F': '{"title":"say \\"hi\\" \\\\ / ü 🎞 \\u2028"}',
      'größe:🎞::x': '{"l":9223372036854775807}',
      least: '{"l":-9223372036854775808,"d":-0.0,"f":-0.0}',
      large: '{"d":1e300,"doubles":[1.7976931348623157e308,5e-324,-1e-300,0.1]}',
      'no numbers':
        '{"dense":{"values":"7FC000007F800000FF800000"},"mixed":{"blocks":{"p\\"1":"7FC0FFC07F808000"}}}',
      nested:
        '{"pairs":{"fields":"{\\"put\\":","}}":"{{"},"strings":["","\\n\\t",",\\"fields\\":{"],"weights":{"a\\"":-1}}',
    };
    for (const [id, fields] of Object.entries(odd))
      await client.put({ ...AA, id }, Buffer.from(`{"fields":${fields}}`));
    const before = await linesOf('aa');
    expect(before).toHaveLength(Object.keys(odd).length);

    const parts = await backUp(3);
    expect(parts.reduce((sum, { count }) => sum + count, 0)).toBe(before.length);
    const rename = lineRenamer({ from: AA, to: BB, fields: {} });
    const { acknowledged } = await restoreParts(
      client,
      parts.map((part) => ({ part, lines: readPart(PLACE, part) })),
      { put: (line) => putOf(rename(line), BB) },
    );
    expect(acknowledged).toBe(before.length);
    expect(await linesOf('bb')).toEqual(before.map((line) => line.replace('id:ns:aa::', 'id:ns:bb::')));
    // And once more into where they came from, which changes nothing.
    await restoreParts(
      client,
      parts.map((part) => ({ part, lines: readPart(PLACE, part) })),
      { put: (line) => putOf(line, AA) },
    );
    expect(await linesOf('aa')).toEqual(before);
  });

  it('are all there although every second visit is cut, unfinished or refused', async () => {
    vespa.put(6_000, { strings: ['s'.repeat(2_000)] });
    await serve(0.5);
    const parts = await backUp(4);
    const lines: string[] = [];
    for (const part of parts) for await (const line of readPart(PLACE, part)) lines.push(String(line));
    expect(lines.toSorted()).toEqual(await linesOf('aa'));
    const { count, digest } = await digestSchema(client, SCHEMA, 3);
    expect(count).toBe(6_000);
    expect(digest).toBe(parts.reduce((sum, part) => addDigests(sum, part.digest), noLines));
  });
});

describe('a restore', () => {
  const lines = async function* (ids: readonly string[], fields = '{"title":"x"}') {
    for (const id of ids) yield Buffer.from(`{"put":"id:ns:bb::${id}","fields":${fields}}`);
  };
  const put = (line: Buffer) => putOf(line, BB);

  it('reports each part once all of it is acknowledged, and empty ones too', async () => {
    await serve();
    const reported: [number, number][] = [];
    let stored = 0;
    await restoreParts(
      client,
      [['a', 'b', 'c'], [], ['d']].map((ids, part) => ({ part, lines: lines(ids) })),
      {
        put,
        onPart: async (part, documents) => {
          await new Promise((resolve) => setImmediate(resolve));
          reported.push([part, documents]);
        },
        onProgress: (count) => (stored = count),
      },
    );
    expect(reported.toSorted(([a], [b]) => a - b)).toEqual([
      [0, 3],
      [1, 0],
      [2, 1],
    ]);
    expect([stored, vespa.store.count('bb')]).toEqual([4, 4]);
  });

  it('names the document that is refused for good, and does not report its part', async () => {
    await serve();
    const reported: string[] = [];
    const restore = restoreParts(
      client,
      [
        { part: 'good', lines: lines(['a']) },
        { part: 'bad', lines: lines(['b'], '{"nope":1}') },
      ],
      { put, onPart: (part) => void reported.push(part) },
    );
    await expect(restore).rejects.toMatchObject({
      type: 'Rejected',
      message: expect.stringMatching(/id:ns:bb::b: 400: .*'nope'/) as string,
    });
    expect(reported).not.toContain('bad');
  });

  it('ends with what cannot be recorded, and with a document of another schema', async () => {
    await serve();
    const failure = new Error('registry is away');
    await expect(
      restoreParts(client, [{ part: 0, lines: lines(['a']) }], {
        put,
        onPart: async () => {
          throw failure;
        },
      }),
    ).rejects.toBe(failure);
    await expect(
      restoreParts(client, [{ part: 0, lines: lines(['a']) }], { put: (line) => putOf(line, AA) }),
    ).rejects.toMatchObject({ type: 'VerificationFailed' });
  });
});

/**
 * A process that backs up or restores, and writes down where it is as an activity records it: each line of the log is one
 * part with its position, or a part that is restored. It begins where the log ends.
 */
const CHILD = `
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { backUpSlice } from '@/src/backup/documents/backUpSlice.ts';
import { inSlices } from '@/src/backup/documents/slices.ts';
import { putOf, restoreParts } from '@/src/backup/documents/restoreParts.ts';
import { lineRenamer } from '@/src/backup/format/documentLine.ts';
import { readPart } from '@/src/backup/format/readPart.ts';
import { writePart } from '@/src/backup/format/writePart.ts';
import { openStore } from '@/src/backup/store/open.ts';
import { DocumentClient } from '@/src/vespa/documents.ts';
const [mode, url, folder] = process.argv.slice(1);
const place = { store: await openStore(folder + '/store', { s3Endpoint: '' }), folder: 'acme_corp' };
const client = new DocumentClient(url, { connections: 16 });
const read = (name) => {
  const file = folder + '/' + name;
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\\n').filter(Boolean).map((line) => JSON.parse(line)) : [];
};
const write = (name, entry) => appendFileSync(folder + '/' + name, JSON.stringify(entry) + '\\n');
const backups = read('backup.log');
if (mode === 'backup') {
  await inSlices({ cluster: 'd', schema: 'aa' }, 3, async (slice, signal) => {
    const last = backups.findLast(({ sliceId }) => sliceId === slice.sliceId);
    if (last && last.position === undefined) return;
    await backUpSlice(client, slice, {
      signal,
      resume: last?.position,
      writePart: (index, lines) => {
        const counted = async function* () {
          for await (const line of lines) { yield line; if (++count % 100 === 0) console.log(count); }
        };
        return writePart(place, { kind: 'documents', base: '${BASE}', index: slice.sliceId * 1000 + index }, counted(), { signal });
      },
      onPart: async (_, part, position) => write('backup.log', { sliceId: slice.sliceId, part, position }),
      onRestart: async () => { throw new Error('restarted'); },
    });
  });
} else {
  const done = new Set(read('restore.log'));
  const parts = backups.map(({ part }) => part).filter(({ path }) => !done.has(path));
  const of = (schema) => ({ namespace: 'ns', schema });
  const rename = lineRenamer({ from: of('aa'), to: of('bb'), fields: {} });
  await restoreParts(client, parts.map((part) => ({ part, lines: readPart(place, part) })), {
    put: (line) => putOf(rename(line), of('bb')),
    onPart: (part) => write('restore.log', part.path),
    onProgress: (stored) => { if (stored % 100 === 0) console.log(stored); },
  });
}
await client.close();
`.replace('const backups', 'let count = 0;\nconst backups');

describe('killed at many points and begun again', () => {
  const DOCUMENTS = 6_000;
  const SLICES = 3;
  /** 8 MiB of lines of a little over 4 KiB, and one bucket. */
  const MOST_PER_PART = 2_100;
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'backup-killed-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** @returns documents that all processes together worked on, in hundreds */
  async function throughKills(mode: 'backup' | 'restore', kills: readonly number[]): Promise<number> {
    let worked = 0;
    for (const killAt of [...kills, Infinity]) {
      const child = typescriptChild(CHILD, [mode, url, folder]);
      const exit = once(child, 'exit');
      let count = 0;
      for await (const line of createInterface({ input: child.stdout! })) {
        count = Number(line);
        if (count < killAt) continue;
        child.kill('SIGKILL');
        break;
      }
      worked += count;
      const [code] = (await exit) as [number | null];
      expect(code).toBe(killAt === Infinity ? 0 : null);
    }
    return worked;
  }

  it(
    'a backup and its restore come to the same, and repeat no more than what was in hand',
    { timeout: 120_000 },
    async () => {
      vespa.put(DOCUMENTS, { strings: ['s'.repeat(4_096)] });
      await serve();
      const kills = [100, 1_500, 2_500];
      const visited = await throughKills('backup', kills);
      expect(visited).toBeLessThanOrEqual(DOCUMENTS + kills.length * SLICES * MOST_PER_PART);
      const log = (await readFile(path.join(folder, 'backup.log'), 'utf8')).trim().split('\n');
      const parts = log.map((line) => (JSON.parse(line) as { part: ManifestPart }).part);
      expect(parts.reduce((sum, { count }) => sum + count, 0)).toBe(DOCUMENTS);

      const restored = await throughKills('restore', [100, 700, 1_900]);
      expect(restored).toBeLessThanOrEqual(DOCUMENTS + 3 * 2 * MOST_PER_PART);
      expect(await linesOf('bb')).toEqual(
        (await linesOf('aa')).map((line) => line.replace('id:ns:aa::', 'id:ns:bb::')),
      );
    },
  );
});
