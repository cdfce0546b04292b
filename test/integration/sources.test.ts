import { copyFile, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { s3Client } from '../../src/sources/s3/client.js';
import { cvops, cvopsJson, errorOf, freshTenant } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const BUCKET = 'films';

interface Ingested {
  readonly videos: { stored: number; unchanged: number; failed: number };
  readonly failures: { video: string; reason: string }[];
}

const [id, other] = [freshTenant('sources'), freshTenant('lists')];
let s3: S3Client;
let clip: string;
beforeAll(async () => {
  for (const [name, value] of Object.entries(inject('s3'))) vi.stubEnv(name, value);
  s3 = s3Client({ s3Endpoint: inject('s3')['AWS_ENDPOINT_URL_S3']! });
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  clip = await makeVideo(path.join(await temporaryFolder(), 'clip.mp4'), { seconds: 2 });
  await Promise.all(
    [id, other].map((tenant) =>
      cvopsJson(['tenant', 'create', tenant, '--template', 'trial', '--profiles', PROFILE]),
    ),
  );
});
afterAll(() => {
  s3.destroy();
  vi.unstubAllEnvs();
});

const put = async (Key: string, Body: Buffer | string) =>
  s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body }));
const ingest = (tenant: string, place: readonly string[], exitCode = 0) =>
  cvopsJson<Ingested>(['ingest', tenant, ...place, '--profile', PROFILE], exitCode);

describe('an S3 prefix', () => {
  const from = `s3://${BUCKET}/day 1/`;

  test('is ingested whole, each object by what it is, and found again', async () => {
    const video = await readFile(clip);
    for (const key of ['day 1/a "b".mp4', 'day 1/🎬\n.MP4', 'day 2/other.mp4']) await put(key, video);
    await put('day 1/a "b".vtt', 'WEBVTT\n\n00:00.000 --> 00:02.000\nzanzibar at dawn\n');
    await put('day 1/broken.mp4', 'no video');
    const { videos, failures } = await ingest(id, [from], 3);
    expect(videos, JSON.stringify(failures)).toEqual({ stored: 2, unchanged: 0, failed: 1 });
    expect(failures).toEqual([
      { item: expect.any(Number), video: `${from}broken.mp4`, reason: expect.stringMatching(/^not a video/) },
    ]);
    const { hits } = await cvopsJson<{ hits: { video: string }[] }>([
      ...['search', id, 'zanzibar', '--profile', PROFILE, '--ranking', 'bm25_only', '--top-k', '1'],
    ]);
    expect(hits[0]?.video).toMatch(/^a_b-[0-9a-f]{12}$/);
  });

  test('with --changed only what is new, changed, or not stored', async () => {
    const dryRun = () => cvopsJson(['ingest', id, from, '--profile', PROFILE, '--changed', '--dry-run']);
    expect(await dryRun()).toMatchObject({ videos: 1 });
    await put('day 1/broken.mp4', await readFile(clip));
    await put('day 1/a "b".vtt', 'WEBVTT\n\n00:00.000 --> 00:02.000\nzanzibar at dusk\n');
    const changed = await ingest(id, [from, '--changed']);
    expect(changed.videos).toEqual({ stored: 2, unchanged: 0, failed: 0 });
    expect((await ingest(id, [from, '--changed'])).videos).toEqual({ stored: 0, unchanged: 0, failed: 0 });
    expect((await ingest(id, [from])).videos).toEqual({ stored: 0, unchanged: 3, failed: 0 });
  });

  test('is taken up again when an object failed because it was gone', async () => {
    await put('day 3/late.mp4', 'no video');
    expect((await ingest(id, [`s3://${BUCKET}/day 3/`], 3)).videos.failed).toBe(1);
    await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'day 3/late.mp4' }));
    const gone = await cvopsJson<Ingested>(['ingest', id, '--retry-failed'], 3);
    expect(gone.failures[0]?.reason).toBe('unreadable: no such object');
    await put('day 3/late.mp4', await readFile(clip));
    const late = await cvopsJson<Ingested>(['ingest', id, '--retry-failed']);
    expect(late.videos).toEqual({ stored: 1, unchanged: 0, failed: 0 });
  });

  test.each([
    [`s3://${BUCKET}/nothing/`, 2, 'InvalidInput'],
    ['s3://nobodys-bucket/x', 5, 'NotFound'],
    ['s3://No_Bucket/x', 2, 'InvalidInput'],
  ])('%s is refused', async (place, code, error) => {
    const result = await cvops('ingest', id, place, '--profile', PROFILE, '-o', 'json');
    expect([result.code, errorOf(result).code]).toEqual([code, error]);
  });
});

describe('a list file', () => {
  test('is ingested line by line; a line that names nothing fails alone; --changed looks at the files', async () => {
    const [folder, elsewhere] = [await temporaryFolder(), await temporaryFolder()];
    const away = path.join(elsewhere, 'away.mp4');
    await copyFile(clip, path.join(folder, 'here.mp4'));
    await copyFile(clip, away);
    const list = path.join(folder, 'videos.txt');
    await writeFile(list, `# two, and a mistake\nhere.mp4\n\n${away}\n./gone.mp4\n`);
    const { videos, failures } = await ingest(other, ['--list', list], 3);
    expect(videos).toEqual({ stored: 2, unchanged: 0, failed: 1 });
    expect(failures).toMatchObject([
      { video: 'gone.mp4', reason: expect.stringMatching(/^unreadable: no such file/) },
    ]);

    await writeFile(path.join(elsewhere, 'away.json'), '{"title": "Far away"}');
    expect((await ingest(other, ['--list', list, '--changed'], 3)).videos).toEqual({
      ...{ stored: 1, unchanged: 0, failed: 1 },
    });
    // The folder of the list names its own file the same: it is the same video.
    expect((await ingest(other, [folder, '--changed'])).videos).toEqual({
      stored: 0,
      unchanged: 0,
      failed: 0,
    });
    expect((await ingest(other, [folder])).videos).toEqual({ stored: 0, unchanged: 1, failed: 0 });
    for (const place of [[], [folder, '--list', list]])
      expect((await cvops('ingest', other, ...place, '--profile', PROFILE)).code).toBe(2);
  });
});
