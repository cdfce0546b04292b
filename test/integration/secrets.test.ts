import { randomBytes } from 'node:crypto';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { listSpans } from '../../src/phoenix/storedSpans.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { ACCESS_FILES } from '../../src/settings.js';
import { type AlertReceiver, receivedOf, startAlertReceiver } from '../support/alertReceiver.js';
import { CodecServerProcess } from '../support/codecServer.js';
import { cvopsWith, freshTenant } from '../support/cvops.js';
import { EchoServer } from '../support/echoServer.js';
import { historiesOf, payloadsIn } from '../support/historyBytes.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { testsToken, tokenOf } from '../support/principals.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const FRAMES = 'video_colpali_smol500_mv_frame';
const plant = (what: string) => `planted-${what}-${randomBytes(9).toString('base64url')}`;
/** Told to the product where secrets belong: by reference, or where a library reads it. */
const byReference = {
  ENCODER: plant('encoder'),
  LLM: plant('llm'),
  WEBHOOK: plant('webhook'),
  ALERTS: plant('alerts'),
  AWS: plant('aws'),
  VESPA: plant('vespa'),
  CODEC: plant('codec'),
};
/** Under which all that is sent to Temporal is encrypted. */
const payloadKey = randomBytes(32).toString('base64');
/** Given by mistake where they do not belong, or said by somebody else. */
const misplaced = {
  config: plant('config'),
  url: plant('url'),
  source: plant('source'),
  server: `sk-${plant('server')}`,
};

/** The installation's own credentials, by what they are; they were made before the test. */
const own: Record<string, string> = {};

const tenant = freshTenant('secrets');
/** Everything that a command printed. */
const printed: string[] = [];
const logs: string[] = [];
let echo: EchoServer;
let receiver: AlertReceiver;
let workers: OwnWorkers;
let codec: CodecServerProcess;
let env: Record<string, string>;
let folder: string;
let pool: Pool;

const run = async (...args: string[]) => {
  const done = await cvopsWith(env, ...args, '-o', 'json');
  printed.push(done.stdout, done.stderr);
  return done;
};

beforeAll(async () => {
  [echo, receiver, workers, folder] = await Promise.all([
    EchoServer.start(misplaced.server),
    startAlertReceiver(byReference.ALERTS),
    OwnWorkers.open('secrets'),
    temporaryFolder(),
  ]);
  Object.assign(own, await ownCredentials());
  const url = `http://127.0.0.1:${echo.port}`;
  await writeFile(path.join(folder, 'webhook-secret'), byReference.WEBHOOK);
  env = {
    ...workers.environment,
    PLANTED_ENCODER: byReference.ENCODER,
    ENCODER_URL: url,
    ENCODER_MODEL: 'm',
    ENCODER_TOKEN_REF: 'env:PLANTED_ENCODER',
    PLANTED_LLM: byReference.LLM,
    CVOPS_NOTICE_WEBHOOK: url,
    CVOPS_NOTICE_WEBHOOK_SECRET: `file:${path.join(folder, 'webhook-secret')}`,
    CVOPS_ALERT_WEBHOOK: receiver.url.href,
    CVOPS_ALERT_WEBHOOK_SECRET: 'env:PLANTED_ALERTS',
    PLANTED_ALERTS: byReference.ALERTS,
    CVOPS_ALLOWED_PRIVATE_HOSTS: '127.0.0.1',
    ...inject('s3'),
    AWS_SECRET_ACCESS_KEY: byReference.AWS,
    VESPA_TOKEN_REF: 'env:PLANTED_VESPA',
    PLANTED_VESPA: byReference.VESPA,
    CVOPS_PAYLOAD_KEYS: 'env:PLANTED_KEYS',
    PLANTED_KEYS: `planted:${payloadKey}`,
    CVOPS_CODEC_TOKEN: 'env:PLANTED_CODEC',
    PLANTED_CODEC: byReference.CODEC,
    CVOPS_BACKUP_STORE: path.join(folder, 'backups'),
    CVOPS_TRACE_OPERATIONS: 'on',
    LOG_LEVEL: 'debug',
  };
  for (const child of await Promise.all([workers.start('control', env), workers.start('data', env)]))
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text: string) => logs.push(text));
  codec = await CodecServerProcess.start(env);
  pool = openPool(inject('stack').addresses.databaseUrl, { name: 'secrets', max: 2 });
});
afterAll(async () => {
  await workers.close();
  await codec.stop();
  await echo.stop();
  await receiver.stop();
  await pool.end();
  await rm(folder, { recursive: true });
});

