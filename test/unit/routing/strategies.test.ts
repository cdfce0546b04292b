import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RoutingConfig, Strategy } from '../../../src/domain/config/keys.js';
import { route } from '../../../src/routing/router.js';
import { embeddedStrategy } from '../../../src/routing/strategies/embedded.js';
import { servedStrategy } from '../../../src/routing/strategies/served.js';

let server: http.Server;
let url: string;
let reply: { status?: number; body: string };
let asked: { path: string; body: Record<string, unknown>; authorization: string | undefined };
beforeAll(async () => {
  server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const { authorization } = request.headers;
      asked = { path: request.url!, body: JSON.parse(body) as Record<string, unknown>, authorization };
      response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', location: '/elsewhere' });
      response.end(reply.body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const ask = (
  name: Strategy,
  body: unknown,
  more: { status?: number; allowedPrivate?: readonly string[] } = {},
) => {
  const { status, allowedPrivate = ['127.0.0.1'] } = more;
  reply = { ...(status ? { status } : {}), body: typeof body === 'string' ? body : JSON.stringify(body) };
  const served = { name, url, token: 'secret', model: 'm', timeoutMs: 5_000, allowedPrivate };
  return servedStrategy(served).ask('find cars', new AbortController().signal);
};
const chat = (content: string) => ({ choices: [{ message: { content } }] });

describe('a served strategy', () => {
  test('gliner votes for its strongest label, and abstains without one', async () => {
    const entities = [
      { label: 'summarizer_agent', score: 0.4 },
      { label: 'detailed_report_agent', score: 0.8 },
      { label: 'somebody_else', score: 1 },
    ];
    expect(await ask('gliner', { entities })).toEqual({
      ...{ outcome: 'voted', agent: 'detailed_report_agent', confidence: 0.8 },
    });
    expect(asked).toMatchObject({ body: { text: 'find cars' }, authorization: 'Bearer secret' });
    expect(await ask('gliner', { entities: [] })).toEqual({ outcome: 'abstained' });
  });

  test('langextract votes by its confidence, else by its part of the extractions', async () => {
    const of = (extraction_class: string, confidence?: number) => ({
      ...{ extraction_class, extraction_text: 'cars', attributes: confidence ? { confidence } : null },
    });
    const three = [of('video_search_agent'), of('video_search_agent'), of('summarizer_agent'), of('other')];
    expect(await ask('langextract', { extractions: three })).toMatchObject({
      ...{ agent: 'video_search_agent', confidence: 2 / 3 },
    });
    expect(await ask('langextract', { extractions: [of('summarizer_agent', 0.9)] })).toMatchObject({
      ...{ agent: 'summarizer_agent', confidence: 0.9 },
    });
  });

  test('llm votes by one JSON object, also within a fence, and sees the query as data', async () => {
    const said = '{"agent":"summarizer_agent","confidence":0.7}';
    for (const content of [said, `\`\`\`json\n${said}\n\`\`\``])
      expect(await ask('llm', chat(content))).toEqual({
        ...{ outcome: 'voted', agent: 'summarizer_agent', confidence: 0.7 },
      });
    const [system, user] = asked.body['messages'] as { content: string }[];
    expect(asked.path).toBe('/chat/completions');
    expect(system!.content).not.toContain('find cars');
    expect(user!.content).toMatch(/^<(data-[0-9a-f]{16})>\nfind cars\n<\/\1>$/);
  });

  test.each([
    ['gliner', { entities: [{ label: 'summarizer_agent', score: 2 }] }, {}, /another shape/],
    ['gliner', 'not json', {}, /not JSON/],
    ['gliner', 'x'.repeat(70_000), {}, /over 65536 bytes/],
    ['gliner', {}, { status: 503 }, /answers 503/],
    ['gliner', {}, { status: 302 }, /answers 302/],
    ['gliner', { entities: [] }, { allowedPrivate: [] }, /the URL is refused/],
    ['llm', chat('Sure: {"agent":"summarizer_agent","confidence":1}'), {}, /not JSON/],
    ['llm', chat('{"agent":"root","confidence":1}'), {}, /another shape/],
    ['llm', chat('{"agent":"summarizer_agent","confidence":1,"do":"more"}'), {}, /another shape/],
    ['llm', { choices: [] }, {}, /no chat completion/],
  ] as const)('%s that answers %j %j has no vote', async (name, body, more, why) => {
    await expect(ask(name, body, more)).rejects.toThrow(why);
  });
});

describe('the router', () => {
  const config: RoutingConfig = {
    ...{
      routing_mode: 'ensemble',
      strategies: ['gliner', 'llm', 'langextract'],
      optimization_enabled: false,
    },
    ...{ confidence_thresholds: { gliner: 0.5, llm: 0.5, langextract: 0.5 }, experience_buffer_size: 10 },
  };
  const open = async (name: Strategy) => embeddedStrategy(name);

  test.each([
    ['find clips with a red car', 'video_search_agent'],
    ['give me a summary of the meeting videos', 'summarizer_agent'],
    ['write a detailed report on forklift accidents', 'detailed_report_agent'],
    ['красная машина', 'video_search_agent'],
    ['\0', 'video_search_agent'],
  ])('with the embedded strategies sends %j to %s, each time', async (query, agent) => {
    const options = { timeoutMs: 60_000 };
    const first = await route(config, query, open, options);
    expect(first.decision.agent).toBe(agent);
    expect((await route(config, query, open, options)).decision).toEqual(first.decision);
  });

  test('decides without a strategy that fails and one that never answers', async () => {
    const broken = async (name: Strategy) => {
      if (name === 'gliner') throw new Error('no such token');
      if (name === 'langextract') return { name, ask: () => new Promise<never>(() => {}) };
      return embeddedStrategy(name);
    };
    const { decision, votes } = await route(config, 'give me a summary', broken, { timeoutMs: 50 });
    expect(decision).toMatchObject({ agent: 'summarizer_agent', counted: ['llm'] });
    expect(votes).toMatchObject([
      { strategy: 'gliner', outcome: 'failed', reason: 'no such token', counted: false },
      { strategy: 'llm', outcome: 'voted', counted: true },
      { strategy: 'langextract', outcome: 'failed', reason: 'no answer within 50 ms' },
    ]);
  });

  test('in tiers asks no further than it must, unless it is told to', async () => {
    const tiered: RoutingConfig = { ...config, routing_mode: 'tiered', strategies: ['llm', 'gliner'] };
    const asking = async (options: { askAll?: boolean }) =>
      (await route(tiered, 'find clips', open, { timeoutMs: 60_000, ...options })).votes.map(
        (v) => v.strategy,
      );
    expect(await asking({})).toEqual(['llm']);
    expect(await asking({ askAll: true })).toEqual(['llm', 'gliner']);
  });
});
