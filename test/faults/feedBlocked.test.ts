import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { DocumentClient } from '../../src/vespa/documents.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { CountingProxy } from '../support/countingProxy.js';
import { NO_LIMIT, cvopsJson, cvopsWith, freshTenant, stackSettings } from '../support/cvops.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const [VIDEOS, SECONDS] = [8, 3];
const FULL = 'external feed blocked: disk on node 0 [storage] is 0.82 full, limit 0.75';

interface Progress {
  readonly phase: string;
  readonly inFlight: number;
  readonly videos: { stored: number; failed: number };
  readonly blocked?: { why: string; retryInSeconds: number };
}

let proxy: CountingProxy;
let workers: OwnWorkers;
let folder: string;
beforeAll(async () => {
  proxy = new CountingProxy(stackSettings().vespaUrl);
  folder = await temporaryFolder();
  for (let i = 0; i < VIDEOS; i++)
    await makeVideo(path.join(folder, `v${i}.mp4`), { seconds: SECONDS, width: 64, height: 48, fps: 5 });
  workers = await OwnWorkers.open(freshTenant('full').replaceAll('_', '-'));
  await workers.start('control');
  await workers.start('data', { VESPA_URL: await proxy.listen() });
});
afterAll(async () => {
  await workers?.close();
  await proxy?.close();
});

test('a Vespa whose disk is full parks the run; room again, and every video is stored', async () => {
  const tenant = freshTenant('full');
  const args = ['tenant', 'create', tenant, '--template', 'trial', '--profiles', PROFILE];
  await cvopsJson([...args, ...NO_LIMIT]);
  let puts = 0;
  let full = true;
  proxy.refuse = (method) =>
    full && method === 'POST' && ++puts > 5 ? { status: 507, message: FULL } : undefined;

  const { environment } = workers;
  const { operation } = await cvopsJson<{ operation: string }>(
    ['ingest', tenant, folder, '--profile', PROFILE, '--concurrency', '3', '--no-wait'],
    0,
    environment,
  );
  const resume = () => cvopsJson<Progress>(['op', 'resume', operation], 0, environment);
  // Also before the first is blocked: resuming what goes on is no change.
  let parked: Progress | undefined;
  await expect
    .poll(async () => {
      const { code, stdout } = await cvopsWith(environment, 'op', 'resume', operation, '-o', 'json');
      if (code === 0) parked = JSON.parse(stdout) as Progress;
      return parked?.phase;
    })
    .toBe('feed_blocked');
  expect(parked?.blocked?.why).toContain(FULL);
  const refused = puts;
  // Asked each time: the waits have doubled to minutes by now.
  await expect
    .poll(async () => {
      expect((await resume()).videos.failed).toBe(0);
      return puts;
    })
    .toBeGreaterThan(refused);

  full = false;
  // Again and again: the video that was trying may have been refused just before.
  const ended = await vi.waitFor(
    async () => {
      await cvopsWith(environment, 'op', 'resume', operation, '-o', 'json');
      const shown = await cvopsJson<{ state: string; counts: object }>(['op', 'show', operation]);
      expect(shown.state).not.toBe('running');
      return shown;
    },
    { timeout: 60_000 },
  );
  expect(ended).toMatchObject({
    state: 'completed',
    counts: { stored: VIDEOS, failed: 0, documents: VIDEOS * SECONDS },
  });
  const documents = new DocumentClient(stackSettings().vespaUrl);
  try {
    expect(await documents.count(`${PROFILE}_${tenant}`, CONTENT_CLUSTER)).toBe(VIDEOS * SECONDS);
  } finally {
    await documents.close();
  }
});
