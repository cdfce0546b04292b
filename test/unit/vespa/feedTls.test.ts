import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DocumentClient } from '../../../src/vespa/documents.js';
import { vespaAccess } from '../../../src/vespa/access.js';
import { feedAll } from '../../../src/vespa/feeding/feeder.js';
import type { FeedItem } from '../../../src/vespa/feeding/operation.js';
import { visit } from '../../../src/vespa/visit.js';
import { ScriptedVisits, put } from './visitServer.js';
import { loadSettings } from '../../../src/settings.js';

const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
const folder = mkdtempSync(path.join(os.tmpdir(), 'cvops-tls-'));
const file = (name: string) => path.join(folder, name);
const read = (name: string) => readFileSync(file(name), 'utf8');

let server: https.Server | http2.Http2SecureServer | undefined;
let client: DocumentClient | undefined;
const seen: { version: string; authorization: string | undefined; subject: string | undefined }[] = [];

/** One authority, a certificate for 127.0.0.1 and one for the client. */
beforeAll(() => {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=ca');
  for (const name of ['server', 'client']) {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    writeFileSync(file('san'), 'subjectAltName=IP:127.0.0.1,DNS:localhost');
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'san'];
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...by);
  }
});
afterEach(async () => {
  await client?.close();
  if (server && 'closeAllConnections' in server) server.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
  [client, server, seen.length] = [undefined, undefined, 0];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Answers 200 to whoever has the token, or a certificate; 401 to others. */
async function listen(speaks: 'h2' | 'http/1.1'): Promise<string> {
  const answer = (
    request: http.IncomingMessage | http2.Http2ServerRequest,
    response: http.ServerResponse | http2.Http2ServerResponse,
  ) => {
    const peer = (request.socket as TLSSocket).getPeerCertificate();
    const subject = peer.subject?.CN;
    const { authorization } = request.headers;
    seen.push({ version: request.httpVersion, authorization, subject: subject as string | undefined });
    response.statusCode = subject === 'client' || authorization === 'Bearer s3cret' ? 200 : 401;
    request.resume().once('end', () => (response as http.ServerResponse).end('{}'));
  };
  const options = {
    key: read('server.key'),
    cert: read('server.pem'),
    ca: read('ca.pem'),
    requestCert: true,
    rejectUnauthorized: false,
  };
  server =
    speaks === 'h2'
      ? http2.createSecureServer({ ...options, allowHTTP1: true }, answer)
      : https.createServer(options, answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function* items(count: number): AsyncGenerator<FeedItem> {
  for (let n = 0; n < count; n++)
    yield { at: { namespace: 'content', schema: 'small', id: `d${n}` }, body: Buffer.from('{"fields":{}}') };
}

const access = (env: Record<string, string>) =>
  vespaAccess(loadSettings({ VESPA_CA_FILE: file('ca.pem'), ...env }));
const certificate = { VESPA_CERT_FILE: file('client.pem'), VESPA_KEY_FILE: file('client.key') };

describe.each([
  ['h2', '2.0'],
  ['http/1.1', '1.1'],
] as const)('an endpoint that speaks %s', (speaks, version) => {
  it('is spoken to so, with the client certificate', async () => {
    client = new DocumentClient(await listen(speaks), { connections: 16, access: await access(certificate) });
    expect(await feedAll(client, items(300))).toMatchObject({ acknowledged: 300, retries: 0 });
    expect(new Set(seen.map((each) => `${each.version} ${each.subject}`))).toEqual(
      new Set([`${version} client`]),
    );
  });

  it('or with the bearer token', async () => {
    process.env['FEED_TLS_TOKEN'] = 's3cret';
    const given = await access({ VESPA_TOKEN_REF: 'env:FEED_TLS_TOKEN' });
    client = new DocumentClient(await listen(speaks), { connections: 16, access: given });
    expect(await feedAll(client, items(50))).toMatchObject({ acknowledged: 50 });
  });

  it('ends the feed of who has neither, and the message names the settings', async () => {
    client = new DocumentClient(await listen(speaks), { connections: 16, access: await access({}) });
    await expect(feedAll(client, items(50))).rejects.toMatchObject({
      type: 'PermissionDenied',
      hint: expect.stringContaining('VESPA_TOKEN_REF') as string,
    });
  });

  it('streams visits at a time, to readers who are slower than it', async () => {
    const url = await listen(speaks);
    client = new DocumentClient(url, { connections: 16, access: await access(certificate) });
    const visits = new ScriptedVisits(
      Array.from({ length: 12 }, (_, n) => ({ documents: [put(`${n}`, `{"t":"${'f'.repeat(1 << 20)}"}`)] })),
    );
    server!.removeAllListeners('request');
    server!.on('request', (request: http.IncomingMessage, response: http.ServerResponse) =>
      visits.serve(request, response),
    );
    const read = async () => {
      let documents = 0;
      for await (const event of visit(client!, { cluster: 'c', schema: 'music', idleMs: 2_000 })) {
        if (event.kind === 'rewind') throw new Error(event.reason);
        if (event.kind === 'lines') documents += event.lines.length;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return documents;
    };
    expect(await Promise.all([read(), read(), read()])).toEqual([12, 12, 12]);
    expect(visits.requests).toHaveLength(3);
  });

  it('cuts off what is in flight when the signal says so', async () => {
    const url = await listen(speaks);
    client = new DocumentClient(url, { connections: 16, access: await access(certificate) });
    const caller = new AbortController();
    server!.removeAllListeners('request');
    let cut = 0;
    let hanging = 0;
    server!.on('request', (_: unknown, response: http.ServerResponse) => {
      response.once('close', () => cut++);
      if (++hanging === 4) caller.abort(new Error('enough'));
    });
    await expect(feedAll(client, items(50), { signal: caller.signal })).rejects.toThrow('enough');
    await expect.poll(() => cut).toBe(4);
  });
});

describe('access', () => {
  it.each([
    [{ VESPA_CERT_FILE: file('client.pem') }, 'VESPA_KEY_FILE is not set'],
    [{ VESPA_KEY_FILE: file('client.key') }, 'VESPA_CERT_FILE is not set'],
    [{ ...certificate, VESPA_CERT_FILE: file('none.pem') }, 'none.pem cannot be used'],
    [{ VESPA_TOKEN_REF: 'env:FEED_TLS_NOT_SET' }, 'FEED_TLS_NOT_SET cannot be used'],
    [{ VESPA_TOKEN_REF: 's3cret' }, 'the Vespa token is no secret reference'],
  ])('from %o is refused at once', async (env, words) => {
    await expect(access(env as Record<string, string>)).rejects.toThrow(words);
  });

  it('is nothing when nothing is set', async () => {
    expect(await vespaAccess(loadSettings({}))).toEqual({});
  });
});
