import { hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Line, VisitedStore, idsOf } from './visitedStore.js';

let visited: VisitedStore;
beforeEach(async () => {
  visited = await VisitedStore.create({ pruneRemovesAfter: 3600 });
});
afterEach(async () => {
  vi.useRealTimers();
  await visited.remove();
});

const lastToken = (lines: readonly Line[]) =>
  lines.findLast((line) => line.continuation?.token)?.continuation?.token;
const isComplete = (lines: readonly Line[]) => {
  const last = lines.findLast((line) => line.continuation);
  return last !== undefined && last.continuation!.token === undefined;
};

describe('a streamed visit', () => {
  test('slices together have every document once, and none is left out behind any continuation', async () => {
    const ids = visited.put(300);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        async (slices, at) => {
          const all: string[] = [];
          for (let slice = 0; slice < slices; slice++) {
            const query = `&slices=${slices}&sliceId=${slice}`;
            const whole = await visited.lines(query);
            // A client that is cut off at any line goes on from the last token it saw.
            const seen = whole.slice(0, Math.floor(at * whole.length));
            const token = lastToken(seen);
            const rest = await visited.lines(query + (token === undefined ? '' : `&continuation=${token}`));
            expect(isComplete(rest)).toBe(true);
            expect(new Set([...idsOf(seen), ...idsOf(rest)])).toEqual(new Set(idsOf(whole)));
            all.push(...idsOf(whole));
          }
          expect(all.toSorted()).toEqual(ids.toSorted());
        },
      ),
      { numRuns: 30 },
    );
  });

  test('has the lines of the real one: the token of what is done comes behind the next document', async () => {
    visited.put(40);
    const lines = await visited.lines();
    expect(lines.at(-2)).toEqual({ sessionStats: { documentCount: 40 } });
    expect(lines.at(-1)).toEqual({ continuation: { percentFinished: 100 } });
    const behind = lines.slice(0, -2).flatMap((line, i) => (line.continuation ? [lines[i - 1]!] : []));
    expect(behind.length).toBeGreaterThan(20);
    for (const line of behind) expect(line.put).toBeDefined();
    const percents = lines.flatMap((line) => line.continuation?.percentFinished ?? []);
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
  });

  test('ends after the bucket in which the wanted number is reached, and goes on behind it', async () => {
    const ids = visited.put(500);
    const seen: string[] = [];
    let token: string | undefined;
    do {
      const lines = await visited.lines(
        `&wantedDocumentCount=20${token === undefined ? '' : `&continuation=${token}`}`,
      );
      expect(idsOf(lines).length).toBeLessThan(40);
      seen.push(...idsOf(lines));
      token = isComplete(lines) ? undefined : lastToken(lines);
    } while (token !== undefined);
    expect(seen.toSorted()).toEqual(ids.toSorted());
  });

  test('out of time, it ends with a continuation, or says that no bucket was done; a reader gets all in the end', async () => {
    const ids = visited.put(3000);
    const seen = new Set<string>();
    let visits = 0;
    for (let token: string | undefined, complete = false; !complete; visits++) {
      const lines = await visited.lines(`&timeout=1ms${token === undefined ? '' : `&continuation=${token}`}`);
      for (const id of idsOf(lines)) seen.add(id);
      complete = isComplete(lines);
      if (!lines.at(-1)!.continuation)
        expect(lines.at(-1)!.message!.text).toMatch(/^No buckets visited within timeout of 1ms/);
      token = lastToken(lines) ?? token;
    }
    expect(seen).toEqual(new Set(ids));
    expect(visits).toBeGreaterThan(1);
  });

  test('a page that is out of time before a bucket is done is 504, as the real one’s', async () => {
    const inFirstBucket = Array.from({ length: 100_000 }, (_, n) => `id:ns:aa::${n}`).find((id) =>
      hash('md5', id).startsWith('000'),
    );
    visited.store.put('aa', inFirstBucket!, {});
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
    const answer = await visited.request('GET', '/document/v1/ns/aa/docid/?timeout=500ms');
    vi.restoreAllMocks();
    expect(answer.status).toBe(504);
    expect(JSON.parse(String(answer.body))).toEqual({
      pathId: '/document/v1/ns/aa/docid/',
      documents: [{ id: inFirstBucket, fields: {} }],
      documentCount: 1,
      message: 'No buckets visited within timeout of 350ms (request timeout -5s)',
    });
  });

  test('a group and a number are in one bucket each: a page has all of it, and is the last', async () => {
    visited.put(20);
    for (const modifier of ['g=a', 'n=-7', 'n=4103'])
      for (let n = 0; n < 5; n++) visited.store.put('aa', `id:ns:aa:${modifier}:${n}`, {});
    for (const at of ['group/a', 'number/18446744073709551609', 'number/4103']) {
      const page = JSON.parse(await visited.text('GET', `/document/v1/ns/aa/${at}/`)) as object;
      expect(page).toMatchObject({ documentCount: 5 });
      expect(page).not.toHaveProperty('continuation');
    }
    expect(idsOf(await visited.lines())).toHaveLength(35);
  });

  test('the continuation of one visit is refused by another', async () => {
    visited.put(20);
    const token = lastToken(await visited.lines('&slices=2&sliceId=0'));
    for (const query of ['', '&slices=2&sliceId=1', '&slices=3&sliceId=0', '&bucketSpace=global']) {
      const answer = await visited.text(
        'GET',
        `/document/v1/?cluster=d&selection=aa&stream=true${query}&continuation=${token}`,
      );
      expect(JSON.parse(answer)).toMatchObject({ message: 'The continuation belongs to another visit' });
    }
  });

  test('reads no further ahead than its reader', async () => {
    visited.put(300, { title: 'x'.repeat(50_000) });
    const reads = vi.spyOn(visited.store, 'readBytes');
    const answer = await visited.request('GET', '/document/v1/?cluster=d&selection=aa&stream=true', '', {
      accept: 'application/jsonl',
    });
    const body = answer.body as Readable;
    await new Promise((resolve) => body.once('readable', resolve));
    body.read(1);
    for (let turn = 0; turn < 100; turn++) await tick();
    expect(reads.mock.calls.length).toBeLessThan(30);
    let documents = 0;
    for await (const chunk of body)
      documents += (chunk as Buffer).toString('latin1').split('{"put"').length - 1;
    expect(documents).toBeGreaterThan(290);
  });

  test('what is there throughout comes once, whatever is written meanwhile', async () => {
    const ids = visited.put(400);
    const gone = new Set(ids.filter((_, n) => n % 3 === 0));
    const answer = await visited.request('GET', '/document/v1/?cluster=d&selection=aa&stream=true', '', {
      accept: 'application/jsonl',
    });
    const chunks: Buffer[] = [];
    for (const id of gone) visited.store.remove('aa', id);
    for (let n = 400; n < 800; n++) visited.store.put('aa', `id:ns:aa::${n}`, { l: n });
    for (const id of ids.filter((_, n) => n % 3 === 1)) visited.store.put('aa', id, { title: 'again' });
    for await (const chunk of answer.body as Readable) chunks.push(chunk as Buffer);
    const lines = Buffer.concat(chunks).toString().trim().split('\n');
    const seen = idsOf(lines.map((line) => JSON.parse(line) as Line));
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(expect.arrayContaining(ids.filter((id) => !gone.has(id))));
  });
});