test('planted secrets are found nowhere', async () => {
  const created = await run('tenant', 'create', tenant, '--template', 'startup', '--profiles', FRAMES);
  expect(created.code).toBe(0);
  await makeVideo(path.join(folder, 'v.mp4'), { colours: ['red'], seconds: 1 });

  // Where a secret does not belong it is refused, and not repeated.
  const set = (edit: string) => run('config', 'set', tenant, '--set', edit);
  const { config, url, source } = misplaced;
  const refusals = await Promise.all([
    set(`llm_api_key=${config}`),
    set(`llm_base_url=https://user:${url}@llm.example/v1`),
    run(
      'config',
      'set',
      tenant,
      '--routing',
      '--json',
      JSON.stringify({ strategy_tokens: { gliner: config } }),
    ),
    run('ingest', tenant, `s3://KEY:${source}@bucket/x`, '--profile', FRAMES),
    run('watch', 'add', tenant, `s3://KEY:${source}@bucket/x`, '--profile', FRAMES),
    run('memory', 'import', tenant, `https://KEY:${source}@host/x`),
  ]);
  expect(refusals.map(({ code }) => code)).toEqual(refusals.map(() => 2));

  // Used as meant, by servers that refuse and repeat them.
  const llm = `llm_base_url=http://127.0.0.1:${echo.port}/v1`;
  const configured = await run('config', 'set', tenant, '--set', llm, '--set', 'llm_api_key=env:PLANTED_LLM');
  expect(configured.code).toBe(0);
  const ingested = run('ingest', tenant, folder, '--profile', FRAMES);
  const uses = await Promise.all([
    ingested,
    run('search', tenant, 'red', '--profile', FRAMES),
    run('memory', 'add', tenant, 'I like red', '--user', 'ann', '--infer'),
    run('ingest', tenant, 's3://nobodys-bucket/x/', '--profile', FRAMES),
    run('optimize', 'enable', tenant),
    run('backup', 'create', tenant),
  ]);
  expect(uses.map(({ code }) => code)).toEqual([3, 1, 1, 5, 0, 0]);
  await ownRefused();
  const { operation } = JSON.parse((await ingested).stdout) as { operation: string };
  const shown = await run('op', 'show', operation);
  expect(shown.stdout).toMatch(/answers 400: .*\*\*\*/);
  // What failed is an alert, and told with a signature.
  expect((await run('health', tenant)).code).not.toBe(1);
  const told = async () =>
    (
      await Promise.all([receiver.url.href, inject('alertReceiver')].map((url) => receivedOf(url, tenant)))
    ).flat();
  await expect
    .poll(told)
    .toContainEqual(expect.objectContaining({ event: 'alert-opened', check: 'operations', signed: true }));
  expect((await run('tenant', 'deactivate', tenant, '--retention-days', '1')).code).toBe(0);
  const sent = echo.heard.map(({ authorization }) => authorization);
  expect(sent).toEqual(
    expect.arrayContaining(
      [byReference.ENCODER, byReference.LLM, byReference.VESPA].map((secret) => `Bearer ${secret}`),
    ),
  );
  const certificate = path.join(folder, 'certificate.json');
  const deletion = ['--hard', '--confirm', tenant, '--second-look', '1', '--certificate', certificate];
  // Phoenix forgets the tenant with it, so its spans are looked at before.
  const spans = await spansOf();
  expect((await run('tenant', 'delete', tenant, ...deletion)).code).toBe(0);
  await Promise.all([
    run('audit', 'list', '--tenant', tenant),
    run('op', 'list', '--tenant', tenant),
    run('status'),
  ]);

  const connection = await Connection.connect({ address: inject('stack').addresses.temporalAddress });
  const histories = await historiesOf(new Client({ connection, namespace: workers.namespace }));
  await connection.close();
  const places: Record<string, string | Buffer> = {
    output: printed.join('\n'),
    logs: logs.join(''),
    posts: receiver.posts.join('\n'),
    spans,
    certificate: await readFile(certificate),
    ...(await registry()),
    ...(await backups()),
    codec: codec.said.padEnd(200),
    refusal: (await (await codec.decode([], payloadKey)).text()).padEnd(200),
  };
  // As they are stored, and what the encrypted payloads in them say.
  let readable = 0;
  for (const [id, { bytes, history }] of histories) {
    const texts = (await codec.textsOf(payloadsIn(history), byReference.CODEC)).join('\n');
    if (texts.includes(tenant)) readable++;
    places[id] = Buffer.concat([bytes, Buffer.from(texts)]);
  }
  expect(readable).toBeGreaterThan(5);
  for (const [place, content] of Object.entries(places)) {
    expect(content.length, place).toBeGreaterThan(100);
    for (const [what, secret] of Object.entries({ ...byReference, ...misplaced, ...own, payloadKey }))
      expect(content.includes(secret), `${what} in ${place}`).toBe(false);
  }
});

