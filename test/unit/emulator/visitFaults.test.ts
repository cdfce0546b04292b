import http from 'node:http';
import net from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withFaults } from '../../../src/embedded/vespa/documents/faults.js';
import {
  VISIT_FAULTS,
  type VisitFault,
  parseVisitFaults,
} from '../../../src/embedded/vespa/documents/visitFaults.js';
import { ApiServer } from '../../../src/embedded/vespa/http/server.js';
import { VisitedStore } from './visitedStore.js';

const VISIT = '/document/v1/?cluster=d&selection=aa&stream=true';
let visited: VisitedStore;
let server: ApiServer;
let port: number;

beforeEach(async () => {
  visited = await VisitedStore.create();
  visited.put(2000);
});
afterEach(async () => {
  await server.close();
  await visited.remove();
});

async function serve(kinds: readonly VisitFault[], rate = 1, seed = 7): Promise<void> {
  const visits = { rate, kinds, withinBytes: 50_000 };
  server = new ApiServer(withFaults(visited.handler, { rate: 0, statuses: [], seed, visits }));
  port = await new Promise<number>((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as net.AddressInfo;
      probe.close(() => resolve(port));
    });
  });
  await server.listen(port, '127.0.0.1');
}

interface Outcome {
  readonly status: number;
  readonly text: string;
  readonly end: 'ended' | 'cut' | 'open';
}

/** @param until gives up when it resolves */
function get(path: string, until?: Promise<unknown>): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'application/jsonl' };
    const call = http.get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let text = '';
      const done = (end: Outcome['end']) => {
        resolve({ status: response.statusCode!, text, end });
        call.destroy();
      };
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => done('ended')).on('error', () => done('cut'));
      void until?.then(() => done('open'));
    });
    call.on('error', reject);
  });
}

test('cut: the connection breaks within the answer', async () => {
  await serve(['cut']);
  const { end, text } = await get(VISIT);
  expect(end).toBe('cut');
  expect(text.length).toBeLessThanOrEqual(50_000);
});

test('cut: a short answer breaks before its end', async () => {
  await serve(['cut']);
  expect((await get(`${VISIT}&wantedDocumentCount=1`)).end).toBe('cut');
});

test('stalled: neither more nor an end comes, and others are answered', async () => {
  await serve(['stalled']);
  const others = Array.from({ length: 20 }, async () => get('/document/v1/ns/aa/docid/7'));
  const stalled = await get(VISIT, Promise.all(others));
  expect((await Promise.all(others)).map((other) => other.end)).toEqual(others.map(() => 'ended'));
  expect(stalled.end).toBe('open');
});

test('unfinished: ends well, without the last continuation', async () => {
  await serve(['unfinished']);
  const { end, text } = await get(VISIT);
  expect(end).toBe('ended');
  expect(text.split('{"put"')).toHaveLength(2001);
  expect(text).toMatch(/\{"sessionStats":\{"documentCount":2000\}\}\n$/);
});

test('refused: 429 or 503 and no lines', async () => {
  await serve(['refused']);
  const outcomes = await Promise.all(Array.from({ length: 20 }, async () => get(VISIT)));
  expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set([429, 503]));
  expect(outcomes.map(({ text }) => text).join('')).toBe('');
});

test('a seed gives the same faults again; documents are read without any', async () => {
  const run = async () => {
    await serve(['cut', 'unfinished', 'refused'], 0.5, 42);
    const outcomes: string[] = [];
    for (let n = 0; n < 20; n++) {
      const { status, end, text } = await get(VISIT);
      outcomes.push(`${status} ${end} ${text.endsWith('{"continuation":{"percentFinished":100.0}}\n')}`);
    }
    expect((await get('/document/v1/ns/aa/docid/7')).status).toBe(200);
    return outcomes;
  };
  const first = await run();
  await server.close();
  expect(await run()).toEqual(first);
  expect(new Set(first).size).toBeGreaterThan(2);
});

test('faults are named by their names only', () => {
  expect(parseVisitFaults(VISIT_FAULTS.join(','))).toEqual(VISIT_FAULTS);
  expect(() => parseVisitFaults('cut,torn')).toThrow('no fault of a visit: torn');
});
