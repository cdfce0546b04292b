import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Pool, openPool } from '../../src/registry/database.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { getTenant } from '../../src/registry/tenants.js';
import { cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const [VIDEOS, SECONDS, MAX_QPS] = [8, 3, 5];

let pool: Pool;
beforeAll(() => {
  pool = openPool(stackSettings().databaseUrl, { name: 'tests' });
});
afterAll(() => pool?.end());

interface Ingested {
  readonly operation: string;
  readonly videos: { stored: number; unchanged: number; failed: number };
  readonly documents: number;
}

test('two runs of one tenant: its rate and its videos in work are kept in sum, and waiting fails no video', async () => {
  const tenant = freshTenant('limited');
  await cvopsJson([
    ...['tenant', 'create', tenant, '--template', 'trial', '--profiles', PROFILE],
    ...['--set', `max_qps=${MAX_QPS}`, '--set', 'max_concurrent_videos=1'],
  ]);
  const { incarnation } = await getTenant(pool, parseTenantId(tenant));
  const folders = await Promise.all([0, 1].map(() => temporaryFolder()));
  for (let i = 0; i < VIDEOS; i++)
    await makeVideo(path.join(folders[i % 2]!, `clip${i}.mp4`), { seconds: SECONDS });

  let most = 0;
  let done = false;
  const watched = (async () => {
    while (!done) {
      const { rows } = await pool.query<{ n: number }>(
        'select count(*) as n from ingest_slots where incarnation = $1 and expires_at > clock_timestamp()',
        [incarnation],
      );
      most = Math.max(most, rows[0]!.n);
      await delay(20);
    }
  })();
  const runs = await Promise.all(
    folders.map((folder) =>
      cvopsJson<Ingested>(['ingest', tenant, folder, '--profile', PROFILE, '--concurrency', '3']),
    ),
  ).finally(() => (done = true));
  await watched;

  const stored = runs.reduce((sum, { videos }) => sum + videos.stored, 0);
  const documents = runs.reduce((sum, run) => sum + run.documents, 0);
  expect(stored).toBe(VIDEOS);
  expect(documents).toBe(VIDEOS * SECONDS);
  expect(most).toBe(1);
  const { rows } = await pool.query<{ seconds: number; tries: number }>(
    `select extract(epoch from max(i.ended_at) - min(o.started_at))::float8 as seconds, max(i.tries) as tries
     from ingest_items i join operations o using (operation) where o.incarnation = $1`,
    [incarnation],
  );
  expect(rows[0]!.seconds).toBeGreaterThanOrEqual(documents / MAX_QPS - 1);
  expect(rows[0]!.tries).toBe(1);
});
