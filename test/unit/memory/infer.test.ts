import { once } from 'node:events';
import { type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { TenantMemories } from '../../../src/memory/tenantMemories.js';
import type { TenantMemory } from '../../../src/memory/tenantMemory.js';
import { FeedBlocked } from '../../../src/vespa/retry.js';
import { MemoryWorld } from '../../support/memories.js';

interface Asked {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}

/** What the LLM answers; it runs on loopback. */
let answer: (response: ServerResponse, asked: Asked) => void;
let asked: Asked[] = [];
const tokens = new Set<string | undefined>();
const server = createServer((request, response) => {
  void json(request).then((body) => {
    asked.push(body as Asked);
    tokens.add(request.headers.authorization);
    answer(response, body as Asked);
  });
});

let world: MemoryWorld;
let memories: TenantMemories;
let acme: TenantMemory;
let globex: TenantMemory;
const printed: unknown[] = [];

beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  world = await MemoryWorld.start('acme', 'globex');
  const { documents, configServer } = world.vespa;
  memories = new TenantMemories({
    ...{ documents, configServer, embedder: world.embedder },
    allowedPrivate: [host],
  });
  const llm = { baseUrl: `http://${host}/v1`, model: 'small', apiKey: 'sk-verysecret' };
  acme = memories.open(world.life('acme'), llm);
  globex = memories.open(world.life('globex'), { ...llm, apiKey: 'sk-others' });
  for (const level of ['log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockImplementation((...words: unknown[]) => void printed.push(words));
});
afterEach(async () => {
  expect(printed).toEqual([]);
  asked = [];
  await Promise.all([acme.clear(), globex.clear()]);
});
afterAll(async () => {
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
  await memories.close();
  await world.stop();
});

function say(response: ServerResponse, content: string, status = 200): void {
  const body =
    status === 200 ? { choices: [{ message: { role: 'assistant', content } }] } : { error: content };
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const facts = (...texts: readonly string[]) =>
  JSON.stringify({ memory: texts.map((text, at) => ({ id: String(at), text, attributed_to: 'user' })) });

const TEXT = 'I am Ann, I moved to Oslo, and I only eat fish.';
const FACTS = ['Ann moved to Oslo', 'Ann only eats fish'];
const add = (memory: TenantMemory, key: string) =>
  memory.add(TEXT, { userId: 'ann', key, infer: true, kind: 'fact', metadata: { source: 'chat' } });
const texts = async (memory: TenantMemory) =>
  (await memory.list()).items.map((item) => item.memory).toSorted();

describe('infer', () => {
  it("stores what the tenant's LLM finds in a text, each fact as a memory that is found", async () => {
    answer = (response) => say(response, facts(...FACTS));
    const added = await add(acme, 'k');
    expect(added.map(({ event }) => event)).toEqual(['ADD', 'ADD']);
    expect(asked.map(({ model }) => model)).toEqual(['small']);
    expect(asked[0]!.messages.at(-1)!.content).toContain(TEXT);
    expect(await texts(acme)).toEqual(FACTS);
    const [found] = await acme.search('fish', { userId: 'ann', topK: 1 });
    expect(found).toMatchObject({ memory: FACTS[1], kind: 'fact', metadata: { source: 'chat' } });
    expect(await texts(globex)).toEqual([]);
  });

  it('has the same ids for the same key, in whatever order and company the facts come again', async () => {
    answer = (response) => say(response, facts(...FACTS));
    const first = await add(acme, 'k');
    answer = (response) => say(response, facts(FACTS[1]!, FACTS[0]!));
    const again = await add(acme, 'k');
    expect(again.toSorted((a, b) => a.id.localeCompare(b.id))).toEqual(
      first.map(({ id }) => ({ id, event: 'NONE' })).toSorted((a, b) => a.id.localeCompare(b.id)),
    );
    // The question was the same one too: what the add itself has stored is nothing that was known before.
    expect(asked[1]!.messages).toEqual(asked[0]!.messages);
    answer = (response) => say(response, facts('Ann lives in Norway', FACTS[0]!));
    const [more] = await add(acme, 'k');
    expect(more!.event).toBe('ADD');
    expect(await texts(acme)).toEqual(['Ann lives in Norway', ...FACTS]);
  });

  it('does not store again what another add has stored', async () => {
    answer = (response) => say(response, facts(...FACTS));
    await add(acme, 'k1');
    expect(await add(acme, 'k2')).toEqual([]);
    expect(asked[1]!.messages.at(-1)!.content).toContain(FACTS[0]);
    expect(await texts(acme)).toEqual(FACTS);
  });

  it("asks each tenant's own LLM, with its own key and its own memories", async () => {
    answer = (response) => say(response, facts(...FACTS));
    tokens.clear();
    await add(acme, 'k');
    await add(globex, 'k');
    expect([...tokens]).toEqual(['Bearer sk-verysecret', 'Bearer sk-others']);
    expect(asked[1]!.messages.at(-1)!.content).not.toContain(FACTS[0]);
    expect(await texts(globex)).toEqual(FACTS);
  });

  it('takes an answer without facts, in a fence or with empty ones', async () => {
    answer = (response) => say(response, facts());
    expect(await add(acme, 'k')).toEqual([]);
    answer = (response) => say(response, `\`\`\`json\n${facts(' ', FACTS[0]!, FACTS[0]!)}\n\`\`\``);
    expect(await add(acme, 'k')).toHaveLength(1);
    expect(await texts(acme)).toEqual(FACTS.slice(0, 1));
  });
});

describe('an LLM that fails', () => {
  it.each([
    ['talks', 200, 'Sure! Here is what I found.', 'Rejected'],
    ['answers something else', 200, '{"facts":["x"]}', 'Rejected'],
    ['is cut short', 200, facts(...FACTS).slice(0, -10), 'Rejected'],
    ['says nothing', 200, '', 'Rejected'],
    ['finds what Vespa would not take', 200, facts('good', 'nul \0'), 'Rejected'],
    ['knows no such key', 401, 'Incorrect key: sk-verysecret', 'Rejected'],
    ['is overloaded', 503, 'busy', 'Unavailable'],
  ])('and %s stores nothing, and is told from a text without facts', async (_, status, content, type) => {
    answer = (response) => say(response, content, status);
    const error: unknown = await add(acme, 'k').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ type, message: expect.stringContaining("the tenant's LLM") as string });
    expect(JSON.stringify(error) + String((error as Error).stack)).not.toContain('verysecret');
    expect(await texts(acme)).toEqual([]);
  });

  it('by hanging up is worth another try, which stores the facts', async () => {
    answer = (response) => void response.destroy();
    await expect(add(acme, 'k')).rejects.toMatchObject({ type: 'Unavailable' });
    answer = (response) => say(response, facts(...FACTS));
    expect(await add(acme, 'k')).toHaveLength(2);
  });

  it('by an address that no tenant may have is not asked', async () => {
    const llm = { baseUrl: 'http://127.0.0.1:1/v1', model: 'm', apiKey: 'k' };
    await expect(add(memories.open(world.life('acme'), llm), 'k')).rejects.toMatchObject({
      type: 'InvalidInput',
    });
    expect(await texts(acme)).toEqual([]);
  });

  it('by not being there is said plainly, verbatim texts notwithstanding', async () => {
    const without = memories.open(world.life('acme'));
    await expect(add(without, 'k')).rejects.toMatchObject({
      type: 'InvalidInput',
      message: 'tenant acme has no LLM that could take facts out of a text',
      hint: expect.stringContaining('llm_api_key') as string,
    });
    await without.add(TEXT, { userId: 'ann' });
    expect(await texts(acme)).toEqual([TEXT]);
  });
});

