import { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inflateSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Encoder,
  type EncoderSettings,
  type RgbFrame,
  createEncoder,
} from '../../../src/encoders/port.js';
import { encodePng } from '../../../src/encoders/png.js';
import { protocolOf } from '../../../src/encoders/protocol.js';
import { resolveSecret } from '../../../src/encoders/secret.js';
import { runTool } from '../../../src/video/ffmpeg.js';
import { temporaryFolder } from '../../support/videos.js';

interface Seen {
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: {
    readonly model: string;
    readonly images?: string[];
    readonly messages?: { content: { type: string; image_url?: { url: string } }[] }[];
  };
}

/** A real server on loopback that answers as told. */
let answer: (seen: Seen, response: ServerResponse, nth: number) => void;
let seen: Seen[];
let url: string;
let stop: () => void;
let encoders: Encoder[];

beforeEach(async () => {
  seen = [];
  encoders = [];
  const server = createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Seen['body'];
      seen.push({ url: request.url, headers: request.headers, body });
      answer(seen.at(-1)!, response, seen.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  stop = () => {
    server.closeAllConnections();
    server.close();
  };
});
afterEach(async () => {
  await Promise.all(encoders.map((encoder) => encoder.close()));
  stop();
});

function encoder(settings: Partial<EncoderSettings> = {}): Encoder {
  const made = createEncoder({ url, model: 'colpali', tokenRef: '', ...settings });
  encoders.push(made);
  return made;
}

function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

const frame = (value: number, side = 8): RgbFrame => ({
  width: side,
  height: side,
  data: new Uint8Array(side * side * 3).fill(value),
});
const SHAPE = { grid: 2, dimensions: 8 };
const rows = (value: number, count = 2) => Array.from({ length: count }, () => Array<number>(8).fill(value));

describe('OpenAI protocol', () => {
  it('sends pictures as PNG in batches, and averages the pictures of a segment', async () => {
    answer = ({ body }, response, nth) =>
      json(response, 200, {
        // Out of order, as servers that batch on their own may answer.
        data: body.images!.map((_, index) => ({ index, embedding: rows(nth * 10 + index) })).reverse(),
      });
    const frames = [0, 50, 100, 150, 200].map((value) => frame(value));
    const result = await encoder({ batchSize: 2 }).encodeFrames({ frames }, SHAPE);
    expect(result).toEqual(rows((10 + 11 + 20 + 21 + 30) / 5).map((row) => Float32Array.from(row)));
    expect(seen.map((s) => [s.url, s.body.model, s.body.images!.length])).toEqual([
      ['/v1/embeddings', 'colpali', 2],
      ['/v1/embeddings', 'colpali', 2],
      ['/v1/embeddings', 'colpali', 1],
    ]);
    expect(seen[0]!.headers.authorization).toBeUndefined();
    const first = Buffer.from(seen[0]!.body.images![1]!, 'base64');
    expect(first).toEqual(await encodePng(frame(50)));
  });

  it('sends text, and takes one row, many rows, and the `embeddings` form', async () => {
    const forms = [
      { data: [{ embedding: rows(1)[0] }] },
      { data: [{ embedding: rows(2, 3) }] },
      { embeddings: [rows(3)] },
    ];
    answer = (_, response, nth) => json(response, 200, forms[nth - 1]);
    const served = encoder({ url: `${url}/base/v1` });
    const counts = [];
    for (let i = 0; i < 3; i++) counts.push((await served.encodeText('a "query"', SHAPE)).length);
    expect(counts).toEqual([1, 3, 2]);
    expect(seen[0]!.url).toBe('/base/v1/embeddings');
    expect(seen[0]!.body).toEqual({ model: 'colpali', input: ['a "query"'], encoding_format: 'float' });
  });
});

describe('vLLM protocol', () => {
  it('sends one picture a request in the chat form', async () => {
    answer = (_, response, nth) => json(response, 200, { data: [{ index: 0, data: rows(nth) }] });
    const served = encoder({ url: `${url}/pooling/`, batchSize: 8 });
    expect(await served.encodeFrames({ frames: [frame(1), frame(2)] }, SHAPE)).toEqual(
      rows(1.5).map((row) => Float32Array.from(row)),
    );
    expect(await served.encodeText('red', SHAPE)).toHaveLength(2);
    expect(seen.map((s) => [s.url, s.body.messages![0]!.content[0]!.type])).toEqual([
      ['/pooling', 'image_url'],
      ['/pooling', 'image_url'],
      ['/pooling', 'text'],
    ]);
    expect(seen[0]!.body.messages![0]!.content[0]!.image_url!.url).toMatch(/^data:image\/png;base64,iVBOR/);
  });
});

describe('failures', () => {
  it('tries again after 429 and 5xx, as long as the server asks, and then says that it is unavailable', async () => {
    answer = (_, response, nth) =>
      nth === 1
        ? json(response, 429, {}, { 'retry-after': '1' })
        : json(response, 200, { embeddings: [rows(1)] });
    const began = performance.now();
    await encoder().encodeText('x', SHAPE);
    expect(seen.length).toBe(2);
    expect(performance.now() - began).toBeGreaterThan(950);

    seen.length = 0;
    answer = (_, response) => json(response, 503, {}, { 'retry-after': '0' });
    await expect(encoder().encodeText('x', SHAPE)).rejects.toMatchObject({
      name: 'EncoderUnavailable',
      message: 'the encoder answers 503 (4 attempts)',
    });
    expect(seen.length).toBe(4);
  });

  it('gives up a slow server in time, and at once with the signal', async () => {
    answer = () => {};
    await expect(encoder({ timeoutMs: 50 }).encodeText('x', SHAPE)).rejects.toThrow(
      'did not answer within 50 ms',
    );
    const abort = new AbortController();
    const asked = encoder().encodeText('x', SHAPE, abort.signal);
    const before = seen.length;
    await expect.poll(() => seen.length).toBe(before + 1);
    abort.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
  });

  it('says that nobody answers', async () => {
    stop();
    await expect(encoder().encodeText('x', SHAPE)).rejects.toThrow(
      'the encoder cannot be reached (ECONNREFUSED)',
    );
  });

  it.each([
    [400, { error: 'no such model' }, 'the encoder answers 400: {"error":"no such model"}'],
    [401, {}, 'the encoder refuses the token (401)'],
    [307, {}, 'the encoder redirects (307)'],
    [200, 'text', 'no embeddings for 1 inputs'],
    [200, { data: [] }, '0 embeddings for 1 inputs'],
    [200, { data: [{ index: 4, embedding: rows(1) }] }, 'the indexes are not those of the inputs'],
    [200, { embeddings: [[]] }, 'an embedding is no list of numbers'],
    [200, { embeddings: [[[1, 2, 3]]] }, 'rows of 3 numbers where the profile has 8'],
    [200, { embeddings: [[[1, 2, 3, 4, 5, 6, 7, null]]] }, 'a row holds something that is no finite number'],
    [200, { embeddings: [[[1, 2, 3, 4, 5, 6, 7, 1e39]]] }, 'a row holds something that is no finite number'],
    [200, { embeddings: [[rows(1)[0], 3]] }, 'an embedding mixes rows and numbers'],
  ])('refuses %s %j for good', async (status, body, message) => {
    answer = (_, response) => json(response, status, body, { location: '/elsewhere' });
    await expect(encoder().encodeText('x', SHAPE)).rejects.toMatchObject({
      type: 'Rejected',
      message: expect.stringContaining(message),
    });
    expect(seen.length).toBe(1);
  });
});

describe('settings', () => {
  it.each([
    ['ftp://host', 'neither http nor https'],
    ['host:80', 'neither http nor https'],
    ['not a url', 'is no URL'],
    ['http://user:pw@host', 'carries a user or password'],
    ['http://host/?key=1', 'carries a query'],
  ])('refuse the address %s without repeating it', (address, message) => {
    const make = () => createEncoder({ url: address, model: 'm', tokenRef: '' });
    expect(make).toThrow(message);
    expect(make).not.toThrow('pw');
  });

  it('choose the protocol by the address', () => {
    const of = (address: string) => [protocolOf(address, 4).url, protocolOf(address, 4).batch];
    expect(of('http://h:7997')).toEqual(['http://h:7997/v1/embeddings', 4]);
    expect(of('https://h/a/v1/embeddings/')).toEqual(['https://h/a/v1/embeddings', 4]);
    expect(of('http://h:8000/pooling')).toEqual(['http://h:8000/pooling', 1]);
  });

  it('want a model, and a reference instead of a token', () => {
    expect(() => createEncoder({ url, model: '', tokenRef: '' })).toThrow('no model');
    const make = () => createEncoder({ url, model: 'm', tokenRef: 'sk-verysecret' });
    expect(make).toThrow('no secret reference');
    expect(make).not.toThrow('verysecret');
  });

  it('resolve the token at each call, and show it to nobody but the server', async () => {
    const file = path.join(await temporaryFolder(), 'token');
    await writeFile(file, 'first-token\n');
    answer = (_, response, nth) =>
      nth === 3 ? json(response, 403, {}) : json(response, 200, { embeddings: [rows(1)] });
    const served = encoder({ tokenRef: `file:${file}` });
    await served.encodeText('x', SHAPE);
    await writeFile(file, 'second-token');
    await served.encodeText('x', SHAPE);
    expect(seen.map((s) => s.headers.authorization)).toEqual(['Bearer first-token', 'Bearer second-token']);
    const refusal: unknown = await served.encodeText('x', SHAPE).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Error);
    expect(JSON.stringify(refusal) + String((refusal as Error).stack)).not.toContain('second-token');
    await writeFile(file, 'bad\ntoken');
    await expect(served.encodeText('x', SHAPE)).rejects.toThrow(
      'it holds spaces or characters that no token has',
    );
  });

  it('resolve what an environment variable holds', async () => {
    expect(await resolveSecret('env:TOKEN', { TOKEN: ' abc ' })).toBe('abc');
    expect(await resolveSecret('')).toBeUndefined();
    await expect(resolveSecret('env:TOKEN', {})).rejects.toThrow('the secret env:TOKEN cannot be used');
    await expect(resolveSecret('file:/no/such', {})).rejects.toThrow('the file cannot be read (ENOENT)');
  });
});

describe('encodePng', () => {
  it('writes what other programs read back, byte for byte', async () => {
    const data = Uint8Array.from({ length: 13 * 7 * 3 }, (_, i) => (i * i * 7 + i * 31) & 255);
    const png = await encodePng({ width: 13, height: 7, data });
    const file = path.join(await temporaryFolder(), 'picture.png');
    await writeFile(file, png);
    const args = ['-v', 'error', '-i', file, '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'];
    const { stdout, stderr } = await runTool('ffmpeg', args, { timeoutMs: 10_000, maxOutputBytes: 1 << 20 });
    expect([stderr, Buffer.compare(stdout, Buffer.from(data))]).toEqual(['', 0]);
    expect(inflateSync(png.subarray(png.indexOf('IDAT') + 4)).length).toBe((13 * 3 + 1) * 7);
    await expect(encodePng({ width: 13, height: 8, data })).rejects.toThrow('three bytes a pixel');
  });
});
