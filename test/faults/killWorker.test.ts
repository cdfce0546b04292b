import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { readRecords } from '../../src/embedded/records.js';
import { isRunning } from '../../src/embedded/processes.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { NO_LIMIT, cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const VIDEOS = 12;
let documents: DocumentClient;
let folder: string;

beforeAll(async () => {
  documents = new DocumentClient(stackSettings().vespaUrl);
  folder = await temporaryFolder();
  for (let i = 0; i < VIDEOS; i++) await makeVideo(`${folder}/clip${i}.mp4`, { seconds: 12 });
});
afterAll(() => documents?.close());

/** Every field of every document but those that say whose it is and when it was made. */
async function contentOf(tenant: string): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for (let video = 0; video < VIDEOS; video++) {
    for (let segment = 0; ; segment++) {
      const id = `clip${video}_seg_${segment}`;
      const fields = await documents.get({ namespace: 'content', schema: `${PROFILE}_${tenant}`, id });
      if (fields === undefined) break;
      const { tenant_id, incarnation, creation_timestamp, ...rest } = fields;
      expect([tenant_id, typeof incarnation, typeof creation_timestamp]).toEqual([
        tenant,
        'string',
        'number',
      ]);
      content.set(id, JSON.stringify(rest));
    }
  }
  return content;
}

async function ingestedTenant(disturb?: () => Promise<void>): Promise<string> {
  const tenant = freshTenant('killed');
  await cvopsJson(['tenant', 'create', tenant, '--template', 'trial', '--profiles', PROFILE, ...NO_LIMIT]);
  const running = cvopsJson<{ videos: object }>([
    'ingest',
    tenant,
    folder,
    '--profile',
    PROFILE,
    '--concurrency',
    '2',
  ]);
  await disturb?.();
  expect((await running).videos).toEqual({ stored: VIDEOS, unchanged: 0, failed: 0 });
  return tenant;
}

test('a data worker killed in mid-ingest and started again: the same documents as an undisturbed run', async () => {
  const calm = await contentOf(await ingestedTenant());
  expect(calm.size).toBe(VIDEOS * 12);
  let kills = 0;
  const disturbed = await contentOf(
    await ingestedTenant(async () => {
      for (let i = 0; i < 3; i++) {
        await delay(1200);
        const worker = readRecords(inject('stack').home)['worker-data'];
        if (worker && isRunning(worker.identity)) {
          process.kill(worker.identity.pid, 'SIGKILL');
          kills++;
        }
        await delay(2500);
      }
    }),
  );
  expect(kills).toBeGreaterThan(0);
  expect(disturbed).toEqual(calm);
});
