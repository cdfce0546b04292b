import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MemoryItem } from '../../../src/memory/tenantMemory.js';
import { MemoryWorld } from '../../support/memories.js';

let world: MemoryWorld;
beforeAll(async () => {
  world = await MemoryWorld.start('acme', 'globex', 'old', 'pages');
});
afterAll(() => world.stop());

const scope = { userId: 'user123', agentId: 'video_search_agent' };

describe('add', () => {
  it('stores a text once for a key, however often it is added', async () => {
    const acme = world.of('acme');
    const text = 'The user prefers dark mode';
    const first = await acme.add(text, { ...scope, key: 'k1', metadata: { source: 'chat', n: [1.5] } });
    const again = await acme.add(text, { ...scope, key: 'k1' });
    expect(first).toEqual([{ id: expect.any(String) as string, event: 'ADD' }]);
    expect(again).toEqual([{ id: first[0]!.id, event: 'NONE' }]);
    expect(await acme.get(first[0]!.id)).toMatchObject({
      memory: text,
      ...scope,
      metadata: { source: 'chat', n: [1.5] },
      kind: 'memory',
    });
  });

  it('has other memories for the same key of another user, and for each add without a key', async () => {
    const acme = world.of('acme');
    const adds = [
      await acme.add('same words', { userId: 'a', key: 'k' }),
      await acme.add('same words', { userId: 'b', key: 'k' }),
      await acme.add('same words', { userId: 'a' }),
      await acme.add('same words', { userId: 'a' }),
    ];
    expect(new Set(adds.flat().map(({ id }) => id)).size).toBe(4);
  });

  it('refuses a key that stands for another text, and keeps the first', async () => {
    const acme = world.of('acme');
    const [added] = await acme.add('one text', { ...scope, key: 'k2' });
    await expect(acme.add('another', { ...scope, key: 'k2' })).rejects.toMatchObject({ type: 'Conflict' });
    expect((await acme.get(added!.id))?.memory).toBe('one text');
  });

  it('is done once when the embedder fails on the way and the add is tried again', async () => {
    const acme = world.of('acme');
    world.embedder.failing = new Error('out of memory');
    const add = () => acme.add('half-way', { userId: 'retry', key: 'k3' });
    await expect(add()).rejects.toThrow('out of memory');
    expect((await acme.list({ userId: 'retry' })).items).toEqual([]);
    await add();
    await add();
    expect((await acme.list({ userId: 'retry' })).items.map(({ memory }) => memory)).toEqual(['half-way']);
  });

  it.each([
    ['no text', ' ', { userId: 'u' }],
    ['nobody', 'text', {}],
    ['a user id that Mem0 would trim', 'text', { userId: ' u' }],
    ['a name that Mem0 keeps', 'text', { userId: 'u', metadata: { user_id: 'other' } }],
    ['a character that Vespa refuses', 'nul \0', { userId: 'u' }],
    ['half of a surrogate pair', '\ud800', { userId: 'u' }],
    ['a day that is none', 'text', { userId: 'u', expiresOn: '2026-02-30' }],
    ['an LLM that is not there', 'text', { userId: 'u', infer: true }],
    ['too much', 'x'.repeat(32_769), { userId: 'u' }],
  ])('refuses %s', async (_, text, options) => {
    await expect(world.of('acme').add(text, options)).rejects.toMatchObject({ type: 'InvalidInput' });
  });
});