describe('removes', () => {
  const removesIn = async () =>
    (await visited.lines('&includeRemoves=true')).flatMap((line) => line.remove ?? []).toSorted();

  test('come with includeRemoves only, also after a restart, until they are old or written again', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const [first, second, third] = visited.put(3);
    visited.store.remove('aa', first!);
    visited.store.remove('aa', second!);
    expect((await visited.lines()).some((line) => line.remove)).toBe(false);
    expect(await removesIn()).toEqual([first, second]);
    visited.store.put('aa', second!, {});
    visited.reopen();
    expect(await removesIn()).toEqual([first]);
    vi.setSystemTime(Date.now() + 3000 * 1000);
    visited.store.remove('aa', second!);
    vi.setSystemTime(Date.now() + 700 * 1000);
    expect(await removesIn()).toEqual([second]);
    // The next write forgets it for good.
    visited.store.put('aa', third!, {});
    visited.reopen();
    expect(await removesIn()).toEqual([second]);
    expect(idsOf(await visited.lines())).toEqual([third]);
    vi.setSystemTime(Date.now() + 3600 * 1000);
    visited.reopen();
    expect(await removesIn()).toEqual([]);
  });
});

describe('selections', () => {
  test('a mass delete takes what is selected and nothing else', async () => {
    visited.put(50);
    visited.store.put('bb', 'id:ns:bb::1', { l: 1 });
    const answer = await visited.text('DELETE', '/document/v1/?cluster=d&selection=aa.l%20%3E=%2020');
    expect(JSON.parse(answer)).toEqual({ pathId: '/document/v1/', documentCount: 30 });
    expect(idsOf(await visited.lines())).toHaveLength(20);
    expect(visited.store.count('bb')).toBe(1);
  });
});
