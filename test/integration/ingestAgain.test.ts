import { copyFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { NO_LIMIT, cvops, cvopsJson, errorOf, freshTenant } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';

interface Ingested {
  readonly operation: string;
  readonly videos: { stored: number; unchanged: number; failed: number };
  readonly failures: { video: string; reason: string }[];
}
interface Progress {
  readonly phase: string;
  readonly concurrency: number;
  readonly total: number;
  readonly videos: { stored: number; unchanged: number; failed: number };
}

const [id, other] = [freshTenant('again'), freshTenant('other')];
let folder: string;
let clip: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  clip = await makeVideo(path.join(await temporaryFolder(), 'clip.mp4'), { seconds: 3 });
  await Promise.all(
    [id, other].map((tenant) =>
      cvopsJson(['tenant', 'create', tenant, '--template', 'trial', '--profiles', PROFILE, ...NO_LIMIT]),
    ),
  );
});

const refused = async (...args: string[]) => {
  const result = await cvops(...args, '-o', 'json');
  return { code: result.code, error: errorOf(result) };
};

describe('--retry-failed', () => {
  let first: Ingested;

  test('takes the failed videos of the last run, and only those', async () => {
    await copyFile(clip, path.join(folder, 'good.mp4'));
    await writeFile(path.join(folder, 'broken.mp4'), 'no video yet');
    first = await cvopsJson<Ingested>(['ingest', id, folder, '--profile', PROFILE], 3);
    expect(first.videos).toEqual({ stored: 1, unchanged: 0, failed: 1 });
    await copyFile(clip, path.join(folder, 'broken.mp4'));
    expect(await cvopsJson(['ingest', id, '--retry-failed', '--dry-run'])).toEqual({
      ...{ dryRun: true, tenant: id, operation: first.operation, source: folder, profile: PROFILE },
      ...{ items: 'failed', videos: 1 },
    });
    const again = await cvopsJson<Ingested>(['ingest', id, '--retry-failed']);
    expect(again.videos).toEqual({ stored: 1, unchanged: 0, failed: 0 });
    expect(again.operation).not.toBe(first.operation);
  });

  test('of a run by its id: what is stored meanwhile is unchanged', async () => {
    const again = await cvopsJson<Ingested>(['ingest', id, '--retry-failed', first.operation]);
    expect(again.videos).toEqual({ stored: 0, unchanged: 1, failed: 0 });
  });

  test('of another tenant’s run, or with a folder, or of nothing: refused by what is wrong', async () => {
    expect(await refused('ingest', other, '--retry-failed', first.operation)).toMatchObject({ code: 5 });
    expect(await refused('ingest', other, '--retry-failed')).toMatchObject({ code: 5 });
    expect(await refused('ingest', id, folder, '--retry-failed')).toMatchObject({ code: 2 });
    expect(await refused('ingest', id, '--resume', '--retry-failed')).toMatchObject({ code: 2 });
    expect(await refused('ingest', id)).toMatchObject({ code: 2 });
    expect(await refused('ingest', id, '--resume', first.operation)).toMatchObject({ code: 6 });
    const plan = (...args: string[]) => refused('ingest', ...args, '--dry-run');
    expect(await plan(other, '--retry-failed', first.operation)).toMatchObject({ code: 5 });
    expect(await plan(id, folder, '--retry-failed')).toMatchObject({ code: 2 });
    expect(await plan(id, '--resume', first.operation)).toMatchObject({ code: 6 });
    expect(await plan(id, '--retry-failed', '--concurrency', '1000')).toMatchObject({ code: 2 });
  });
});

describe('a run under way', () => {
  test('is paced, paused, gone on with, cancelled, and its rest is taken up by --resume', async () => {
    const many = await temporaryFolder();
    const count = 30;
    const first = await makeVideo(path.join(many, 'v0.mp4'), { seconds: 2 });
    for (let i = 1; i < count; i++) await copyFile(first, path.join(many, `v${i}.mp4`));
    // At a document a second they take a minute: no machine is so slow between two commands that none is left.
    await cvopsJson(['config', 'set', other, '--set', 'max_qps=1']);
    const { operation } = await cvopsJson<{ operation: string }>([
      ...['ingest', other, many, '--profile', PROFILE],
      ...['--concurrency', '1', '--no-wait'],
    ]);
    await expect
      .poll(async () => (await cvops('op', 'pause', operation, '-o', 'json')).code, { timeout: 60_000 })
      .toBe(0);
    const paced = await cvopsJson<Progress>(['op', 'concurrency', operation, '2']);
    expect(paced).toMatchObject({ concurrency: 2, phase: 'paused' });
    expect(await refused('op', 'concurrency', operation, '1000')).toMatchObject({ code: 2 });
    expect(await refused('op', 'concurrency', operation, '1000', '--dry-run')).toMatchObject({ code: 2 });
    const stands = { operation, phase: 'paused', concurrency: 2, total: count };
    for (const [verb, ...args] of [['pause'], ['resume'], ['concurrency', '3']] as const) {
      const change = verb === 'concurrency' ? { concurrency: 3 } : verb;
      expect(await cvopsJson(['op', verb, operation, ...args, '--dry-run'])).toMatchObject({
        ...{ dryRun: true, change, ...stands },
      });
    }
    const cancel = await cvopsJson<{ counts: { pending: number } }>(['op', 'cancel', operation, '--dry-run']);
    expect(cancel).toMatchObject({
      dryRun: true,
      operation,
      kind: 'ingestVideos',
      tenant: other,
      ended: false,
    });
    expect(cancel.counts.pending).toBeGreaterThan(0);
    // None of that was done: it is paused as before, and runs.
    expect(await cvopsJson<Progress>(['op', 'pause', operation])).toMatchObject(stands);
    const done = (p: Progress) => p.videos.stored + p.videos.failed;
    await expect
      .poll(async () => {
        const a = await cvopsJson<Progress>(['op', 'pause', operation]);
        const b = await cvopsJson<Progress>(['op', 'pause', operation]);
        return done(a) === done(b) && done(b) < count;
      })
      .toBe(true);
    expect(await cvopsJson<Progress>(['op', 'resume', operation])).toMatchObject({ phase: 'ingesting' });
    await cvopsJson(['op', 'cancel', operation]);
    await cvops('op', 'watch', operation);
    const shown = await cvopsJson<{ state: string; counts: { stored: number; pending: number } }>([
      ...['op', 'show', operation],
    ]);
    expect(shown.state).toBe('cancelled');
    expect(shown.counts.stored + shown.counts.pending).toBe(count);
    expect(shown.counts.pending).toBeGreaterThan(0);

    await cvopsJson(['config', 'set', other, '--set', 'max_qps=10000']);
    expect(await cvopsJson(['ingest', other, '--resume', '--dry-run'])).toMatchObject({
      ...{ dryRun: true, operation, items: 'pending', videos: shown.counts.pending },
    });
    const rest = await cvopsJson<Ingested>(['ingest', other, '--resume']);
    expect(rest.videos).toEqual({ stored: shown.counts.pending, unchanged: 0, failed: 0 });
    const all = await cvopsJson<Ingested>(['ingest', other, many, '--profile', PROFILE]);
    expect(all.videos).toEqual({ stored: 0, unchanged: count, failed: 0 });
    expect(await refused('op', 'pause', operation)).toMatchObject({ code: 6 });
    for (const verb of ['pause', 'cancel'])
      expect(await refused('op', verb, operation, '--dry-run')).toMatchObject({ code: 6 });
  });
});
