import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CreateBucketCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { toOpsError } from '../../src/client/failures.js';
import { CvopsClient } from '../../src/client/index.js';
import { parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../../src/domain/naming.js';
import { parseWatchName } from '../../src/domain/watches.js';
import { writeMemoryFile } from '../../src/memory/file/write.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { getTenant } from '../../src/registry/tenants.js';
import { s3Client } from '../../src/sources/s3/client.js';
import { cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { credentialOf, temporalAs, tokenOf } from '../support/principals.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const BUCKET = 'places';
const LONG_AGO = new Date('2026-01-01T00:00:00Z');

const mine = parseTenantId(freshTenant('mine'));
/** Begins with the other's whole id. */
const theirs = parseTenantId(`${mine}_too`);
const subject = `operator of ${mine}`;

interface Ingested {
  readonly operation: string;
  readonly videos: { stored: number; unchanged: number; failed: number };
  readonly failures: { video: string; reason: string }[];
}

let pool: Pool;
let admin: CvopsClient;
let asOperator: CvopsClient;
let temporal: Client;
let s3: S3Client;
let clip: string;
/** The variables of the operator's commands. */
let operator: Readonly<Record<string, string>>;

const places = () => inject('sourcePlaces').split(',');
const at = (...names: string[]) => path.join(inject('stack').home, 'places', ...names);
async function put(file: string, body?: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  if (body === undefined) await copyFile(clip, file);
  else await writeFile(file, body);
  await utimes(file, LONG_AGO, LONG_AGO);
}

beforeAll(async () => {
  const settings = stackSettings();
  const { home } = inject('stack');
  pool = openPool(settings.databaseUrl, { max: 2, name: 'tests' });
  admin = await CvopsClient.connect(settings);
  const bearer = { role: 'operator', tenant: mine, subject } as const;
  const its = { ...settings, ...(await credentialOf(home, bearer)), sourcePlaces: places() };
  [temporal, asOperator] = await Promise.all([temporalAs(its), CvopsClient.connect(its)]);
  operator = { CVOPS_TOKEN: await tokenOf(home, bearer), CVOPS_SOURCE_PLACES: inject('sourcePlaces') };
  const request = { template: 'startup', overrides: {}, profiles: [PROFILE] as const, reason: '' };
  clip = await makeVideo(path.join(await temporaryFolder(), 'clip.mp4'), { seconds: 1 });
  await Promise.all(
    [mine, theirs].map(async (tenant) => (await admin.createTenant({ ...request, tenant })).result()),
  );

  await put(at(mine, 'day', 'a.mp4'));
  await put(at(mine, 'day', 'a.vtt'), 'WEBVTT\n\n00:00.000 --> 00:01.000\nquagga at dawn\n');
  await put(at(theirs, 'secret.mp4'));
  await symlink(at(theirs), at(mine, 'out'));
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'tests');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'tests');
  s3 = s3Client({ s3Endpoint: inject('s3')['AWS_ENDPOINT_URL_S3']! });
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  for (const Key of [`${mine}/day/b.mp4`, `${theirs}/secret.mp4`])
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: await readFile(clip) }));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  s3?.destroy();
  await temporal?.connection.close();
  await asOperator?.close();
  await admin?.close();
  await pool?.end();
});

const ingest = (place: readonly string[], exitCode = 0, env = operator) =>
  cvopsJson<Ingested>(['ingest', mine, ...place, '--profile', PROFILE], exitCode, env);
const refused = async (args: readonly string[], env = operator) => {
  const result = await cvopsWith(env, ...args, '-o', 'json');
  expect([args, result.code, errorOf(result).code]).toEqual([args, 4, 'PermissionDenied']);
  return errorOf(result);
};
const denials = async (where: string, value: string) => {
  const { rows } = await pool.query<{ principal: string; tenant: string }>(
    `select principal, tenant from audit_log where outcome = 'denied' and ${where} = $1`,
    [value],
  );
  return rows;
};
/** Everything that a tenant has of videos, by the registry. */
const videos = async (tenant: string) => {
  const { rows } = await pool.query<{ path: string }>(
    'select path from videos join tenants using (incarnation) where tenant = $1 order by path',
    [tenant],
  );
  return rows.map((row) => row.path);
};

