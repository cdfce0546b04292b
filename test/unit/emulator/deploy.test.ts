import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { zipSync } from 'fflate';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ApiHandler } from '../../../src/embedded/vespa/api.js';
import { DiskStore } from '../../../src/embedded/vespa/documents/diskStore.js';
import { createDocumentHandler } from '../../../src/embedded/vespa/documents/handler.js';
import { ConfigServer } from '../../../src/embedded/vespa/package/config-server.js';
import { createSearchHandler } from '../../../src/embedded/vespa/search/handler.js';

const TENANT = '/application/v2/tenant/default';
const ACTIVE = `${TENANT}/application/default/environment/prod/region/default/instance/default`;
const TODAY = new Date('2026-11-24T12:00:00Z');

let folder: string;
let server: ConfigServer;
let store: DiskStore | undefined;

function open(convergenceMs = 0): ConfigServer {
  store = undefined;
  const opened = new ConfigServer({ dataDir: folder, convergenceMs, now: () => TODAY });
  opened.onContainerModel((model) => {
    if (store === undefined) store = new DiskStore(path.join(folder, 'documents'), model);
    else store.setModel(model);
  });
  return opened;
}

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'emulator-'));
  server = open();
  await server.start();
});
afterEach(async () => {
  await server.stop();
  store?.close();
  await rm(folder, { recursive: true, force: true });
});

async function call(
  handler: ApiHandler,
  method: string,
  url: string,
  body: string | Buffer = '',
  headers: Record<string, string> = {},
) {
  const [at, query = ''] = url.split('?');
  const answer = await handler({
    method,
    path: at!,
    query,
    headers,
    host: 'localhost:1',
    body: async () => Buffer.from(body),
  });
  const text = Buffer.isBuffer(answer.body) ? answer.body.toString() : String(answer.body);
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(text) as typeof json;
  } catch {
    // A file of a package.
  }
  return { status: answer.status, json, text };
}

const config = (method: string, url: string, body?: string | Buffer, headers?: Record<string, string>) =>
  call(server.handle, method, url, body, headers);
const documents = createDocumentHandler(() => store);
const search = createSearchHandler(() => store);

function files(schemas: readonly string[], more: Record<string, string> = {}): Record<string, Uint8Array> {
  const services = `<services version="1.0"><container id="c" version="1.0"><search/><document-api/></container>
<content id="d" version="1.0"><redundancy>1</redundancy><documents>${schemas.map((s) => `<document type="${s}" mode="index"/>`).join('')}</documents></content></services>`;
  const sd = (name: string) =>
    `schema ${name} { document ${name} { field title type string { indexing: summary | index } } }`;
  const all = {
    'services.xml': services,
    ...Object.fromEntries(schemas.map((s) => [`schemas/${s}.sd`, sd(s)])),
    ...more,
  };
  return Object.fromEntries(Object.entries(all).map(([name, text]) => [name, Buffer.from(text)]));
}

const deploy = (schemas: readonly string[], more: Record<string, string> = {}) =>
  config('POST', `${TENANT}/prepareandactivate`, Buffer.from(zipSync(files(schemas, more))), {
    'content-type': 'application/zip',
  });
const session = async () => (await config('POST', `${TENANT}/session?from=x`)).json['session-id'] as string;
const allow = (until: string) => ({
  'validation-overrides.xml': `<validation-overrides><allow until="${until}">schema-removal</allow></validation-overrides>`,
});

describe('sessions', () => {
  test('a session from the active one is a copy; activated, its generation is its id', async () => {
    await deploy(['aa']);
    const id = await session();
    const listed = await config('GET', `${TENANT}/session/${id}/content/?recursive=true`);
    expect(listed.text).toContain(`http://localhost:1${TENANT}/session/${id}/content/schemas/aa.sd`);
    expect((await config('PUT', `${TENANT}/session/${id}/prepared`)).status).toBe(200);
    expect((await config('PUT', `${TENANT}/session/${id}/active`)).json['application']).toMatchObject({
      generation: Number(id),
    });
    expect((await config('GET', ACTIVE)).json['generation']).toBe(Number(id));
  });

  test('a session is stale when another became active since it was made: 409, and nothing changes', async () => {
    await deploy(['aa']);
    const [first, second] = [await session(), await session()];
    for (const id of [first, second]) await config('PUT', `${TENANT}/session/${id}/prepared`);
    expect((await config('PUT', `${TENANT}/session/${second}/active`)).status).toBe(200);
    const refused = await config('PUT', `${TENANT}/session/${first}/active`);
    expect(refused.status).toBe(409);
    expect(refused.json).toMatchObject({
      'error-code': 'ACTIVATION_CONFLICT',
      message: expect.stringContaining('has since become active') as string,
    });
    expect((await config('PUT', `${TENANT}/session/${first}/active?force=true`)).json['message']).toContain(
      'older than current active session',
    );
    expect((await config('GET', ACTIVE)).json['generation']).toBe(Number(second));
  });

  test('an edit makes a prepared session new again, and an unprepared one cannot be activated', async () => {
    await deploy(['aa']);
    const id = await session();
    await config('PUT', `${TENANT}/session/${id}/prepared`);
    await config('PUT', `${TENANT}/session/${id}/content/ext/note.txt`, 'x');
    const refused = await config('PUT', `${TENANT}/session/${id}/active`);
    expect([refused.status, refused.json['error-code']]).toEqual([400, 'BAD_REQUEST']);
    expect((await config('PUT', `${TENANT}/session/${id}/content/../../../x`, 'x')).status).toBe(400);
  });

  test('the active package, its bytes and its generation are there after a restart', async () => {
    await deploy(['aa'], { 'ext/odd name.txt': 'kept ' });
    const before = (await config('GET', ACTIVE)).json['generation'];
    await server.stop();
    store?.close();
    server = open();
    await server.start();
    expect((await config('GET', ACTIVE)).json['generation']).toBe(before);
    expect((await config('GET', `${ACTIVE}/content/ext/odd%20name.txt`)).text).toBe('kept ');
    expect(server.containerModel?.schemas.has('aa')).toBe(true);
  });
});

