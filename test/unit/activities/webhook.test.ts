import { createHmac } from 'node:crypto';
import { type IncomingHttpHeaders, type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { NoticeWebhook } from '../../../src/notices/webhook.js';

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
  const webhook = new NoticeWebhook(url, 'a secret');
  await webhook.send(notice);
  await webhook.send(notice);
  expect(JSON.parse(got[0]!.body)).toEqual(notice);
  const signature = createHmac('sha256', 'a secret').update(got[0]!.body).digest('hex');
  expect(got[0]!.headers['x-cvops-signature']).toBe(`sha256=${signature}`);
  expect(got[1]!.headers['idempotency-key']).toBe(got[0]!.headers['idempotency-key']);
  expect(JSON.stringify(got)).not.toContain('a secret');
});

test('one that is not taken, or leads elsewhere, is an error: the step is tried again', async () => {
  const { url } = await endpoint(503);
  await expect(new NoticeWebhook(url).send(notice)).rejects.toThrow('503');
  server!.close();
  const other = await endpoint(302, { location: 'http://169.254.169.254/' });
  await expect(new NoticeWebhook(other.url).send(notice)).rejects.toThrow();
  expect(other.got).toHaveLength(1);
});