describe('an embedder that fails', () => {
  // The text itself to search by, then its facts.
  it.each([1, 2])('at call %i of an add stores nothing, and the next try all of it', async (nth) => {
    answer = (response) => say(response, facts(...FACTS));
    const { embedder } = world;
    const real = embedder.embed.bind(embedder);
    let calls = 0;
    const embed = vi
      .spyOn(embedder, 'embed')
      .mockImplementation((list) =>
        ++calls === nth ? Promise.reject(new Error('out of memory')) : real(list),
      );
    await expect(add(acme, 'k')).rejects.toThrow('out of memory');
    expect(await texts(acme)).toEqual([]);
    expect(await add(acme, 'k')).toHaveLength(2);
    expect(await texts(acme)).toEqual(FACTS);
    embed.mockRestore();
  });
});

it.each([1, 2])(
  'a put that fails, the one of fact %i, is done by the next try, and no other again',
  async (nth) => {
    answer = (response) => say(response, facts(...FACTS));
    const { documents } = world.vespa;
    const real = documents.putNew.bind(documents);
    let calls = 0;
    const put = vi
      .spyOn(documents, 'putNew')
      .mockImplementation((...call) =>
        ++calls === nth ? Promise.reject(new FeedBlocked('disk is full')) : real(...call),
      );
    await expect(add(acme, 'k')).rejects.toMatchObject({ type: 'Unavailable' });
    expect(calls).toBe(2);
    expect(await texts(acme)).toEqual([FACTS[2 - nth]]);
    const again = await add(acme, 'k');
    expect(again.map(({ event }) => event)).toEqual(nth === 1 ? ['ADD', 'NONE'] : ['NONE', 'ADD']);
    expect(await texts(acme)).toEqual(FACTS);
    put.mockRestore();
  },
);
