import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { codecPort, uiOrigins } from '../../../src/domain/codecServer.js';
import { EncryptionCodec } from '../../../src/payloads/codec.js';
import { serveCodec } from '../../../src/payloads/codecServer.js';
import { parsePayloadKeys } from '../../../src/payloads/keys.js';

const UI = 'http://127.0.0.1:8233';
const keys = parsePayloadKeys(`k:${randomBytes(32).toString('hex')}`, 'the test');
const codec = new EncryptionCodec(keys, { acceptPlain: true });
const base64 = (text: string) => Buffer.from(text).toString('base64');
const PAYLOADS = { payloads: [{ metadata: { encoding: base64('json/plain') }, data: base64('"planted"') }] };

let server: (Server & { url: string }) | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  if (server) await once(server, 'close');
  server = undefined;
});
const start = async (token?: string) => {
  const origins = uiOrigins(UI);
  server = await serveCodec({ codec, host: '127.0.0.1', port: 0, origins, token });
  return server.url;
};
const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: UI, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

describe('the codec server', () => {
  it('encodes and decodes by Temporal’s contract', async () => {
    const url = await start();
    const encoded = await post(`${url}/encode`, PAYLOADS);
    expect([encoded.status, encoded.headers.get('access-control-allow-origin')]).toEqual([200, UI]);
    const text = await encoded.text();
    expect(text).not.toContain(base64('planted').slice(0, 6));
    const decoded = await post(`${url}/decode`, text, { 'x-namespace': 'default' });
    expect(await decoded.json()).toEqual(PAYLOADS);
  });

  it('answers the UI’s question before, and no other page', async () => {
    const url = await start();
    const ask = (origin: string) => fetch(`${url}/decode`, { method: 'OPTIONS', headers: { origin } });
    const allowed = await ask('http://localhost:8233');
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get('access-control-allow-headers')).toContain('x-namespace');
    for (const origin of ['http://evil.example', 'http://127.0.0.1:9999', 'null', `${UI}.evil.example`]) {
      const refused = await ask(origin);
      expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([403, null]);
      expect((await post(`${url}/decode`, PAYLOADS, { origin })).status).toBe(403);
    }
  });

  it('wants its token where it has one', async () => {
    const url = await start('pass');
    expect((await post(`${url}/decode`, PAYLOADS)).status).toBe(401);
    expect((await post(`${url}/decode`, PAYLOADS, { authorization: 'Bearer pas' })).status).toBe(401);
    expect((await post(`${url}/decode`, PAYLOADS, { authorization: 'Bearer pass' })).status).toBe(200);
  });

  it('refuses what is no request of its kind, and what was changed', async () => {
    const url = await start();
    const { payloads } = (await (await post(`${url}/encode`, PAYLOADS)).json()) as typeof PAYLOADS;
    const bytes = Buffer.from(payloads[0]!.data, 'base64');
    bytes[40]! ^= 1;
    const tampered = { payloads: [{ ...payloads[0]!, data: bytes.toString('base64') }] };
    const answers = await Promise.all([
      post(`${url}/decode`, tampered),
      post(`${url}/decode`, '{'),
      post(`${url}/decode`, { payloads: [{ data: 'not base64!' }] }),
      post(`${url}/decode`, PAYLOADS, { 'content-type': 'text/plain' }),
      post(`${url}/other`, PAYLOADS),
      fetch(`${url}/decode`),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 415, 404, 405]);
  });

  it('is one port after the UI by default', () => {
    expect([codecPort(UI), codecPort('https://temporal.example')]).toEqual([8234, 444]);
  });
});
