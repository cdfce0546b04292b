import { type ChildProcess } from 'node:child_process';
import { copyFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Pool, openPool } from '../../src/registry/database.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { CountingProxy } from '../support/countingProxy.js';
import { NO_LIMIT, cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';
import { dice } from '../support/dice.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { makeVideo, temporaryFolder, toolsBelow } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const [VIDEOS, SECONDS] = [60, 4];
const KILLS = Number(process.env['KILLS'] ?? 20);
/** A worker to which nothing happens for so long is killed as it waits: all videos may be orphaned for the moment. */
const QUIET_MS = 6_000;
/** What a data worker does at a time (workers/main.ts). */
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
const proxies: CountingProxy[] = [];

beforeAll(async () => {
  documents = new DocumentClient(stackSettings().vespaUrl);
  pool = openPool(stackSettings().databaseUrl, { name: 'kill-test', max: 1 });
  folder = await temporaryFolder();
  const different = 6;
  for (let i = 0; i < different; i++)
    await makeVideo(path.join(folder, `v${i}.mp4`), { seconds: SECONDS, width: 64, height: 48, fps: 5 + i });
  for (let i = different; i < VIDEOS; i++)
    await copyFile(path.join(folder, `v${i % different}.mp4`), path.join(folder, `v${i}.mp4`));
});
afterAll(async () => {
  await workers?.close();
  for (const proxy of proxies) await proxy.close();
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

/** Kills the data workers, one after the other, each at a point of its own, until `kills` are used up. */
class Killer {
  readonly killedAt: Record<string, number> = {};
  private left: number;

  constructor(
    kills: number,
    private readonly random: () => number,
  ) {
    this.left = kills;
  }

  get kills(): number {
    return Object.values(this.killedAt).reduce((sum, n) => sum + n, 0);
  }

  /** The life of one worker slot: started, killed, started again; the last one is left alive. */
  async run(): Promise<void> {
    const proxy = new CountingProxy(stackSettings().vespaUrl);
    proxies.push(proxy);
    const env = { VESPA_URL: await proxy.listen() };
    for (;;) {
      const worker = await workers.start('data', env);
      if (this.left-- <= 0) return;
      await this.killSomewhere(worker, proxy);
    }
  }

  /** At a request to Vespa (before or after it has it), or some time into reading, decoding, encoding, writing down. */
  private async killSomewhere(worker: ChildProcess, proxy: CountingProxy): Promise<void> {
    const dead = new Promise((resolve) => worker.once('close', resolve));
    const kill = (where: string) => {
      if (worker.killed) return;
      worker.kill('SIGKILL');
      this.killedAt[where] = (this.killedAt[where] ?? 0) + 1;
    };
    // A video sends some 20 halves of requests: from the first one's first into the second round.
    let requests = Math.floor(this.random() * SLOTS * 20);
    const atRequest = this.random() < 0.8;
    // Where nothing is sent there is no request to wait for.
    const timer = setTimeout(() => kill('some time'), atRequest ? QUIET_MS : this.random() * 1_500);
    if (atRequest)
      proxy.onRequest = ({ method, when }) => {
        timer.refresh();
        if (requests-- === 0) kill(`${when} ${method}`);
      };
    await dead;
    clearTimeout(timer);
    proxy.onRequest = () => undefined;
  }
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

const ingest = (tenant: string, env?: Record<string, string>) =>
  cvopsJson<Ingested>(['ingest', tenant, folder, '--profile', PROFILE, '--concurrency', '100'], 0, env);
const ALL = { videos: { stored: VIDEOS, unchanged: 0, failed: 0 }, documents: VIDEOS * SECONDS };

test(`data workers killed at ${KILLS} random points, control workers too: the same documents, each video again at most once a kill`, async () => {
  process.stderr.write(`kills: KILL_SEED=${SEED}\n`);
  const [calm, killed] = await Promise.all([newTenant('calm'), newTenant('killed'), openWorkers()]);
  const killer = new Killer(KILLS, dice(SEED));
  let over = false;
  const running = ingest(killed, workers.environment).finally(() => (over = true));
  const [ended] = await Promise.all([
    running,
    killer.run(),
    killer.run(),
    killControl(() => over),
    ingest(calm).then((result) => expect(result).toMatchObject(ALL)),
  ]);

  expect(ended).toMatchObject(ALL);
  expect(await contentOf(killed)).toEqual(await contentOf(calm));
  const shown = await cvopsJson<{ counts: object }>(['op', 'show', ended.operation]);
  expect(shown.counts).toMatchObject({ stored: VIDEOS, failed: 0, pending: 0 });
  expect(killer.kills).toBe(KILLS);

  const attempts = await triesOf(ended.operation);
  expect(attempts.size).toBe(VIDEOS);
  const again = [...attempts.values()].reduce((sum, n) => sum + n - 1, 0);
  // A kill takes the videos in that worker's slots with it, and nothing else is done twice.
  expect(again).toBeLessThanOrEqual(KILLS * SLOTS);
  const puts = (video: number, segment: number) =>
    proxies.reduce((sum, proxy) => sum + (proxy.puts.get(`v${video}_seg_${segment}`) ?? 0), 0);
  const byPath = Array.from({ length: VIDEOS }, (_, i) => `v${i}.mp4`).sort();
  let resent = 0;
  for (const [item, tries] of attempts) {
    const video = Number(/\d+/.exec(byPath[item - 1]!)![0]);
    for (let segment = 0; segment < SECONDS; segment++) {
      expect(puts(video, segment)).toBeLessThanOrEqual(tries);
      resent += puts(video, segment) - 1;
    }
  }
  expect(resent).toBeGreaterThan(0);
  expect(resent).toBeLessThanOrEqual(again * SECONDS);
  process.stderr.write(
    `kills: ${JSON.stringify(killer.killedAt)}, ${again} videos begun again, ${resent} of ${VIDEOS * SECONDS} documents put again\n`,
  );
  await expect.poll(async () => (await toolsBelow(1)).filter((args) => args.includes(folder))).toEqual([]);
});

/** How often each video was begun, by item: the ledger counts it before the work. */
async function triesOf(operation: string): Promise<Map<number, number>> {
  const { rows } = await pool.query<{ item: number; tries: number }>(
    'select item, tries from ingest_items where operation = $1',
    [operation],
  );
  return new Map(rows.map(({ item, tries }) => [item, tries]));
}

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