describe.concurrent('an operator', () => {
  test('has what is in its places ingested: a folder with side-cars, a list, objects', async () => {
    expect((await ingest([at(mine, 'day')])).videos).toEqual({ stored: 1, unchanged: 0, failed: 0 });
    await put(at(mine, 'new.txt'), 'day/a.mp4\n');
    expect((await ingest(['--list', at(mine, 'new.txt')])).videos).toMatchObject({ stored: 1 });
    expect((await ingest([`s3://${BUCKET}/${mine}/`])).videos).toEqual({
      ...{ stored: 1, unchanged: 0, failed: 0 },
    });
    expect(await videos(mine)).toEqual(
      expect.arrayContaining(['a.mp4', 'day/a.mp4', `s3://${BUCKET}/${mine}/day/b.mp4`]),
    );
    const search = ['search', mine, 'quagga', '--profile', PROFILE, '--ranking', 'bm25_only'];
    const { hits } = await cvopsJson<{ hits: unknown[] }>(search, 0, operator);
    expect(hits.length).toBeGreaterThan(0);
    expect((await ingest([at(mine, 'day'), '--changed'])).videos).toMatchObject({ stored: 0, unchanged: 0 });
    expect(await ingest([at(mine, 'day'), '--dry-run'])).toMatchObject({ videos: 1 });
  });

  test('is refused every other place at once, and each try is told', async () => {
    const { home } = inject('stack');
    const asked = { role: 'operator', tenant: mine, subject: `another operator of ${mine}` } as const;
    const client = await CvopsClient.connect({
      ...stackSettings(),
      ...(await credentialOf(home, asked)),
      sourcePlaces: places(),
    });
    const elsewhere = [
      ...[at(theirs), at(), `${at(mine)}/../${theirs}`, '/etc', `list:${at(theirs, 'list.txt')}`],
      ...[`s3://${BUCKET}/${theirs}/`, `s3://${BUCKET}/${mine}`, `s3://${BUCKET}/`],
    ];
    const request = { tenant: mine, profile: PROFILE, concurrency: 1, reason: '' } as const;
    const watch = { ...request, source: at(theirs), times: { everySeconds: 3600 }, settleSeconds: 0 };
    const tries = [
      ...elsewhere.map((source) => client.ingest.start({ ...request, source })),
      client.ingest.plan({ ...request, source: at(theirs) }),
      client.watches.add(watch),
      client.memory.import(mine, at(theirs, 'memories.jsonl'), ''),
      client.memory.planImport(mine, '/etc/passwd'),
    ];
    const outcomes = await Promise.allSettled<unknown>(tries);
    await client.close();
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { type: 'PermissionDenied' } });
    const told = await denials('principal', asked.subject);
    expect(told).toEqual(tries.map(() => ({ principal: asked.subject, tenant: mine })));

    const { hint } = await refused(['ingest', mine, at(theirs), '--profile', PROFILE]);
    expect(hint).toContain(`${at(mine)}/ or s3://${BUCKET}/${mine}/`);
  });

  test('is refused all of them where no place is set', async () => {
    const { hint } = await refused(['ingest', mine, at(mine, 'day'), '--profile', PROFILE], {
      ...operator,
      CVOPS_SOURCE_PLACES: '',
    });
    expect(hint).toContain('CVOPS_SOURCE_PLACES');
  });

  test('follows no link out of them: neither as a source nor in a list', async () => {
    await refused(['ingest', mine, at(mine, 'out'), '--profile', PROFILE]);
    expect(await denials(`detail->>'activity'`, 'listVideos')).toContainEqual({
      ...{ principal: subject, tenant: mine },
    });
    await put(at(mine, 'all.txt'), `day/a.mp4\n${at(theirs, 'secret.mp4')}\n`);
    await refused(['ingest', mine, '--list', at(mine, 'all.txt'), '--profile', PROFILE]);
    await put(at(mine, 'linked.txt'), 'out/secret.mp4\n');
    const { failures } = await ingest(['--list', at(mine, 'linked.txt')], 3);
    expect(failures).toMatchObject([
      { video: 'out/secret.mp4', reason: expect.stringContaining('leads out of the places') },
    ]);
    expect((await videos(mine)).filter((name) => name.includes('secret'))).toEqual([]);
  });

  test('takes up what an administrator began only where it might have begun it', async () => {
    const elsewhere = await temporaryFolder();
    await put(path.join(elsewhere, 'broken.mp4'), 'no video');
    const request = { tenant: mine, concurrency: 1, reason: '' } as const;
    const begun = await admin.ingest.start({ ...request, profile: PROFILE, source: elsewhere });
    expect(await begun.result()).toMatchObject({ videos: { failed: 1 } });
    await put(path.join(elsewhere, 'broken.mp4'));
    const { operation } = begun;
    await refused(['ingest', mine, '--retry-failed', operation]);
    // Named with a place of its own instead, the items are held against that.
    const forged = parseOperationId(randomUUID());
    const handle = await start(forged, { from: { operation, items: 'failed' }, source: at(mine, 'day') });
    expect(await handle.result()).toMatchObject({ videos: { stored: 0, failed: 1 } });
    const again = await admin.ingest.again({ ...request, items: 'failed', operation });
    expect(await again.result()).toMatchObject({ videos: { stored: 1 } });
  });

  test('imports memories from its places', async () => {
    const file = at(mine, 'memories.jsonl');
    await put(file, '');
    await writeMemoryFile(file, mine, (async function* () {})());
    expect(await asOperator.memory.planImport(mine, file)).toEqual({ memories: 0 });
    expect(await cvopsJson(['memory', 'import', mine, file], 0, operator)).toMatchObject({ memories: 0 });
    await writeMemoryFile(at(theirs, 'memories.jsonl'), theirs, (async function* () {})());
    await refused(['memory', 'import', mine, at(mine, 'out', 'memories.jsonl')]);
  });

  test('watches its places; one that an administrator watches is read by the administrator’s right', async () => {
    const add = (client: CvopsClient, name: string, source: string) =>
      client.watches.add({
        ...{ tenant: mine, name: parseWatchName(name), source, profile: PROFILE, settleSeconds: 30 },
        ...{ times: { everySeconds: 2_592_000 }, concurrency: 1, reason: '' },
      });
    const run = async (name: string) =>
      (await asOperator.watches.run(mine, parseWatchName(name), '')).result();
    await put(at(mine, 'inbox', 'c.mp4'));
    const elsewhere = await temporaryFolder();
    await put(path.join(elsewhere, 'd.mp4'));
    await Promise.all([add(asOperator, 'own', at(mine, 'inbox')), add(admin, 'given', elsewhere)]);
    const rounds = await Promise.all([run('own'), run('given')]);
    for (const round of rounds)
      expect(round).toMatchObject({ outcome: 'ingested', videos: { stored: 1, failed: 0 } });
    for (const name of ['own', 'given']) await admin.watches.remove(mine, parseWatchName(name), '');
  });
});

