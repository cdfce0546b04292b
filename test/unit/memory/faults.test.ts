import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { digestOfLines } from '../../../src/backup/digest.js';
import { TenantMemories } from '../../../src/memory/tenantMemories.js';
import type { RemovalProgress, MemoryRecord, TenantMemory } from '../../../src/memory/tenantMemory.js';
import { DocumentClient } from '../../../src/vespa/documents.js';
import { CountingProxy } from '../../support/countingProxy.js';
import { MemoryWorld } from '../../support/memories.js';

const MEMORIES = 12;
const scope = { userId: 'u', agentId: 'a' };

let world: MemoryWorld;
let proxy: CountingProxy;
let documents: DocumentClient;
/** Behind the proxy; `whole` is the same tenant without it. */
let acme: TenantMemory;
let whole: TenantMemory;
let records: MemoryRecord[];

beforeAll(async () => {
  world = await MemoryWorld.start('acme', 'globex');
  proxy = new CountingProxy(world.vespa.url);
  documents = new DocumentClient(await proxy.listen());
  const { configServer } = world.vespa;
  acme = new TenantMemories({ documents, configServer, embedder: world.embedder }).open(world.life('acme'));
  whole = world.of('acme');
  const globex = world.of('globex');
  await Promise.all(
    Array.from({ length: MEMORIES }, (_, n) => globex.add(`number ${n}`, { ...scope, key: String(n) })),
  );
  records = await exported(globex);
});
beforeEach(async () => {
  proxy.refuse = () => undefined;
  proxy.onRequest = () => undefined;
  proxy.puts.clear();
  await whole.clear();
});
afterAll(async () => {
  await documents.close();
  await proxy.close();
  await world.stop();
});

/** Of a feed block, for which nobody waits: the first `good` requests of this method pass, the next is refused. */
function blockAfter(good: number, method?: string): { readonly hit: () => boolean } {
  let left = good;
  let hit = false;
  proxy.refuse = (asked) => {
    if (hit || (method !== undefined && asked !== method) || left-- > 0) return undefined;
    hit = true;
    return { status: 507, message: 'disk is full' };
  };
  return { hit: () => hit };
}

async function exported(memory: TenantMemory): Promise<MemoryRecord[]> {
  const found: MemoryRecord[] = [];
  for await (const record of memory.exportRecords()) found.push(record);
  return found;
}
const digest = (list: readonly MemoryRecord[]) =>
  digestOfLines(list.map((record) => Buffer.from(JSON.stringify(record))));
/** But for the times. */
const contents = async () =>
  (await exported(whole))
    .map(({ id, kind, embedding, payload: { data, hash } }) => ({ id, kind, embedding, data, hash }))
    .toSorted((a, b) => a.id.localeCompare(b.id));

describe('Vespa fails in an add', () => {
  const add = () => acme.add('half-way', { ...scope, key: 'k' });

  it('before it has the memory: nothing is stored, and the next try stores it once', async () => {
    const [undisturbed] = await add();
    const expected = await contents();
    await whole.clear();
    blockAfter(0);
    await expect(add()).rejects.toMatchObject({ type: 'Unavailable' });
    expect(await contents()).toEqual([]);
    expect(await add()).toEqual([undisturbed]);
    expect(await add()).toEqual([{ ...undisturbed, event: 'NONE' }]);
    expect(await contents()).toEqual(expected);
  });

  it('when it has the memory and its answer is lost: the add says that it was stored', async () => {
    let lost = 0;
    proxy.onRequest = ({ method, when }) => {
      if (method === 'POST' && when === 'after' && lost++ === 0) throw new Error('the connection breaks');
    };
    expect(await add()).toMatchObject([{ event: 'ADD' }]);
    expect(lost).toBeGreaterThan(0);
    expect(await contents()).toHaveLength(1);
    expect([...proxy.puts.values()]).toEqual([1]);
  });

  it('when it is asked what is stored already: nothing is told for sure, and the next try tells it', async () => {
    const [first] = await add();
    blockAfter(0, 'GET');
    await expect(add()).rejects.toMatchObject({ type: 'Unavailable' });
    expect(await add()).toEqual([{ id: first!.id, event: 'NONE' }]);
  });

  it('every third time, of many at once: each is stored, once', async () => {
    let asked = 0;
    proxy.refuse = () => (asked++ % 3 === 2 ? { status: 503, message: 'busy' } : undefined);
    const adds = Array.from({ length: 9 }, (_, n) => acme.add(`text ${n}`, { ...scope, key: String(n) }));
    const added = (await Promise.all(adds)).flat();
    expect(new Set(added.map(({ event }) => event))).toEqual(new Set(['ADD']));
    expect((await contents()).map(({ id }) => id)).toEqual(added.map(({ id }) => id).toSorted());
    expect([...proxy.puts.values()].every((puts) => puts === 1)).toBe(true);
  });
});