describe('search', () => {
  it('gives what is alike, best first, with its cosine', async () => {
    const globex = world.of('globex');
    for (const text of ['cats and dogs', 'cats', 'boats']) await globex.add(text, { userId: 'u' });
    const found = await globex.search('cats', { userId: 'u' });
    expect(found.map(({ memory }) => memory)).toEqual(['cats', 'cats and dogs', 'boats']);
    expect(found[0]!.score).toBeCloseTo(1, 6);
    expect(found[1]!.score).toBeCloseTo(1 / Math.sqrt(3), 6);
    expect(found[2]!.score).toBeCloseTo(0, 6);
  });

  it('keeps users apart whose ids differ in capital letters only, and finds the nearest of a rare user', async () => {
    const globex = world.of('globex');
    for (let n = 0; n < 20; n++) await globex.add(`zebra ${n}`, { userId: 'Zoe', key: String(n) });
    await globex.add('a zebra far away in the wild savannah', { userId: 'zoe' });
    const found = await globex.search('zebra', { userId: 'zoe', topK: 5 });
    expect(found.map(({ userId }) => userId)).toEqual(['zoe']);
    expect(await globex.search('zebra', { userId: 'Zoe', topK: 5 })).toHaveLength(5);
  });

  it('does not give what has expired', async () => {
    const globex = world.of('globex');
    await globex.add('yesterday', { userId: 'e', expiresOn: '2020-01-01' });
    await globex.add('for long', { userId: 'e', expiresOn: '2999-12-31' });
    const found = await globex.search('yesterday', { userId: 'e' });
    expect(found.map(({ memory }) => memory)).toEqual(['for long']);
    expect((await globex.list({ userId: 'e' })).items).toHaveLength(1);
  });

  it('takes any text as words, never as a query', async () => {
    const globex = world.of('globex');
    const quoted = `x" or true or text contains "y') ; {}@ \\`;
    await globex.add(quoted, { userId: `"or"true`, agentId: `'a@b'` });
    expect(await globex.search(quoted, { userId: 'nobody" or true'.replaceAll(' ', '_') })).toEqual([]);
    const [found] = await globex.search(quoted, { userId: `"or"true`, agentId: `'a@b'` });
    expect(found?.memory).toBe(quoted);
  });
});

it('lists page after page, newest first, each memory once, what goes meanwhile notwithstanding', async () => {
  const pages = world.of('pages');
  for (let n = 0; n < 23; n++) await pages.add(`page ${n}`, { userId: 'u', key: String(n) });
  const seen: MemoryItem[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await pages.list({ pageSize: 5, ...(cursor === undefined ? {} : { cursor }) });
    seen.push(...page.items);
    // The last one of the page, which the cursor stands at.
    if (seen.length === 10) expect(await pages.delete(seen.at(-1)!.id)).toBe(true);
    cursor = page.cursor;
    if (cursor === undefined) break;
  }
  expect(new Set(seen.map(({ id }) => id)).size).toBe(23);
  const times = seen.map(({ createdAt }) => createdAt);
  expect(times).toEqual(times.toSorted().reverse());
  await expect(pages.list({ cursor: 'x' })).rejects.toMatchObject({ type: 'InvalidInput' });
});

it('deletes one, and again', async () => {
  const acme = world.of('acme');
  const [added] = await acme.add('to go', scope);
  expect(await acme.delete(added!.id)).toBe(true);
  expect(await acme.delete(added!.id)).toBe(false);
  expect(await acme.get(added!.id)).toBeUndefined();
  await expect(acme.delete('../x')).rejects.toMatchObject({ type: 'InvalidInput' });
});

it('removes by age and kind, and only that', async () => {
  const old = world.of('old');
  for (const kind of ['chat', 'chat', 'fact', 'note'])
    await old.add(`a ${kind}`, {
      userId: 'u',
      kind,
      expiresOn: kind === 'note' ? '2020-01-01' : '2999-01-01',
    });
  const [past, later] = [1, Date.now() + 60_000];
  const kindsLeft = async () => {
    const all: string[] = [];
    for await (const { kind } of old.exportRecords()) all.push(kind);
    return all.toSorted();
  };
  expect(await old.removeOlderThan({ kinds: { chat: past }, otherwise: past })).toEqual({ removed: 0 });
  expect(await old.removeOlderThan({ kinds: { chat: later } }, { dryRun: true })).toEqual({ removed: 2 });
  expect(await kindsLeft()).toEqual(['chat', 'chat', 'fact', 'note']);
  expect(await old.removeOlderThan({ kinds: { chat: later } })).toEqual({ removed: 2 });
  expect(await old.removeOlderThan({ expiredAt: Date.now() })).toEqual({ removed: 1 });
  expect(await kindsLeft()).toEqual(['fact']);
  expect(await old.removeOlderThan({ kinds: { fact: past }, otherwise: later })).toEqual({ removed: 0 });
  expect(await old.removeOlderThan({ otherwise: later })).toEqual({ removed: 1 });
  expect(await kindsLeft()).toEqual([]);
});
