import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { projectRoot } from '../../src/projectRoot.js';
import { httpHealth } from '../../src/embedded/health.js';
import { INITIAL_HOSTS, initialServices } from '../../src/vespa/package/services.js';
import { generateSd } from '../../src/vespa/package/sd.js';
import { loadSchema } from '../../src/vespa/schemaFiles.js';
import { vespa } from '../support/vespaCli.js';
import { temporaryFolder } from '../support/videos.js';

const SCHEMA = 'video_colpali_smol500_mv_frame_acme_corp';
const id = (n: number | string) => `id:content:${SCHEMA}::v_${n}`;
let emulator: ChildProcess;
let container: string;
let config: string;
let app: string;
let work: string;

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

beforeAll(async () => {
  work = await temporaryFolder();
  app = path.join(work, 'app');
  await mkdir(path.join(app, 'schemas'), { recursive: true });
  await writeFile(path.join(app, 'services.xml'), initialServices([SCHEMA]));
  await writeFile(path.join(app, 'hosts.xml'), INITIAL_HOSTS);
  await writeFile(
    path.join(app, 'schemas', `${SCHEMA}.sd`),
    generateSd(SCHEMA, loadSchema('video_colpali_smol500_mv_frame')),
  );
  const [port, configPort] = [await freePort(), await freePort()];
  [container, config] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${configPort}`];
  emulator = spawn(
    process.execPath,
    [
      path.join(projectRoot, 'dist/src/embedded/vespa/main.js'),
      '--port',
      String(port),
      '--config-port',
      String(configPort),
      '--data-dir',
      path.join(work, 'data'),
    ],
    { stdio: 'ignore' },
  );
  await vi.waitFor(async () => expect(await httpHealth(`${config}/state/v1/health`)).toBe(true), {
    timeout: 20_000,
  });
});
afterAll(() => {
  emulator?.kill('SIGKILL');
});

test('vespa deploy, then vespa fetch brings the very bytes back', async () => {
  const deployed = await vespa(config, 'deploy', app);
  expect(deployed.code, deployed.stderr).toBe(0);
  const out = path.join(work, 'fetched');
  await mkdir(out);
  const fetched = await vespa(config, 'fetch', out);
  expect(fetched.code, fetched.stderr).toBe(0);
  const files = unzipSync(await readFile(path.join(out, 'application.zip')));
  for (const name of ['services.xml', 'hosts.xml', `schemas/${SCHEMA}.sd`]) {
    expect(Buffer.from(files[name]!).equals(await readFile(path.join(app, name)))).toBe(true);
  }
});

test('a package that would drop the schema is refused with Vespa’s words', async () => {
  const other = path.join(work, 'other');
  await mkdir(path.join(other, 'schemas'), { recursive: true });
  await writeFile(path.join(other, 'services.xml'), initialServices([]));
  const refused = await vespa(config, 'deploy', other);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr + refused.stdout).toContain(
    `Schema '${SCHEMA}' is removed in content cluster 'cogniverse_content'`,
  );
});

test('vespa feed stores every document, vespa visit brings each back once', async () => {
  const lines = Array.from({ length: 500 }, (_, n) =>
    JSON.stringify({
      put: id(n),
      fields: {
        video_id: `v${n % 5}`,
        video_title: `title number ${n}`,
        segment_id: n,
        embedding: { blocks: { 0: Array(128).fill(n / 1000) } },
      },
    }),
  );
  const file = path.join(work, 'feed.jsonl');
  await writeFile(file, `${lines.join('\n')}\n`);
  const fed = await vespa(container, 'feed', file);
  expect(JSON.parse(fed.stdout)).toMatchObject({
    'feeder.operation.count': 500,
    'feeder.ok.count': 500,
    'feeder.error.count': 0,
    'http.response.code.counts': { 200: 500 },
  });
  const visited = await vespa(container, 'visit');
  const ids = visited.stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { id: string }).id);
  expect(ids.toSorted()).toEqual(lines.map((_, n) => id(n)).toSorted());
});

test('vespa document get, put, update, remove', async () => {
  const write = async (name: string, body: object) => {
    const file = path.join(work, name);
    await writeFile(file, JSON.stringify(body));
    return file;
  };
  const read = async () => vespa(container, 'document', 'get', id('x'));
  expect(
    (
      await vespa(
        container,
        'document',
        'put',
        id('x'),
        await write('put.json', { fields: { video_title: 'first', creation_timestamp: '9007199254740993' } }),
      )
    ).code,
  ).toBe(0);
  expect((await read()).stdout).toMatch(/"creation_timestamp": 9007199254740993/);
  expect(
    (
      await vespa(
        container,
        'document',
        'update',
        id('x'),
        await write('update.json', { fields: { video_title: { assign: 'second' } } }),
      )
    ).code,
  ).toBe(0);
  expect((await read()).stdout).toMatch(/"video_title": "second"/);
  expect((await vespa(container, 'document', 'remove', id('x'))).code).toBe(0);
  expect((await read()).code).not.toBe(0);
});

test('vespa query ranks', async () => {
  const found = await vespa(
    container,
    'query',
    `yql=select * from ${SCHEMA} where userInput(@q)`,
    'q=number 42',
    'ranking=bm25_only',
    'hits=3',
  );
  expect(found.code, found.stderr).toBe(0);
  const { root } = JSON.parse(found.stdout) as {
    root: { fields: { totalCount: number }; children: { id: string; relevance: number }[] };
  };
  expect(root.fields.totalCount).toBe(500);
  expect(root.children).toHaveLength(3);
  expect(root.children[0]!.id).toBe(id(42));
});

test('documents and package are there after the emulator was killed', async () => {
  const { exitCode } = emulator;
  expect(exitCode).toBeNull();
  emulator.kill('SIGKILL');
  await new Promise((resolve) => emulator.once('close', resolve));
  emulator = spawn(process.execPath, emulator.spawnargs.slice(1), { stdio: 'ignore' });
  await vi.waitFor(async () => expect(await httpHealth(`${config}/state/v1/health`)).toBe(true), {
    timeout: 20_000,
  });
  expect((await vespa(container, 'visit')).stdout.trim().split('\n')).toHaveLength(500);
});
