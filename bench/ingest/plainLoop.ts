import { createHash } from 'node:crypto';
import { PixelEncoder } from '../../src/encoders/pixels/encoder.js';
import { videoId } from '../../src/domain/documents.js';
import { READY_LINE } from '../../src/embedded/services/worker.js';
import { type IngestResources, ingestVideo } from '../../src/ingest/ingestVideo.js';
import { TenantRates } from '../../src/limits/rate.js';
import { openPool } from '../../src/registry/database.js';
import { loadSettings } from '../../src/settings.js';
import { FolderReader } from '../../src/sources/folder.js';
import { ANYWHERE } from '../../src/sources/reach.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { type LoopAnswer, type LoopJob, PROFILE } from './shared.js';

/**
 * What one would write without Temporal, and what the peer of the durable ingest is: the same pipeline in a loop with a
 * fixed number in work. No ledger, no heartbeat, no retry, no pause; whoever kills it begins again.
 */
async function ingestAll(resources: IngestResources, job: LoopJob): Promise<LoopAnswer> {
  const { tenant, incarnation, schema, folder, concurrency } = job;
  const source = new FolderReader(folder, ANYWHERE);
  const listed: string[] = [];
  for await (const page of source.list({ fingerprints: false })) listed.push(...page.map(({ path }) => path));
  const timestamp = Date.now();
  const waiting = listed.values();
  let [videos, documents] = [0, 0];
  const lane = async () => {
    for (const path of waiting) {
      const video = videoId(path, createHash('sha256').update(path).digest('hex'));
      const life = { tenant, incarnation, profile: PROFILE, schema };
      const done = await ingestVideo(resources, { ...life, source, path, video, timestamp });
      videos++;
      documents += done.documents;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return { videos, documents };
}

const settings = loadSettings();
// As many connections as a worker has.
const pool = openPool(settings.databaseUrl, { name: 'cvops-bench-loop', max: 20 });
const resources: IngestResources = {
  pool,
  rates: new TenantRates(pool),
  documents: new DocumentClient(settings.vespaUrl, { connections: 32 }),
  encoder: new PixelEncoder(),
};

process.on('message', (job: LoopJob) => {
  ingestAll(resources, job).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ error: String(error) } satisfies LoopAnswer),
  );
});
process.once('disconnect', () => process.exit(0));
process.stdout.write(`${READY_LINE}\n`);