async function ownCredentials(): Promise<Record<string, string>> {
  const { home, addresses } = inject('stack');
  const read = (file: string) => readFile(file, 'utf8');
  const key = (name: string) => path.join(home, 'keys', name);
  const seedOf = async (file: string) => (await read(file)).trim().split('.').at(-1)!;
  const [token, system, signing, certificates] = await Promise.all([
    seedOf(testsToken(home)),
    seedOf(key(ACCESS_FILES.system)),
    read(key(ACCESS_FILES.signingKey)),
    read(key('certificate-key.pem')),
  ]);
  const found = {
    ...{ token, system, signing: (JSON.parse(signing) as { d: string }).d },
    certificates: certificates.split('\n')[1]!,
    database: new URL(addresses.databaseUrl).password,
  };
  for (const [what, secret] of Object.entries(found)) expect(secret.length, what).toBeGreaterThan(15);
  return found;
}

/** Where the installation's own credentials are refused, or cannot be used. */
async function ownRefused(): Promise<void> {
  const { home, addresses } = inject('stack');
  const [jwt] = (await tokenOf(home, { role: 'admin' })).split(/\.(?=[^.]*$)/);
  const nobodyThere = Object.assign(new URL(addresses.databaseUrl), { port: '1' }).href;
  const wrong = Object.assign(new URL(addresses.databaseUrl), { pathname: '/nothing_of_this_name' }).href;
  const refused = await Promise.all(
    [
      { CVOPS_TOKEN: `${jwt}.${own['token']}` },
      { CVOPS_TOKEN: `${own['token']}` },
      { DATABASE_URL: nobodyThere },
      { DATABASE_URL: wrong },
      { VESPA_URL: `http://127.0.0.1:${echo.port}` },
    ].map(async (more) => {
      const args = ['search', tenant, 'red', '--profile', FRAMES, '--ranking', 'bm25_only', '-o', 'json'];
      const { code, stdout, stderr } = await cvopsWith({ ...env, ...more }, ...args);
      printed.push(stdout, stderr);
      return code;
    }),
  );
  expect(refused).toEqual([4, 4, 1, 1, 1]);
}

async function spansOf(): Promise<string> {
  const phoenix = new PhoenixClient(inject('stack').addresses.phoenixUrl);
  const project = phoenixProjectName(parseTenantId(tenant));
  const names = async () => (await listSpans(phoenix, project, 1000))?.map(({ name }) => name) ?? [];
  await expect
    .poll(names, { timeout: 60_000 })
    .toEqual(
      expect.arrayContaining(['search_service.search', expect.stringMatching(/^RunWorkflow:ingestVideos/)]),
    );
  return JSON.stringify(await listSpans(phoenix, project, 1000));
}

/** Whole tables, whosever rows. */
async function registry(): Promise<Record<string, string>> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`,
  );
  const found: Record<string, string> = {};
  for (const { name } of tables) {
    const { rows } = await pool.query(`select to_jsonb(t) as row from ${name} t`);
    if (rows.length > 0) found[`table ${name}`] = JSON.stringify(rows).padEnd(200);
  }
  return found;
}

/** Every file of the backups, decompressed. */
async function backups(): Promise<Record<string, Buffer>> {
  const store = path.join(folder, 'backups');
  const files = await readdir(store, { recursive: true, withFileTypes: true });
  const found: Record<string, Buffer> = {};
  for (const file of files.filter((entry) => entry.isFile())) {
    const at = path.join(file.parentPath, file.name);
    const bytes = await readFile(at);
    found[at] = Buffer.concat([
      file.name.endsWith('.zst') ? zstdDecompressSync(bytes) : bytes,
      Buffer.alloc(200),
    ]);
  }
  expect(Object.keys(found).length).toBeGreaterThan(3);
  return found;
}
