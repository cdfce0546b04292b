import { type ServerResponse, createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HttpEmbedder } from '../../../src/memory/embedders/http.js';

interface Asked {
  readonly model: string;
  readonly input: string[];
  readonly dimensions?: number;
}

/** A real server on loopback that answers as told. */
let answer: (asked: Asked, response: ServerResponse) => void;
let asked: (Asked & { readonly authorization: string | undefined })[];
let url: string;
let embedder: HttpEmbedder;
let stop: () => Promise<void>;

beforeEach(async () => {
  asked = [];
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      asked.push({ ...(body as Asked), authorization: request.headers.authorization });
      answer(body as Asked, response);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  embedder = made();
  stop = async () => {
    await embedder.close();
    server.closeAllConnections();
    server.close();
  };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await stop();
});

function made(settings: { tokenRef?: string; dimensions?: string } = {}): HttpEmbedder {
  return (embedder = new HttpEmbedder({ url, model: 'e5', tokenRef: '', dimensions: '', ...settings }));
}

function say(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/** Each text's vector begins with the number that the text is. */
const data = (texts: readonly string[]) =>
  texts.map((text, index) => ({ index, embedding: [Number(text), 0.5, 1] }));

describe('embed', () => {
  it('asks for 64 texts at a time, and puts the answers in the order of their indexes', async () => {
    answer = ({ input }, response) => say(response, 200, { data: data(input).reverse() });
    const texts = Array.from({ length: 130 }, (_, n) => String(n));
    expect(await embedder.embed(texts)).toEqual(texts.map((text) => Float32Array.of(Number(text), 0.5, 1)));
    expect(asked.map(({ input }) => input)).toEqual([
      texts.slice(0, 64),
      texts.slice(64, 128),
      texts.slice(128),
    ]);
    expect(asked[0]).toMatchObject({ model: 'e5' });
    expect(asked[0]).not.toHaveProperty('dimensions');
    expect(embedder.id).toBe('http:e5');
  });

  it('asks for vectors cut short, and takes no others', async () => {
    const cut = made({ dimensions: '3' });
    answer = ({ input }, response) => say(response, 200, { data: data(input) });
    expect(await cut.embed(['7'])).toEqual([Float32Array.of(7, 0.5, 1)]);
    expect(asked[0]?.dimensions).toBe(3);
    expect(cut.id).toBe('http:e5:3');
    answer = (_, response) => say(response, 200, { data: [{ index: 0, embedding: [1, 2] }] });
    await expect(cut.embed(['7'])).rejects.toMatchObject({
      type: 'Rejected',
      message: expect.stringContaining('2 numbers') as string,
    });
  });

  it('asks nothing for no texts', async () => {
    expect(await embedder.embed([])).toEqual([]);
    expect(asked).toEqual([]);
  });
});

describe('failures', () => {
  it.each([429, 503])('tries again after %i, and with the batch that failed only', async (status) => {
    answer = ({ input }, response) =>
      asked.length === 2
        ? say(response, status, {}, { 'retry-after': '0' })
        : say(response, 200, { data: data(input) });
    expect(await embedder.embed(Array.from({ length: 65 }, (_, n) => String(n)))).toHaveLength(65);
    expect(asked.map(({ input }) => input.length)).toEqual([64, 1, 1]);
  });

  it('is unavailable when the server fails for good, and says what to look at', async () => {
    answer = (_, response) => say(response, 503, {}, { 'retry-after': '0' });
    await expect(embedder.embed(['1'])).rejects.toMatchObject({
      type: 'Unavailable',
      message: 'the embedder answers 503 (4 attempts)',
      hint: expect.stringContaining('MEMORY_EMBEDDER_URL') as string,
    });
    expect(asked).toHaveLength(4);
  });

  it.each([400, 401, 403])(
    'never shows the token in what a refusal by %i says, and names its setting',
    async (status) => {
      vi.stubEnv('CVOPS_TEST_EMBEDDER_TOKEN', 'sk-verysecret');
      const served = made({ tokenRef: 'env:CVOPS_TEST_EMBEDDER_TOKEN' });
      // As some servers do.
      answer = (_, response) => say(response, status, { error: 'the key sk-verysecret is unknown' });
      const error: unknown = await served.embed(['1']).catch((thrown: unknown) => thrown);
      expect(asked.map(({ authorization }) => authorization)).toEqual(['Bearer sk-verysecret']);
      expect(error).toMatchObject({ type: 'Rejected' });
      if (status !== 400) expect(error).toMatchObject({ hint: 'check MEMORY_EMBEDDER_TOKEN_REF' });
      expect(JSON.stringify(error) + String((error as Error).stack)).not.toContain('verysecret');
    },
  );

  it('ends at once with the signal, whether the server never answers or never ends', async () => {
    const answers = [
      () => undefined,
      (_: Asked, response: ServerResponse) => void response.writeHead(200).write('{"data":['),
    ];
    for (const silent of answers) {
      answer = silent;
      const before = asked.length;
      const killed = new AbortController();
      const embedding = embedder.embed(['1'], killed.signal);
      await vi.waitFor(() => expect(asked.length).toBe(before + 1));
      killed.abort(new Error('the worker stops'));
      await expect(embedding).rejects.toThrow('the worker stops');
    }
  });

  it.each([
    ['no JSON', 'x'],
    ['no list', { vectors: [] }],
    ['too few', { data: [{ index: 0, embedding: [1] }] }],
    ['too many', { data: data(['1', '2', '3']) }],
    ['one text twice', { data: [...data(['1']), ...data(['1'])] }],
    ['no numbers', { data: [1, 2].map((_, index) => ({ index, embedding: ['1'] })) }],
    ['more than one vector a text', { data: [1, 2].map((_, index) => ({ index, embedding: [[1], [2]] })) }],
  ])('refuses an answer that is %s for good', async (_, body) => {
    answer = (_asked, response) =>
      body === 'x' ? void response.writeHead(200).end('<html>') : say(response, 200, body);
    await expect(embedder.embed(['1', '2'])).rejects.toMatchObject({ type: 'Rejected' });
    expect(asked).toHaveLength(1);
  });
});

it.each([
  [{ model: '' }, 'no model'],
  [{ dimensions: '513' }, 'MEMORY_EMBEDDER_DIMENSIONS is a whole number from 1 to 512'],
  [{ dimensions: '1e2' }, 'MEMORY_EMBEDDER_DIMENSIONS'],
  [{ tokenRef: 'sk-verysecret' }, 'the embedder token'],
  [{ url: 'ftp://host' }, 'neither http nor https'],
])('refuses the settings %j', (settings, message) => {
  const make = () => new HttpEmbedder({ url, model: 'e5', tokenRef: '', dimensions: '', ...settings });
  expect(make).toThrow(message);
  expect(make).not.toThrow('verysecret');
});
