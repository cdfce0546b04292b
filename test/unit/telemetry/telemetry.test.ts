import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseTenantId } from '../../../src/domain/ids.js';
import type { Destination } from '../../../src/telemetry/destination.js';
import { Telemetry, type TelemetryOptions } from '../../../src/telemetry/telemetry.js';
import { destinationFor, madeSpan } from '../../support/telemetry.js';

/** A Phoenix that can be slow, full, mute or forgetful, which the real one cannot be made to be. */
let server: http.Server;
let url: string;
let respond: (res: http.ServerResponse) => void;
/** What Phoenix answers when it is asked for a span. */
let stored: boolean;
interface Batch {
  readonly project: string | undefined;
  readonly token: string | undefined;
  readonly type: string | undefined;
  readonly path: string | undefined;
  readonly body: Buffer;
}
const batches: Batch[] = [];
const opened: Telemetry[] = [];
const lives = new Map<string, Destination>();

const ok = (res: http.ServerResponse) =>
  res.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();

beforeEach(async () => {
  batches.length = 0;
  lives.clear();
  stored = true;
  respond = ok;
  server = http.createServer((req, res) => {
    if (req.method === 'GET') {
      const data = stored ? [row] : [];
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ data }));
      return;
    }
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      batches.push({
        project: req.headers['x-project-name'] as string | undefined,
        token: req.headers.authorization,
        type: req.headers['content-type'],
        path: req.url,
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
  respond = ok;
  for (const telemetry of opened.splice(0)) await telemetry.close();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

const row = {
  name: 'any',
  context: { trace_id: '', span_id: '' },
  span_kind: 'CHAIN',
  start_time: '',
  end_time: '',
  status_code: 'OK',
  status_message: '',
  attributes: {},
};

function open(options: Partial<TelemetryOptions> = {}, at = url): Telemetry {
  const telemetry = new Telemetry({
    phoenixUrl: at,
    exportTimeoutMs: 300,
    destinationOf: async (tenant) => lives.get(tenant),
    ...options,
    times: { batchMs: 30, confirmMs: 20, lostMs: 60_000, pauseMs: 20, ...options.times },
  });
  opened.push(telemetry);
  return telemetry;
}

function life(name: string): Destination {
  const there = lives.get(name) ?? destinationFor(parseTenantId(name));
  lives.set(name, there);
  return there;
}

function send(telemetry: Telemetry, name: string, query = 'q'): void {
  telemetry.record(life(name).tenant, madeSpan({ attributes: { 'input.value': query } }));
}

describe('telemetry', () => {
  it('sends a tenant’s spans in batches of that tenant alone, as protobuf, by header and by resource', async () => {
    const telemetry = open({ token: 'secret', times: { batchMs: 10_000 } });
    for (let i = 0; i < 6; i++) send(telemetry, i % 2 === 0 ? 'acme' : 'globex');
    expect(await telemetry.flush()).toBe(true);
    expect(batches.map(({ project }) => project).toSorted()).toEqual(['acme_project', 'globex_project']);
    for (const { project, token, type, body } of batches) {
      const [own, other] = project === 'acme_project' ? ['acme', 'globex'] : ['globex', 'acme'];
      expect([token, type]).toEqual(['Bearer secret', 'application/x-protobuf']);
      expect(body.includes('openinference.project.name')).toBe(true);
      expect(body.includes(`${own}_project`)).toBe(true);
      expect(body.includes(other)).toBe(false);
    }
  });

  it('counts a span as stored only when it was read back, and holds it until then', async () => {
    stored = false;
    const telemetry = open();
    send(telemetry, 'acme');
    await telemetry.flush();
    expect(telemetry.counts).toMatchObject({ held: 1, accepted: 1, stored: 0 });
    stored = true;
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ held: 0, accepted: 0, stored: 1 }));
    expect(batches).toHaveLength(1);
  });

  it('sends by itself soon after', async () => {
    send(open(), 'acme');
    await expect.poll(() => batches.length).toBe(1);
  });

  it('sends again what Phoenix had accepted and lost, once it was seen away', async () => {
    stored = false;
    const telemetry = open();
    send(telemetry, 'acme', 'lost');
    await telemetry.flush();
    respond = (res) => res.destroy();
    send(telemetry, 'acme', 'late');
    await vi.waitFor(() => expect(batches.length).toBeGreaterThan(1));
    respond = ok;
    await vi.waitFor(() => expect(telemetry.counts.resent).toBeGreaterThan(0));
    stored = true;
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ held: 0, stored: 2, failed: 0 }));
    expect(batches.filter(({ body }) => body.includes('lost')).length).toBeGreaterThanOrEqual(2);
  });

  it('gives up what is never stored, and counts it', async () => {
    stored = false;
    const telemetry = open({ times: { lostMs: 1 } });
    send(telemetry, 'acme');
    await vi.waitFor(() =>
      expect(telemetry.counts).toMatchObject({ held: 0, accepted: 0, stored: 0, failed: 1, resent: 3 }),
    );
  });

  it('keeps few tenants open, loses no span of those that it lets go, and takes them back', async () => {
    const telemetry = open({ maxTenants: 3 });
    const names = ['a1', 'b1', 'c1', 'd1', 'e1', 'a1', 'b1'];
    for (const name of names) send(telemetry, name);
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ stored: 7, held: 0 }));
    // One that is back before its spans are gone sends them together.
    expect(batches.map(({ project }) => project).toSorted()).toEqual(
      [...new Set(names)].map((name) => `${name}_project`),
    );
  });

  it('of more tenants than are kept, by turns: asks a slow Phoenix a few things at a time, and sends nothing twice', async () => {
    const [tenants, rounds] = [40, 5];
    const telemetry = open({ maxTenants: 10 });
    let [now, most] = [0, 0];
    respond = (res) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        ok(res);
      }, 20);
    };
    for (let round = 0; round < rounds; round++) for (let n = 0; n < tenants; n++) send(telemetry, `t${n}`);
    await expect.poll(() => telemetry.counts).toMatchObject({ stored: tenants * rounds, held: 0 });
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
    expect(batches).toHaveLength(tenants);
    expect(telemetry.counts.resent).toBe(0);
  });

  it('drops and counts above its bound, over all tenants, and takes spans again when there is room', async () => {
    const telemetry = open({ maxSpans: 10, times: { batchMs: 10_000 } });
    for (let i = 0; i < 8; i++) send(telemetry, 'acme');
    for (let i = 0; i < 8; i++) send(telemetry, 'globex');
    expect(telemetry.counts).toMatchObject({ held: 10, dropped: 6 });
    await telemetry.flush();
    await vi.waitFor(() => expect(telemetry.counts.held).toBe(0));
    send(telemetry, 'acme');
    await telemetry.flush();
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ held: 0, stored: 11, dropped: 6 }));
  });

  it.each<[string, (res: http.ServerResponse) => void]>([
    ['is full', (res) => res.writeHead(503).end('Server is at capacity and cannot process more requests')],
    ['cuts the connection', (res) => res.destroy()],
    ['never answers', () => undefined],
  ])('keeps what a Phoenix that %s does not take, and sends it when it can', async (_, bad) => {
    const telemetry = open();
    respond = bad;
    send(telemetry, 'acme', 'kept');
    expect(await telemetry.flush(100)).toBe(false);
    expect(telemetry.counts).toMatchObject({ held: 1, failed: 0 });
    respond = ok;
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ held: 0, stored: 1, failed: 0 }));
  });

  it('counts as failed what Phoenix refuses for good, and goes on', async () => {
    const telemetry = open();
    respond = (res) => res.writeHead(422).end('bad');
    send(telemetry, 'acme');
    expect(await telemetry.flush()).toBe(true);
    expect(telemetry.counts).toMatchObject({ held: 0, failed: 1 });
    respond = ok;
    send(telemetry, 'acme');
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ held: 0, stored: 1, failed: 1 }));
  });

  it('counts as failed what is not taken until it closes', async () => {
    const telemetry = open();
    respond = () => undefined;
    send(telemetry, 'acme');
    await telemetry.close(200);
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ held: 0, failed: 1 }));
    send(telemetry, 'acme');
  });

  it('withholds the spans of a tenant that may get none, and those of a former life', async () => {
    const telemetry = open();
    send(telemetry, 'acme');
    lives.delete('acme');
    const { tenant } = life('globex');
    telemetry.record(tenant, madeSpan({ attributes: { incarnation: 'another' } }));
    lives.set('globex', { ...life('globex'), livesSince: Date.now() });
    telemetry.record(tenant, madeSpan({ startedAt: new Date(Date.now() - 3_600_000) }));
    await telemetry.flush();
    expect(telemetry.counts).toMatchObject({ held: 0, withheld: 3 });
    expect(batches).toEqual([]);
  });

  it('does not send again into a project whose tenant went meanwhile: it would bring it back', async () => {
    stored = false;
    const telemetry = open();
    send(telemetry, 'acme');
    await telemetry.flush();
    lives.delete('acme');
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ held: 0, withheld: 1 }));
    expect(batches).toHaveLength(1);
  });

  it('holds spans while the registry does not say whether they may be sent', async () => {
    let down = true;
    const telemetry = open({
      destinationOf: async (tenant) => {
        if (down) throw new Error('no registry');
        return lives.get(tenant);
      },
    });
    send(telemetry, 'acme');
    expect(await telemetry.flush(200)).toBe(false);
    expect(batches).toEqual([]);
    down = false;
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ held: 0, stored: 1 }));
  });

  it('holds the spans of a creation until its tenant is there', async () => {
    const telemetry = open({ destinationOf: async (tenant) => lives.get(tenant) ?? null });
    const acme = life('acme');
    lives.delete('acme');
    telemetry.record(acme.tenant, madeSpan({ name: 'StartWorkflow:createTenant' }));
    expect(await telemetry.flush(100)).toBe(false);
    lives.set('acme', acme);
    await vi.waitFor(() => expect(telemetry.counts).toMatchObject({ held: 0, stored: 1 }));
  });

  it('goes to a Phoenix behind a path', async () => {
    const telemetry = open({}, `${url}/tools/phoenix/`);
    send(telemetry, 'acme');
    await telemetry.flush();
    expect(batches[0]!.path).toBe('/tools/phoenix/v1/traces');
  });
});

