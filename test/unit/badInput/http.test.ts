import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { uiOrigins } from '../../../src/domain/codecServer.js';
import { type MetricsServer, serveTenantMetrics } from '../../../src/metrics/server.js';
import { EncryptionCodec } from '../../../src/payloads/codec.js';
import { serveCodec } from '../../../src/payloads/codecServer.js';
import { parsePayloadKeys } from '../../../src/payloads/keys.js';
import { freePort } from '../../support/postgres.js';
import { FOREIGN, POISON, share } from '../../support/badInput/texts.js';

const UI = 'http://127.0.0.1:8233';
const TOKEN = 'the-token-of-the-codec';
const GOOD: Readonly<Record<string, string>> = {
  ...{ authorization: `Bearer ${TOKEN}`, origin: UI, 'content-type': 'application/json' },
};
const BODY = JSON.stringify({ payloads: [] });
const codec = new EncryptionCodec(parsePayloadKeys(`k:${randomBytes(32).toString('hex')}`, 'the test'), {
  acceptPlain: true,
});

let server: Awaited<ReturnType<typeof serveCodec>>;
let metrics: MetricsServer;
let metricsUrl: string;
beforeAll(async () => {
  server = await serveCodec({ codec, host: '127.0.0.1', port: 0, origins: uiOrigins(UI), token: TOKEN });
  const port = await freePort();
  metricsUrl = `http://127.0.0.1:${port}`;
  const refuse = () => Promise.reject(new Error('a bad request asked the registry'));
  metrics = await serveTenantMetrics(
    { host: '127.0.0.1', port },
    { query: refuse } as never,
    () => undefined,
  );
});
afterAll(async () => {
  await metrics.close();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** @returns the status; undefined: it was not sent, or hung up on */
async function statusOf(url: string, { method, path, headers, body }: Asked): Promise<number | undefined> {
  let sent;
  try {
    sent = request(url, { method, path, headers, agent: false });
  } catch {
    return undefined;
  }
  sent.end(body);
  try {
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  } catch {
    return undefined;
  }
}

const good: Asked = { method: 'POST', path: '/decode', headers: GOOD, body: BODY };
/** What a header can carry. */
const words = fc
  .oneof(fc.constantFrom(...POISON, ...FOREIGN), fc.string({ maxLength: 30 }))
  .map((text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, ''));
const withHeader = (name: string, values: fc.Arbitrary<string>) =>
  values.map((value) => ({ ...good, headers: { ...GOOD, [name]: value } }));
const bad = fc.oneof(
  withHeader(
    'authorization',
    fc.oneof(
      fc.constantFrom(
        '',
        'Bearer',
        'Bearer ',
        `bearer ${TOKEN}`,
        `Basic ${TOKEN}`,
        TOKEN,
        `Bearer  ${TOKEN}`,
      ),
      fc.nat(TOKEN.length - 1).map((length) => `Bearer ${TOKEN.slice(0, length)}`),
      words.map((word) => `Bearer ${TOKEN}x${word}`),
      words,
    ),
  ),
  withHeader(
    'origin',
    fc.oneof(
      fc.constantFrom(
        'null',
        'http://127.0.0.1',
        'https://127.0.0.1:8233',
        `${UI}.example.com`,
        `${UI}/`,
        UI.toUpperCase(),
      ),
      words.map((word) => `${UI}x${word}`),
    ),
  ),
  withHeader(
    'content-type',
    fc.constantFrom(
      '',
      'text/plain',
      'application/jsonx',
      'multipart/form-data',
      'application/x-www-form-urlencoded',
    ),
  ),
  fc.constantFrom('GET', 'PUT', 'DELETE', 'PATCH').map((method) => ({ ...good, method })),
  fc
    .constantFrom(
      '/',
      '/decode/',
      '/Decode',
      '//decode',
      '/decode/../encode',
      '/%64ecode',
      '/metrics',
      '/decode;x',
    )
    .map((path) => ({ ...good, path })),
  fc
    .oneof(
      words,
      fc.json(),
      fc.constantFrom(
        '{}',
        '{"payloads":{}}',
        '{"payloads":[1]}',
        '{"payloads":[{"data":"!"}]}',
        '{"payloads":[{"metadata":{"encoding":1}}]}',
      ),
    )
    .filter((body) => !body.includes('payloads":[]'))
    .map((body) => ({ ...good, body })),
);

it('the codec server answers no request that is not quite right, and goes on', async () => {
  expect(await statusOf(server.url, good)).toBe(200);
  await fc.assert(
    fc.asyncProperty(bad, async (asked) => {
      const status = await statusOf(server.url, asked);
      if (status !== undefined)
        expect([400, 401, 403, 404, 405, 415], JSON.stringify(asked)).toContain(status);
    }),
    share(4),
  );
  expect(await statusOf(server.url, good)).toBe(200);
});

it('the metrics of tenants are at one path alone, and no other asks the registry', async () => {
  const asked = fc
    .record({
      method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
      path: fc.constantFrom(
        '/',
        '/metrics/',
        '/Metrics',
        '//metrics',
        '/metrics/acme_corp',
        '/%6detrics',
        '/decode',
        '/metrics;x',
      ),
      headers: fc
        .tuple(fc.constantFrom('host', 'x-forwarded-for', 'authorization', 'accept', 'x-original-url'), words)
        .map(([name, word]) => ({ [name]: word })),
    })
    .map((each) => ({ ...each, body: '' }));
  await fc.assert(
    fc.asyncProperty(asked, async (each) => {
      const status = await statusOf(metricsUrl, each);
      if (status !== undefined) expect([400, 404], JSON.stringify(each)).toContain(status);
    }),
    share(2),
  );
});
