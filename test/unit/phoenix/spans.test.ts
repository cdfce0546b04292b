import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseTenantId } from '../../../src/domain/ids.js';
import { type SearchSpan, SpanSender, type SpanSenderOptions } from '../../../src/phoenix/spans.js';

/** An OTLP endpoint that can be slow, full or mute, which the real one cannot be made to be. */
let server: http.Server;
let url: string;
let respond: (res: http.ServerResponse) => void;
const batches: {
  project: string | undefined;
  token: string | undefined;
  type: string | undefined;
  body: Buffer;
}[] = [];
const senders: SpanSender[] = [];

beforeEach(async () => {
  batches.length = 0;
  respond = (res) => res.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  server = http.createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      batches.push({
        project: req.headers['x-project-name'] as string | undefined,
        token: req.headers.authorization,
        type: req.headers['content-type'],
        body: Buffer.concat(chunks),
      });
      respond(res);
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
  for (const sender of senders.splice(0)) await sender.close();
});

function open(options: SpanSenderOptions = {}, at = url): SpanSender {
  const sender = new SpanSender(at, { exportTimeoutMs: 500, ...options });
  senders.push(sender);
  return sender;
}
const target = (name: string) => ({ tenant: parseTenantId(name), project: `${name}_project` });
const search = (query: string): SearchSpan => ({
  query,
  profile: 'p',
  ranking: 'r',
  topK: 1,
  startedAt: new Date(),
  results: 0,
});

describe('a sender', () => {
  it('sends a tenant’s spans in batches of that tenant alone, as protobuf, by header and by resource', async () => {
    const sender = open({ token: 'secret' });
    for (let i = 0; i < 6; i++) sender.recordSearch(target(i % 2 === 0 ? 'acme' : 'globex'), search(`q${i}`));
    expect(batches).toEqual([]);
    expect(await sender.flush()).toBe(true);
    expect(batches.map(({ project }) => project).toSorted()).toEqual(['acme_project', 'globex_project']);
    for (const { project, token, type, body } of batches) {
      const [own, other] = project === 'acme_project' ? ['acme', 'globex'] : ['globex', 'acme'];
      expect([token, type]).toEqual(['Bearer secret', 'application/x-protobuf']);
      expect(body.includes('openinference.project.name')).toBe(true);
      expect(body.includes(`${own}_project`)).toBe(true);
      expect(body.includes(other)).toBe(false);
    }
    expect(sender.counts).toEqual({ sent: 6, failed: 0, dropped: 0, queued: 0 });
  });

  it('sends by itself soon after', async () => {
    open().recordSearch(target('acme'), search('q'));
    await expect.poll(() => batches.length, { timeout: 5_000 }).toBe(1);
  });

  it('keeps few tenants open, loses no span of those that it lets go, and opens them again', async () => {
    const sender = open({ maxTenants: 3 });
    const names = ['a1', 'b1', 'c1', 'd1', 'e1', 'a1', 'b1'];
    for (const name of names) sender.recordSearch(target(name), search('q'));
    await sender.close();
    expect(batches.map(({ project }) => project).toSorted()).toEqual(
      names.map((n) => `${n}_project`).toSorted(),
    );
    expect(sender.counts).toMatchObject({ sent: 7, failed: 0 });
  });

  it('drops and counts above its bound, over all tenants, and takes spans again when there is room', async () => {
    const sender = open({ maxQueued: 10 });
    for (let i = 0; i < 8; i++) sender.recordSearch(target('acme'), search('q'));
    for (let i = 0; i < 8; i++) sender.recordSearch(target('globex'), search('q'));
    expect(sender.counts).toEqual({ sent: 0, failed: 0, dropped: 6, queued: 10 });
    await sender.flush();
    sender.recordSearch(target('acme'), search('q'));
    await sender.flush();
    expect(sender.counts).toEqual({ sent: 11, failed: 0, dropped: 6, queued: 0 });
  });

  it.each<[string, (res: http.ServerResponse) => void]>([
    ['is full', (res) => res.writeHead(503).end('Server is at capacity and cannot process more requests')],
    ['refuses the batch', (res) => res.writeHead(422).end('bad')],
    ['cuts the connection', (res) => res.destroy()],
    ['never answers', () => undefined],
  ])('whose Phoenix %s counts what it lost and goes on', async (_, bad) => {
    const sender = open();
    respond = bad;
    sender.recordSearch(target('acme'), search('lost'));
    expect(await sender.flush(5_000)).toBe(true);
    expect(sender.counts).toEqual({ sent: 0, failed: 1, dropped: 0, queued: 0 });
    respond = (res) => res.writeHead(200).end();
    sender.recordSearch(target('acme'), search('kept'));
    await sender.flush(5_000);
    expect(sender.counts).toEqual({ sent: 1, failed: 1, dropped: 0, queued: 0 });
  });

  it('waits in flush also for a batch that is under way, and no longer than it was told', async () => {
    const sender = open({ exportTimeoutMs: 25_000 });
    let release: (() => void) | undefined;
    respond = (res) => (release = () => res.writeHead(200).end());
    sender.recordSearch(target('acme'), search('slow'));
    await expect.poll(() => release !== undefined, { timeout: 5_000 }).toBe(true);

    expect(await sender.flush(100)).toBe(false);
    // Under way still: it was not waited for until its own timeout.
    expect(sender.counts).toMatchObject({ sent: 0, failed: 0, queued: 1 });
    const flushed = sender.flush(5_000);
    await delay(50);
    release!();
    expect(await flushed).toBe(true);
    expect(sender.counts).toMatchObject({ sent: 1, queued: 0 });
  });

  it('refuses a project name that is none, and records nothing', () => {
    const sender = open();
    const bad = { ...target('acme'), project: 'a/b' };
    expect(() => sender.recordSearch(bad, search('q'))).toThrow(/not a Phoenix project name/);
    expect(sender.counts.queued).toBe(0);
  });

  it('goes to a Phoenix behind a path', async () => {
    let path = '';
    server.prependListener('request', (req: http.IncomingMessage) => (path = req.url!));
    const sender = open({}, `${url}/tools/phoenix/`);
    sender.recordSearch(target('acme'), search('q'));
    await sender.flush();
    expect(path).toBe('/tools/phoenix/v1/traces');
  });

  it('with nothing to send closes at once', async () => {
    // Time stands still: what waited for any of it would not end.
    vi.useFakeTimers();
    try {
      await open().close();
    } finally {
      vi.useRealTimers();
    }
  });
});