describe('Vespa fails in an import', () => {
  it.each([5, MEMORIES - 1])('after %i documents: again, it ends as undisturbed', async (good) => {
    const { hit } = blockAfter(good, 'POST');
    let told = 0;
    const importing = acme.importRecords(records, { onProgress: (stored) => (told = stored) });
    await expect(importing).rejects.toMatchObject({ type: 'Unavailable' });
    expect(hit()).toBe(true);
    // No more is told than is there.
    expect((await contents()).length).toBeGreaterThanOrEqual(told);
    expect(told).toBeLessThan(MEMORIES);
    expect(await acme.importRecords(records)).toBe(MEMORIES);
    expect(await digest(await exported(whole))).toEqual(await digest(records));
  });

  it('every fifth time, half of them after it has stored: it ends as undisturbed, without another try', async () => {
    let [asked, answered] = [0, 0];
    proxy.refuse = () => (++asked % 10 === 5 ? { status: 503, message: 'busy' } : undefined);
    proxy.onRequest = ({ when }) => {
      if (when === 'after' && ++answered % 10 === 0) throw new Error('the connection breaks');
    };
    expect(await acme.importRecords(records)).toBe(MEMORIES);
    expect(asked).toBeGreaterThan(MEMORIES);
    expect(await digest(await exported(whole))).toEqual(await digest(records));
  });

  it('for good, with one document: it is named, and the count is of what was stored', async () => {
    let left = 5;
    proxy.refuse = (method) =>
      method === 'POST' && left-- === 0 ? { status: 400, message: 'no such field' } : undefined;
    let told = 0;
    await expect(
      acme.importRecords(records, { onProgress: (stored) => (told = stored) }),
    ).rejects.toMatchObject({
      type: 'Rejected',
      message: expect.stringMatching(/document [0-9a-f-]{36}: .*no such field/) as string,
    });
    expect((await contents()).length).toBe(told);
  });
});

describe('Vespa fails in a clear', () => {
  it.each([0, 5])('after %i removals: gone on with, it counts each once', async (good) => {
    const others = await digest(await exported(world.of('globex')));
    await whole.importRecords(records);
    const { hit } = blockAfter(good, 'DELETE');
    let progress: RemovalProgress | undefined;
    const clearing = acme.clear({ onProgress: (now) => (progress = now) });
    await expect(clearing).rejects.toMatchObject({ type: 'Unavailable' });
    expect(hit()).toBe(true);
    expect(progress).toMatchObject({ found: MEMORIES });
    const left = (await contents()).length;
    expect(left).toBeGreaterThan(0);
    // No more is told than is gone.
    expect(progress!.removed).toBeLessThanOrEqual(MEMORIES - left);
    expect(await acme.clear({ resume: progress! })).toEqual({ removed: MEMORIES });
    expect(await contents()).toEqual([]);
    expect(await digest(await exported(world.of('globex')))).toEqual(others);
  });

  it('while it counts what is left: nothing is reported as cleared', async () => {
    await whole.importRecords(records);
    let removed = 0;
    let blocked = false;
    proxy.refuse = (method) => {
      if (method === 'DELETE') removed++;
      if (blocked || method !== 'GET' || removed < MEMORIES) return undefined;
      blocked = true;
      return { status: 507, message: 'disk is full' };
    };
    let progress: RemovalProgress | undefined;
    await expect(acme.clear({ onProgress: (now) => (progress = now) })).rejects.toMatchObject({
      type: 'Unavailable',
    });
    expect(blocked).toBe(true);
    expect(await acme.clear({ resume: progress! })).toEqual({ removed: MEMORIES });
  });
});

it('an embedder that fails at the second batch of an import leaves what the next try makes whole', async () => {
  // More than are embedded at a time.
  const foreign = Array.from({ length: 66 }, (_, n) => {
    const record = records[n % MEMORIES]!;
    return { ...record, id: sibling(record.id, n), embedder: 'http:other' };
  });
  const { embedder } = world;
  const real = embedder.embed.bind(embedder);
  let calls = 0;
  const embed = vi
    .spyOn(embedder, 'embed')
    .mockImplementation((texts) =>
      ++calls === 2 ? Promise.reject(new Error('out of memory')) : real(texts),
    );
  await expect(acme.importRecords(foreign)).rejects.toThrow('out of memory');
  expect((await contents()).length).toBeLessThan(foreign.length);
  expect(await acme.importRecords(foreign)).toBe(foreign.length);
  embed.mockRestore();
  // The same model's vectors of the same texts: they are those that the first embedding made.
  const expected = foreign.map((record) => ({ ...record, embedder: embedder.id }));
  expect(await digest(await exported(whole))).toEqual(await digest(expected));
});

it.each([
  ['is too long', new Float32Array(513).fill(1)],
  ['has no direction', new Float32Array(512)],
  ['is no vector', Float32Array.of(1, NaN)],
])('a vector that %s is neither stored nor searched by', async (_, vector) => {
  const embed = vi.spyOn(world.embedder, 'embed').mockResolvedValue([vector]);
  await expect(acme.add('text', scope)).rejects.toMatchObject({ type: 'Rejected' });
  await expect(acme.search('text')).rejects.toMatchObject({ type: 'Rejected' });
  embed.mockRestore();
  expect(await contents()).toEqual([]);
});

/** Another id of the same form. */
const sibling = (id: string, n: number) => `${n.toString(16).padStart(8, '0')}${id.slice(8)}`;