describe('traced work', () => {
  it('is a span with its marks, its children below it, and only the outer one a request', async () => {
    const telemetry = open();
    const acme = life('acme');
    const result = await telemetry.traced(
      acme,
      'CHAIN',
      'memory.search',
      { 'input.value': 'what does the user prefer', 'session.id': 's1' },
      (span) => {
        span.setAttribute('output.value', 'cats');
        return telemetry.traced(acme, 'EMBEDDING', 'embed', {}, async () => 42);
      },
    );
    expect(result).toBe(42);
    await telemetry.flush();
    const [{ body }] = batches as [Batch];
    for (const text of ['memory.search', 'what does the user prefer', 'cats', 'acme:s1', acme.incarnation])
      expect(body.includes(text)).toBe(true);
    expect(body.toString('latin1').split('cvops.request')).toHaveLength(2);
  });

  it('throws on what it threw; the span has the message without its secrets', async () => {
    const telemetry = open();
    const failing = telemetry.traced(life('acme'), 'TOOL', 'call', {}, async () => {
      throw new Error('connect to https://user:hunter2@host failed: Authorization: Bearer abcdefgh12345');
    });
    await expect(failing).rejects.toThrow('hunter2');
    await telemetry.flush();
    const [{ body }] = batches as [Batch];
    expect(body.includes('connect to https://***@host failed')).toBe(true);
    for (const secret of ['hunter2', 'abcdefgh12345']) expect(body.includes(secret)).toBe(false);
  });
});
