import { copyFile, readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import type { WatchRequest } from '../../src/client/watches.js';
import type { WatchVideosResult } from '../../src/contracts/watches.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, scheduleIds, workflowIds } from '../../src/domain/naming.js';
import { parseWatchName } from '../../src/domain/watches.js';
import { listAudit } from '../../src/registry/audit.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { listOperations } from '../../src/registry/operations.js';
import { s3Client } from '../../src/sources/s3/client.js';
import { cvops, cvopsJson, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { temporalAs } from '../support/principals.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const LONG_AGO = new Date('2026-01-01T00:00:00Z');

const tenant = parseTenantId(freshTenant('watched'));
const name = parseWatchName('inbox');
let folder: string;
let clips: { short: string; long: string };
let pool: Pool;
let temporal: Client;
let client: CvopsClient;
beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { max: 2, name: 'tests' });
  temporal = await temporalAs(settings);
  client = await CvopsClient.connect(settings);
  folder = await temporaryFolder();
  const made = await temporaryFolder();
  const [short, long] = await Promise.all([
    makeVideo(path.join(made, 'short.mp4'), { seconds: 1 }),
    makeVideo(path.join(made, 'long.mp4'), { seconds: 2 }),
    client
      .createTenant({ tenant, template: 'trial', overrides: {}, profiles: [PROFILE], reason: '' })
      .then((handle) => handle.result()),
  ]);
  clips = { short, long };
});
afterAll(async () => {
  await client?.close();
  await temporal?.connection.close();
  await pool?.end();
});

/** Puts a file there that nobody has written to for long. */
async function put(file: string, from: string): Promise<void> {
  await copyFile(from, path.join(folder, file));
  await utimes(path.join(folder, file), LONG_AGO, LONG_AGO);
}
const round = async (of = name): Promise<WatchVideosResult> =>
  (await client.watches.run(tenant, of, '')).result();
const only = async () => (await client.watches.list(tenant))[0]!;
const ingests = async () =>
  (await listOperations(pool, { tenant, limit: 100 })).filter(({ kind }) => kind === 'ingestVideos');
const schedule = () => temporal.schedule.getHandle(scheduleIds.watch(tenant, name));

