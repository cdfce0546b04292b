import { afterAll, beforeAll, expect, test } from 'vitest';
import { DocumentClient } from '../../src/vespa/documents.js';
import { cvops, cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
let documents: DocumentClient;
let before: string;
let after: string;

beforeAll(async () => {
  documents = new DocumentClient(stackSettings().vespaUrl);
  [before, after] = [await temporaryFolder(), await temporaryFolder()];
  await makeVideo(`${before}/early.mp4`, { seconds: 3 });
  await makeVideo(`${after}/late.mp4`, { seconds: 2 });
});
afterAll(() => documents?.close());

test('documents that vanished from Vespa fail the next run, which says how to get them back', async () => {
  const tenant = freshTenant('vanished');
  const ingest = (folder: string) => ['ingest', tenant, folder, '--profile', PROFILE];
  await cvopsJson(['tenant', 'create', tenant, '--template', 'enterprise', '--profiles', PROFILE]);
  await cvopsJson(ingest(before));
  await documents.remove({ namespace: 'content', schema: `${PROFILE}_${tenant}`, id: 'early_seg_1' });

  const failed = await cvops(...ingest(after), '-o', 'json');
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain(`Vespa holds 4 documents in ${PROFILE}_${tenant} where 5 were stored`);
  expect(failed.stderr).toContain('ingest the same source again');

  expect(await cvopsJson(ingest(before))).toMatchObject({
    videos: { stored: 1, unchanged: 0, failed: 0 },
    documents: 3,
  });
  expect(await cvopsJson(ingest(after))).toMatchObject({ videos: { stored: 0, unchanged: 1, failed: 0 } });
});
