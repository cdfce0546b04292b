import { createHmac } from 'node:crypto';
import dns from 'node:dns';
import { type IncomingHttpHeaders, type Server, createServer } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { NoticeWebhook, purgeNoticeKey } from '../../../src/notices/webhook.js';

const notice = {
  event: 'purge-notice',
  tenant: 'acme_corp',
  incarnation: '5c1d9f9e-3f53-4a8b-8f0e-0d2f4b1c6a11',
  days: 7,
  purgeAt: '2027-02-22T13:07:15.069Z',
} as const;

let server: Server | undefined;
afterEach(() => server?.close());

async function endpoint(status: number, headers: Record<string, string> = {}) {
  const got: { headers: IncomingHttpHeaders; body: string }[] = [];
  server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      got.push({ headers: request.headers, body });
      response.writeHead(status, headers).end();
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return { got, url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`) };
}

test('posts the notice, signed, under one key however often it is sent', async () => {
  const { got, url } = await endpoint(204);
  const webhook = new NoticeWebhook({ url, allowedPrivate: [url.host], secret: 'a secret' });
  await webhook.send(purgeNoticeKey(notice), notice);
  await webhook.send(purgeNoticeKey(notice), notice);
  expect(JSON.parse(got[0]!.body)).toEqual(notice);
  const signature = createHmac('sha256', 'a secret').update(got[0]!.body).digest('hex');
  expect(got[0]!.headers['x-cvops-signature']).toBe(`sha256=${signature}`);
  expect(got[1]!.headers['idempotency-key']).toBe(got[0]!.headers['idempotency-key']);
  expect(JSON.stringify(got)).not.toContain('a secret');
});

test('one that is not taken, or leads elsewhere, is an error: the step is tried again', async () => {
  const { url } = await endpoint(503);
  const send = (to: URL) =>
    new NoticeWebhook({ url: to, allowedPrivate: [to.host] }).send(purgeNoticeKey(notice), notice);
  await expect(send(url)).rejects.toThrow('503');
  server!.close();
  const other = await endpoint(302, { location: 'http://169.254.169.254/' });
  await expect(send(other.url)).rejects.toThrow('302');
  expect(other.got).toHaveLength(1);
});

test('what the guard of URLs refuses is not called: a private address, by number or by name', async () => {
  const { got, url } = await endpoint(204);
  const send = (to: string) =>
    new NoticeWebhook({ url: new URL(to), allowedPrivate: [] }).send(purgeNoticeKey(notice), notice);
  await expect(send(url.href)).rejects.toThrow('loopback');
  await expect(send('http://169.254.169.254/latest')).rejects.toThrow('refused');
  await expect(send('http://metadata.google.internal/')).rejects.toThrow('refused');
  expect(got).toEqual([]);
});

test('a public name that leads to a private address is not called', async () => {
  const { got, url } = await endpoint(204);
  // Whatever a name server would say of it.
  const { lookup } = dns;
  dns.lookup = ((_name: string, _options: object, done: (e: null, all: object[]) => void) =>
    done(null, [{ address: '127.0.0.1', family: 4 }])) as never;
  syncBuiltinESMExports();
  try {
    const to = new URL(`http://hooks.example.com:${url.port}/`);
    const sent = new NoticeWebhook({ url: to, allowedPrivate: [] }).send(purgeNoticeKey(notice), notice);
    await expect(sent).rejects.toThrow('its name leads to an address that is refused');
  } finally {
    dns.lookup = lookup;
    syncBuiltinESMExports();
  }
  expect(got).toEqual([]);
});