describe('a watch', () => {
  const request = (everySeconds: number): WatchRequest => ({
    ...{ tenant, name, source: folder, profile: PROFILE, times: { everySeconds } },
    ...{ concurrency: 2, settleSeconds: 30, reason: 'they upload here' },
  });

  test('looks by itself, and ingests what is there as an operation of its own', async () => {
    await put('a.mp4', clips.short);
    expect(await client.watches.plan(request(1))).toMatchObject({ did: 'made' });
    expect(await client.watches.list(tenant)).toEqual([]);
    expect(await client.watches.add(request(1))).toMatchObject({ did: 'made', source: folder, every: '1s' });
    // Asked of the registry: by the time of a look at the schedule a later round may have found nothing more.
    await expect.poll(async () => (await ingests())[0]?.state).toBe('completed');
    // From here on only by hand: what it does is counted.
    expect(await client.watches.add(request(6 * 3600))).toMatchObject({ did: 'updated', every: '6h' });
    expect(await ingests()).toMatchObject([
      {
        ...{ principal: 'schedule:inbox', reason: 'watch inbox: new or changed videos' },
        counts: { stored: 1, unchanged: 0, failed: 0 },
      },
    ]);
    const { next } = await only();
    expect(Date.parse(next!)).toBeLessThanOrEqual(Date.now() + 6 * 3600_000 + 300_000);
    await expect.poll(async () => (await schedule().describe()).info.runningActions).toEqual([]);
  });

  test('makes no operation when nothing changed, and one of what is new or changed', async () => {
    const before = (await ingests()).length;
    expect(await round()).toEqual({ outcome: 'unchanged', changed: 0 });
    expect((await only()).last).toEqual({ state: 'unchanged', at: expect.any(String) as string });
    expect(await ingests()).toHaveLength(before);

    await put('b.mp4', clips.short);
    await put('a.mp4', clips.long);
    const found = await round();
    expect(found).toMatchObject({ changed: 2, videos: { stored: 2, unchanged: 0, failed: 0 } });
    expect((await only()).last).toMatchObject({ state: 'completed', operation: found.operation });
    // Written anew, and the same: looked into once, and known by its new looks from then on.
    await utimes(path.join(folder, 'b.mp4'), new Date('2026-02-02'), new Date('2026-02-02'));
    expect(await round()).toMatchObject({ changed: 1, videos: { stored: 0, unchanged: 1, failed: 0 } });
    expect(await round()).toMatchObject({ outcome: 'unchanged' });
    expect(await ingests()).toHaveLength(before + 2);
    const { rows } = await pool.query<{ documents: number }>(
      `select documents from videos join tenants using (incarnation) where tenant = $1 order by path`,
      [tenant],
    );
    expect(rows.map((row) => row.documents)).toEqual([2, 1]);
  });

  test('leaves what is still being written, and tries what was refused only when it changed', async () => {
    await copyFile(clips.short, path.join(folder, 'fresh.mp4'));
    expect(await round()).toMatchObject({ outcome: 'unchanged' });
    await writeFile(path.join(folder, 'fresh.mp4'), 'no video');
    await utimes(path.join(folder, 'fresh.mp4'), LONG_AGO, LONG_AGO);
    const failed = await cvopsJson<WatchVideosResult>(['watch', 'run', tenant, name], 3);
    expect(failed).toMatchObject({ changed: 1, videos: { stored: 0, unchanged: 0, failed: 1 } });
    expect(await round()).toMatchObject({ outcome: 'unchanged' });
    await put('fresh.mp4', clips.short);
    expect(await round()).toMatchObject({ changed: 1, videos: { stored: 1, unchanged: 0, failed: 0 } });
  });

  test('never has an ingest in the next life of its tenant', async () => {
    const operation = parseOperationId('6f0c0e0e-7d5c-4b07-9f0e-1d2b3c4d5e6f');
    const ingest = temporal.workflow.execute('ingestVideos', {
      ...{ workflowId: workflowIds.ingest(tenant, operation), taskQueue: TASK_QUEUES.control },
      args: [
        {
          ...{
            tenant,
            operation,
            profile: PROFILE,
            source: folder,
            concurrency: 1,
            principal: 'tests',
          },
          ...{ reason: '', onlyChanged: true, incarnation: parseIncarnation(operation) },
        },
      ],
    });
    await expect(ingest).rejects.toMatchObject({ cause: { type: 'WrongState' } });
    expect((await ingests()).map((row) => row.operation)).not.toContain(operation);
  });

  test('is paused by a person, and by a deactivation, in which a round does nothing and says why', async () => {
    await client.watches.setPaused(tenant, name, true, 'no space');
    expect(await only()).toMatchObject({ paused: true, next: null, note: 'paused by tests: no space' });
    await client.watches.setPaused(tenant, name, false, '');
    expect(await only()).toMatchObject({ paused: false, next: expect.any(String) as string });

    await (await client.life.deactivate({ tenant, retentionDays: 1, running: 'drain', reason: '' })).result();
    expect(await only()).toMatchObject({ paused: true, note: 'the tenant is inactive' });
    await expect(round()).rejects.toMatchObject({ type: 'WrongState' });
    // Past the command, by the Temporal UI.
    await schedule().trigger();
    const why = `this life of tenant ${tenant} is inactive`;
    await expect.poll(async () => (await only()).last).toMatchObject({ state: 'skipped', why });
    await (await client.life.reactivate(tenant, '')).result();
    expect(await only()).toMatchObject({ paused: false });
  });
});

