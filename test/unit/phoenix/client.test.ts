import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PhoenixClient, PhoenixError } from '../../../src/phoenix/client.js';
import { ensureProject, findProject } from '../../../src/phoenix/projects.js';

/** What the real server can answer and cannot be made to at will: see docs/registry.md for the source of each. */
let server: http.Server;
let url: string;
let answer: (req: http.IncomingMessage, res: http.ServerResponse) => void;
const requests: { method: string; path: string; headers: http.IncomingHttpHeaders; body: string }[] = [];

beforeEach(async () => {
  requests.length = 0;
  server = http.createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    req.on('end', () => {
      requests.push({ method: req.method!, path: req.url!, headers: req.headers, body });
      answer(req, res);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

function json(res: http.ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}
const text = (res: http.ServerResponse, status: number, body: string) =>
  void res.writeHead(status, { 'content-type': 'text/plain' }).end(body);

async function failure(work: Promise<unknown>): Promise<PhoenixError> {
  const error: unknown = await work.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(PhoenixError);
  return error as PhoenixError;
}
const shape = z.object({ data: z.object({ n: z.number() }) });

describe('get', () => {
  it('gives what has the shape, undefined for 404, and leaves out what nobody asked for', async () => {
    answer = (_, res) => json(res, 200, { data: { n: 1, more: true } });
    const phoenix = new PhoenixClient(url);
    expect(await phoenix.get('/v1/x', shape)).toEqual({ data: { n: 1 } });
    answer = (_, res) => text(res, 404, 'Project with name x not found');
    expect(await phoenix.get('/v1/x', shape)).toBeUndefined();
  });

  it.each<[string, (res: http.ServerResponse) => void, number, RegExp]>([
    [
      'the UI’s page',
      (res) => res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>'),
      200,
      /GET \/v1\/x: not a Phoenix API answer, but text\/html$/,
    ],
    ['no type at all', (res) => res.writeHead(200).end('{}'), 200, /but of no type$/],
    [
      'JSON of another shape',
      (res) => json(res, 200, { data: { n: 'one' } }),
      200,
      /another shape.*data\.n/s,
    ],
    [
      'half of its JSON',
      (res) => res.writeHead(200, { 'content-type': 'application/json' }).end('{"data":'),
      200,
      /broken JSON: \{"data":$/,
    ],
    [
      'an error in plain text',
      (res) => text(res, 503, 'Server is at capacity'),
      503,
      /answered 503: Server is at capacity$/,
    ],
    ['a long error', (res) => text(res, 500, 'x'.repeat(10_000)), 500, /^Phoenix answered 500: x{200}$/],
    ['a token refused', (res) => text(res, 401, 'Invalid token'), 401, /401: Invalid token/],
    [
      'a connection cut in mid-answer',
      (res) => void res.writeHead(200, { 'content-length': '100' }).write('{', () => res.destroy()),
      0,
      /no answer from Phoenix at/,
    ],
  ])('is an error for %s', async (_, respond, status, message) => {
    answer = (_req, res) => void respond(res);
    const error = await failure(new PhoenixClient(url).get('/v1/x', shape));
    expect(error.status).toBe(status);
    expect(error.message).toMatch(message);
  });

  it('comes through over a connection that was closed just as it was used again, but is never posted twice', async () => {
    let cuts = 2;
    answer = (_, res) => (cuts-- > 0 ? res.destroy() : json(res, 200, { data: { n: 1 } }));
    const phoenix = new PhoenixClient(url);
    expect(await phoenix.get('/v1/x', shape)).toEqual({ data: { n: 1 } });
    expect(requests).toHaveLength(3);
    cuts = 1;
    expect(await failure(phoenix.send('POST', '/v1/projects', {}))).toMatchObject({ status: 0 });
    expect(requests).toHaveLength(4);
  });

  it('ends in time, also when the answer begins and never ends', async () => {
    const phoenix = new PhoenixClient(url, { timeoutMs: 150 });
    for (const respond of [
      () => undefined,
      (res: http.ServerResponse) =>
        void res.writeHead(200, { 'content-type': 'application/json' }).write('{'),
    ]) {
      answer = (_req, res) => respond(res);
      const error = await failure(phoenix.get('/v1/x', shape));
      expect(error).toMatchObject({ status: 0, message: expect.stringMatching(/timeout/) as string });
    }
  });

  it('goes to a Phoenix behind a path, with a token', async () => {
    answer = (_, res) => json(res, 200, { data: { n: 1 } });
    await new PhoenixClient(`${url}/tools/phoenix/`, { token: 'secret' }).get('/v1/x', shape);
    expect(requests[0]).toMatchObject({
      path: '/tools/phoenix/v1/x',
      headers: { authorization: 'Bearer secret' },
    });
    await new PhoenixClient(url).get('/v1/x', shape);
    expect(requests[1]?.headers).not.toHaveProperty('authorization');
  });
});

describe('graphql', () => {
  const run = () => new PhoenixClient(url).graphql('query', { name: 'x' }, z.object({ n: z.number() }));

  it('sends the variables beside the query and gives the data', async () => {
    answer = (_, res) => json(res, 200, { data: { n: 3 } });
    expect(await run()).toEqual({ n: 3 });
    expect(JSON.parse(requests[0]!.body)).toEqual({ query: 'query', variables: { name: 'x' } });
  });

  it.each<[string, unknown, RegExp]>([
    [
      'errors beside data',
      { data: { n: 3 }, errors: [{ message: 'invalid syntax at character 6' }] },
      /GraphQL: invalid syntax/,
    ],
    ['no data', {}, /another shape/],
    ['null', { data: null }, /another shape/],
  ])('is an error for %s, though the status is 200', async (_, body, message) => {
    answer = (_req, res) => json(res, 200, body);
    expect((await failure(run())).message).toMatch(message);
  });
});

describe('ensureProject', () => {
  const project = { id: 'UHJvamVjdDoy', name: 'acme_project' };

  it('creates what is not there, with its description', async () => {
    answer = (req, res) =>
      req.method === 'GET'
        ? text(res, 404, 'not found')
        : json(res, 200, { data: { ...project, description: 'd' } });
    expect(await ensureProject(new PhoenixClient(url), 'acme_project', 'd')).toEqual({
      ...project,
      description: 'd',
    });
    expect(requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /v1/projects/acme_project',
      'POST /v1/projects',
    ]);
    expect(JSON.parse(requests[1]!.body)).toEqual({ name: 'acme_project', description: 'd' });
  });

  it('gives the create’s own error when nobody made the project', async () => {
    answer = (req, res) =>
      req.method === 'GET' ? text(res, 404, 'not found') : text(res, 500, 'Internal Server Error');
    const error = await failure(ensureProject(new PhoenixClient(url), 'acme_project', ''));
    expect(error).toMatchObject({ status: 500, message: 'Phoenix answered 500: Internal Server Error' });
    expect(requests.map(({ method }) => method)).toEqual(['GET', 'POST', 'GET']);
  });

  it('never takes a failure to look for an absence', async () => {
    answer = (_, res) => text(res, 503, 'busy');
    expect((await failure(ensureProject(new PhoenixClient(url), 'acme_project', ''))).status).toBe(503);
    expect((await failure(findProject(new PhoenixClient(url), 'acme_project'))).status).toBe(503);
    expect(requests.map(({ method }) => method)).toEqual(['GET', 'GET']);
  });
});