describe('removing a schema', () => {
  test('is refused without an override, with one that is past, and with one more than 29 days ahead', async () => {
    await deploy(['aa', 'bb']);
    for (const more of [{}, allow('2026-11-23'), allow('2026-12-24')]) {
      const refused = await deploy(['aa'], more);
      expect([refused.status, refused.json['error-code']]).toEqual([400, 'INVALID_APPLICATION_PACKAGE']);
    }
    expect((await deploy(['aa'])).json['message']).toContain("Schema 'bb' is removed in content cluster 'd'");
    expect((await deploy(['aa'], allow('2026-12-24'))).json['message']).toContain(
      'too far in the future: Max 30 days is allowed',
    );
    expect((await config('GET', `${ACTIVE}/content/schemas/bb.sd`)).status).toBe(200);
  });

  test.each(['2026-11-24', '2026-12-23'])(
    'with an override until %s takes its documents along, for good',
    async (until) => {
      await deploy(['aa', 'bb']);
      for (const type of ['aa', 'bb']) {
        expect(
          (await call(documents, 'POST', `/document/v1/n/${type}/docid/1`, '{"fields":{"title":"x"}}'))
            .status,
        ).toBe(200);
      }
      expect((await deploy(['aa'], allow(until))).status).toBe(200);
      expect((await call(documents, 'GET', '/document/v1/n/aa/docid/1')).status).toBe(200);
      expect((await call(documents, 'GET', '/document/v1/n/bb/docid/1')).status).toBe(404);
      await deploy(['aa', 'bb']);
      expect((await call(documents, 'GET', '/document/v1/n/bb/docid/1')).status).toBe(404);
    },
  );
});

describe('packages', () => {
  test.each([
    ['a type without its schema', files(['aa'], { 'schemas/aa.sd': '' }), 'schemas/aa.sd'],
    ['two names of one Java hash code', files(['tAa', 'tBB']), "'tBB' is already registered"],
    [
      'a file not named like its schema',
      files(['aa'], { 'schemas/other.sd': 'schema zz { document zz { } }' }),
      "must be named 'zz.sd'",
    ],
    ['broken XML', files(['aa'], { 'services.xml': '<services><a></services>' }), 'services.xml'],
  ])('%s is refused, and the active one stays', async (_, package_, words) => {
    await deploy(['first']);
    const refused = await config('POST', `${TENANT}/prepareandactivate`, Buffer.from(zipSync(package_)), {
      'content-type': 'application/zip',
    });
    expect(refused.status).toBe(400);
    expect(refused.json['message']).toContain(words);
    expect((await config('GET', `${ACTIVE}/content/schemas/first.sd`)).status).toBe(200);
  });
});

describe('until the container has converged', () => {
  test('a new schema is refused with 400 by feed and search, and convergence says so', async () => {
    await deploy(['aa']);
    await server.stop();
    store?.close();
    server = open(150);
    await server.start();
    await deploy(['aa', 'bb']);
    expect((await config('GET', `${ACTIVE}/serviceconverge`)).json['converged']).toBe(false);
    const fed = await call(documents, 'POST', '/document/v1/n/bb/docid/1', '{"fields":{}}');
    expect([fed.status, fed.json['message']]).toEqual([400, 'Document type bb does not exist']);
    const query = JSON.stringify({ yql: 'select * from bb where true', hits: 0 });
    expect(
      (await call(search, 'POST', '/search/', query, { 'content-type': 'application/json' })).status,
    ).toBe(400);
    await expect
      .poll(async () => (await config('GET', `${ACTIVE}/serviceconverge`)).json['converged'])
      .toBe(true);
    expect((await call(documents, 'POST', '/document/v1/n/bb/docid/1', '{"fields":{}}')).status).toBe(200);
    expect(
      (await call(search, 'POST', '/search/', query, { 'content-type': 'application/json' })).status,
    ).toBe(200);
  });
});

test('above its queue document/v1 answers 429, and what it accepted is stored', async () => {
  await deploy(['aa']);
  const answers = await Promise.all(
    Array.from({ length: 400 }, (_, n) =>
      call(documents, 'POST', `/document/v1/n/aa/docid/${n}`, '{"fields":{"title":"x"}}'),
    ),
  );
  const refused = answers.filter((answer) => answer.status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused[0]!.json['message']).toBe(
    'Rejecting execution due to overload: 256 requests already enqueued',
  );
  expect(store!.count('aa')).toBe(answers.filter((answer) => answer.status === 200).length);
});

test('a log that is torn at its end loses that record only; damage before others is refused', async () => {
  await deploy(['aa']);
  for (let n = 0; n < 5; n++)
    await call(documents, 'POST', `/document/v1/n/aa/docid/${n}`, '{"fields":{"title":"x"}}');
  const { model } = store!;
  store!.close();
  const file = path.join(folder, 'documents', 'aa.log');
  const { readFile, writeFile } = await import('node:fs/promises');
  const whole = await readFile(file);
  await writeFile(file, whole.subarray(0, whole.length - 3));
  store = new DiskStore(path.join(folder, 'documents'), model);
  expect(store.count('aa')).toBe(4);
  store.close();
  const damaged = Buffer.from(whole);
  damaged[25]! ^= 0xff;
  await writeFile(file, damaged);
  expect(() => new DiskStore(path.join(folder, 'documents'), model)).toThrow(/is damaged at byte 0/);
  store = undefined;
});