test('the command: add, list and remove, and what it refuses', async () => {
  const add = ['watch', 'add', tenant, folder, '--profile', PROFILE];
  const made = await cvopsJson<{ name: string }>([...add, '--cron', '0 3 * * 1-5', '--reason', 'nightly']);
  expect(made).toMatchObject({
    name: expect.stringMatching(/-colpali-[0-9a-f]{8}$/) as string,
    updated: false,
  });
  const { watches } = await cvopsJson<{ watches: object[] }>(['watch', 'list', tenant]);
  expect(watches).toContainEqual(
    expect.objectContaining({ tenant, name: made.name, source: folder, every: '0 3 * * 1-5', last: null }),
  );
  expect(await cvopsJson(['watch', 'remove', tenant, made.name])).toMatchObject({ removed: true });
  expect((await client.watches.list(tenant)).map((watch) => watch.name)).toEqual([name]);

  const [often, gone] = await Promise.all([
    cvops(...add, '--every', '1s', '-o', 'json'),
    cvops('watch', 'remove', tenant, made.name, '-o', 'json'),
  ]);
  expect([often.code, errorOf(often).code]).toEqual([2, 'InvalidInput']);
  expect([gone.code, errorOf(gone).code]).toEqual([5, 'NotFound']);

  const audited = await listAudit(pool, { tenant, limit: 100 });
  const verbs = new Set(audited.filter((row) => row.verb.startsWith('watch-')).map((row) => row.verb));
  expect(verbs).toEqual(new Set(['watch-add', 'watch-remove', 'watch-pause', 'watch-resume', 'watch-run']));
  expect(audited.find((row) => row.reason === 'nightly')).toMatchObject({
    verb: 'watch-add',
    principal: 'tests',
  });
});

test('a watch of an S3 prefix takes what is new and what changed there, and nothing beside it', async () => {
  for (const [variable, value] of Object.entries(inject('s3'))) vi.stubEnv(variable, value);
  const s3 = s3Client({ s3Endpoint: inject('s3')['AWS_ENDPOINT_URL_S3']! });
  onTestFinished(() => {
    s3.destroy();
    vi.unstubAllEnvs();
  });
  const Bucket = 'watched-films';
  const upload = async (Key: string, Body: Buffer | string) =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body }));
  await s3.send(new CreateBucketCommand({ Bucket }));
  const [short, long] = await Promise.all([readFile(clips.short), readFile(clips.long)]);
  for (const key of ['in/a.mp4', 'in/b.mp4', 'in/c.mp4', 'inner/other.mp4']) await upload(key, short);
  const bucket = parseWatchName('bucket');
  await client.watches.add({
    ...{ tenant, name: bucket, source: `s3://${Bucket}/in/`, profile: PROFILE },
    // Only by hand, but on one day of the year.
    ...{ times: { cron: '0 3 1 1 *' }, concurrency: 2, settleSeconds: 30, reason: '' },
  });
  expect(await round(bucket)).toMatchObject({ changed: 3, videos: { stored: 3, unchanged: 0, failed: 0 } });
  expect(await round(bucket)).toEqual({ outcome: 'unchanged', changed: 0 });

  await upload('in/a.mp4', long);
  await upload('in/b.vtt', 'WEBVTT\n\n00:00.000 --> 00:01.000\nzanzibar at dawn\n');
  await upload('in/day 2/new.mp4', short);
  const found = await round(bucket);
  expect(found).toMatchObject({ changed: 3, videos: { stored: 3, unchanged: 0, failed: 0 } });
  const { rows } = await pool.query<{ path: string }>(
    'select path from ingest_items where operation = $1 order by path',
    [found.operation],
  );
  const names = ['in/a.mp4', 'in/b.mp4', 'in/day 2/new.mp4'];
  expect(rows.map((row) => row.path)).toEqual(names.map((key) => `s3://${Bucket}/${key}`));
  expect(await round(bucket)).toEqual({ outcome: 'unchanged', changed: 0 });
});
