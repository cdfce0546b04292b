import { copyFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Pool, openPool } from '../../src/registry/database.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { NO_LIMIT, cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';
import { dice } from '../support/dice.js';
import { IngestKiller, ledgerOf } from '../support/ingestKiller.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { makeVideo, temporaryFolder, toolsBelow } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const [VIDEOS, SECONDS] = [60, 4];
const KILLS = Number(process.env['KILLS'] ?? 20);
/** What a data worker does at a time (workers/run.ts). */
const SLOTS = Math.max(2, availableParallelism()) * 2;
const SEED = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000);

interface Ingested {
  readonly operation: string;
  readonly videos: { stored: number; unchanged: number; failed: number };
  readonly documents: number;
}

let documents: DocumentClient;
let workers: OwnWorkers;
let pool: Pool;
let folder: string;
let killer: IngestKiller | undefined;

beforeAll(async () => {
  documents = new DocumentClient(stackSettings().vespaUrl);
  pool = openPool(stackSettings().databaseUrl, { name: 'kill-test', max: 2 });
  folder = await temporaryFolder();
  const different = 6;
  for (let i = 0; i < different; i++)
    await makeVideo(path.join(folder, `v${i}.mp4`), { seconds: SECONDS, width: 64, height: 48, fps: 5 + i });
  for (let i = different; i < VIDEOS; i++)
    await copyFile(path.join(folder, `v${i % different}.mp4`), path.join(folder, `v${i}.mp4`));
});
afterAll(async () => {
  await workers?.close();
  await killer?.close();
  await documents?.close();
  await pool?.end();
});

/** Every field of every document but those that say whose it is and when it was made. */
async function contentOf(tenant: string): Promise<Map<string, unknown>> {
  const content = new Map<string, unknown>();
  for (let video = 0; video < VIDEOS; video++) {
    for (let segment = 0; segment < SECONDS; segment++) {
      const id = `v${video}_seg_${segment}`;
      const fields = await documents.get({ namespace: 'content', schema: `${PROFILE}_${tenant}`, id });
      expect(fields, id).toMatchObject({ tenant_id: tenant, creation_timestamp: expect.any(Number) });
      content.set(id, { ...fields, tenant_id: '', incarnation: '', creation_timestamp: 0 });
    }
  }
  expect(await documents.count(`${PROFILE}_${tenant}`, CONTENT_CLUSTER)).toBe(content.size);
  return content;
}

async function newTenant(what: string): Promise<string> {
  const tenant = freshTenant(what);
  await cvopsJson([
    'tenant',
    'create',
    tenant,
    '--template',
    'trial',
    '--profiles',
    PROFILE,
    ...NO_LIMIT,
    '--set',
    'max_concurrent_videos=100',
  ]);
  return tenant;
}

/** So few turns at once have several videos each: a kill meets some of which a part has ended, and one fetched ahead. */
const TURNS = String(SLOTS * 2);
const ingest = (tenant: string, env?: Record<string, string>) =>
  cvopsJson<Ingested>(['ingest', tenant, folder, '--profile', PROFILE, '--concurrency', TURNS], 0, env);
const ALL = { videos: { stored: VIDEOS, unchanged: 0, failed: 0 }, documents: VIDEOS * SECONDS };

const TITLE = `data workers killed at ${KILLS} random points, control workers too: the same documents, and only what a kill met is done again`;
test(TITLE, { timeout: 300_000 + KILLS * 15_000 }, async () => {
  process.stderr.write(`kills: KILL_SEED=${SEED}\n`);
  const [calm, killed] = await Promise.all([newTenant('calm'), newTenant('killed'), openWorkers()]);
  // Beside another ingest a turn would be one video long.
  expect(await ingest(calm)).toMatchObject(ALL);
  const of = { workers, pool, tenant: killed, kills: KILLS, slots: SLOTS, random: dice(SEED) };
  killer = new IngestKiller(of);
  let over = false;
  const running = ingest(killed, workers.environment).finally(() => (over = true));
  const [ended] = await Promise.all([running, killer.run(), killer.run(), killControl(() => over)]);

  expect(ended).toMatchObject(ALL);
  expect(await contentOf(killed)).toEqual(await contentOf(calm));
  const shown = await cvopsJson<{ counts: object }>(['op', 'show', ended.operation]);
  expect(shown.counts).toMatchObject({ stored: VIDEOS, failed: 0, pending: 0 });
  expect(killer.kills).toBe(KILLS);

  // Where it had none the ledger would have been read too early.
  expect(killer.sessions).toBeGreaterThan(0);

  const { lives } = killer;
  const ledger = await ledgerOf(pool, killed);
  expect(ledger.size).toBe(VIDEOS);
  let [again, resent] = [0, 0];
  for (const [video, { tries }] of ledger) {
    again += tries - 1;
    // Each try but the last was met by a kill.
    for (let nth = 1; nth < tries; nth++)
      expect(
        lives.some((life) => life.metIn(video, nth)),
        `try ${nth} of ${tries} of ${video}`,
      ).toBe(true);
    // At most one put some of it without being killed at it: who stored it.
    const unharmed = lives.filter((life) => life.put.has(video) && !life.met(video));
    expect(unharmed.length, video).toBeLessThanOrEqual(1);
    for (let segment = 0; segment < SECONDS; segment++) {
      const id = `${video}_seg_${segment}`;
      const puts = lives.reduce((sum, { proxy }) => sum + (proxy.puts.get(id) ?? 0), 0);
      expect(puts, id).toBeLessThanOrEqual(tries);
      resent += puts - 1;
    }
  }
  for (const life of lives) {
    for (const [video, { tries, ended }] of life.killed?.after ?? [])
      if (ended) expect(ledger.get(video)!.tries, `${video} had ended`).toBe(tries);
    // One a slot: of the next one, which is fetched ahead, nothing is put.
    expect(life.torn.length).toBeLessThanOrEqual(SLOTS);
  }
  expect(resent).toBeGreaterThan(0);
  process.stderr.write(
    `kills: ${JSON.stringify(killer.killedAt)}, ${again} videos begun again, ${resent} of ${VIDEOS * SECONDS} documents put again\n`,
  );
  await expect.poll(async () => (await toolsBelow(1)).filter((args) => args.includes(folder))).toEqual([]);
});

async function openWorkers(): Promise<void> {
  workers = await OwnWorkers.open(`kills-${freshTenant('n')}`.replaceAll('_', '-'));
}

/** Twice in the middle of the run. */
async function killControl(over: () => boolean): Promise<void> {
  for (let kills = 0; ; kills++) {
    const worker = await workers.start('control');
    if (kills === 2) return;
    await delay(3_000);
    if (over()) return;
    const dead = new Promise((resolve) => worker.once('close', resolve));
    worker.kill('SIGKILL');
    await dead;
  }
}