/** Starts an ingest with the operator's credential, past the client. */
function start(operation: ReturnType<typeof parseOperationId>, more: object) {
  return temporal.workflow.start('ingestVideos', {
    ...{ workflowId: workflowIds.ingest(mine, operation), taskQueue: TASK_QUEUES.control },
    args: [
      {
        ...{ tenant: mine, operation, profile: PROFILE, concurrency: 1, principal: subject, reason: '' },
        ...more,
      },
    ],
  });
}

describe('past the client, straight to Temporal', () => {
  test('an operator’s start is held to its places by the workers, whatever its input says', async () => {
    const begun = (type: string, workflowId: string, input: object) =>
      temporal.workflow.start(type, { workflowId, taskQueue: TASK_QUEUES.control, args: [input] });
    const { incarnation } = await getTenant(pool, mine);
    const sources = [at(theirs), '/etc', `list:${at(theirs, 'x')}`, `s3://${BUCKET}/${theirs}/`];
    const operation = parseOperationId(randomUUID());
    const handles = await Promise.all([
      ...sources.map((source) => start(parseOperationId(randomUUID()), { source })),
      begun('watchVideos', `tenant/${mine}/watch/forged`, {
        ...{ version: 1, tenant: mine, incarnation, name: 'forged', source: at(theirs), profile: PROFILE },
        ...{ concurrency: 1, settleSeconds: 0, every: '1h' },
      }),
      begun('importMemory', workflowIds.importMemory(mine, operation), {
        ...{ tenant: mine, operation, principal: subject, principalTenant: mine, reason: '' },
        file: at(theirs, 'secret.mp4'),
      }),
    ]);
    await Promise.all(
      handles.map(async (handle) => {
        const failure = await handle.result().catch((error: unknown) => toOpsError(error));
        expect(failure).toMatchObject({ type: 'PermissionDenied' });
        expect(await denials(`detail->>'workflowId'`, handle.workflowId)).toEqual([
          { principal: subject, tenant: mine },
        ]);
      }),
    );
    expect((await videos(mine)).filter((name) => name.includes('secret'))).toEqual([]);
  });
});
