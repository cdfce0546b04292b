import { utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createLedgerActivities, createVideoActivities } from '../../activities/ingest.js';
import { NO_TRACING } from '../../src/telemetry/noTracing.js';
import type { Encoder } from '../../src/encoders/port.js';
import type { TenantRates } from '../../src/limits/rate.js';
import type { OperationId } from '../../src/domain/ids.js';
import { addItems, getItem } from '../../src/registry/ledger.js';
import { startOperation } from '../../src/registry/operations.js';
import { markDeployed, reserveSchemas } from '../../src/registry/schemas.js';
import { type VideoRecord, getVideo, noteFeeding, noteStored } from '../../src/registry/videos.js';
import { ANYWHERE } from '../../src/sources/reach.js';
import { Sources } from '../../src/sources/sources.js';
import { MemoryDocuments, Mortal } from '../support/crashing.js';
import {
  type Life,
  type TestRegistry,
  makeTenant,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';
import { temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const SIZE = 2;

/** The video is a text: the seconds that it promises, and those that it holds. */
const FFPROBE = `#!/bin/sh
for last; do :; done
read -r promised held <"\${last#file:}"
echo '{"streams":[{"index":0,"codec_type":"video","codec_name":"h264","width":64,"height":48,"duration":"'$promised'"}]}'
`;
const FFMPEG = `#!/bin/sh
while [ "$1" != -i ]; do shift; done
read -r promised held <"\${2#file:}"
head -c $((\${held:-$promised} * ${SIZE * SIZE * 3})) /dev/zero
`;

const UNLIMITED = {
  take: async () => undefined,
  paced: (_key: unknown, source: unknown) => source,
} as unknown as TenantRates;

const encoder: Encoder = {
  id: 'zeros@2',
  frameSize: SIZE,
  encodeFrames: async (_, { dimensions }) => [new Float32Array(dimensions)],
  encodeText: async (_, { dimensions }) => [new Float32Array(dimensions)],
  close: async () => undefined,
};

const WRITTEN = new Date('2026-01-01T00:00:00Z');
const sources = new Sources({ s3Endpoint: '' });
let registry: TestRegistry;
let folder: string;
beforeAll(async () => {
  registry = await startTestRegistry();
  folder = await temporaryFolder();
  for (const [name, script] of [
    ['ffprobe', FFPROBE],
    ['ffmpeg', FFMPEG],
  ] as const) {
    await writeFile(path.join(folder, name), script, { mode: 0o755 });
    vi.stubEnv(`${name.toUpperCase()}_PATH`, path.join(folder, name));
  }
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await sources.close();
  await registry?.stop();
});

const environment = () => new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });

/** One video of one tenant, as it stands before the run under test. */
class World {
  readonly documents = new MemoryDocuments();
  operation!: OperationId;
  private kept: { documents: [string, Record<string, unknown>][]; row: VideoRecord | undefined } | undefined;

  private constructor(
    readonly life: Life,
    private readonly folder: string,
  ) {}

  static async make(): Promise<World> {
    const life = await makeTenant(registry.pool);
    await reserveSchemas(registry.pool, life.tenant, life.incarnation, [PROFILE]);
    await markDeployed(registry.pool, life.incarnation, [PROFILE], 1);
    return new World(life, await temporaryFolder());
  }

  /** A new operation over what the video is now, and others beside it. */
  async begin(video: string, ...others: readonly string[]): Promise<void> {
    const items = ['v', ...others].map((name) => ({ path: `${name}.mp4`, video: name }));
    for (const { path: name } of items) {
      const file = path.join(this.folder, name);
      await writeFile(file, `${video}\n`);
      // One time in all worlds: it is part of the fingerprint.
      await utimes(file, WRITTEN, WRITTEN);
    }
    this.operation = newOperation();
    await startOperation(registry.pool, {
      ...this.life,
      operation: this.operation,
      kind: 'ingestVideos',
      principal: 'tests',
      reason: '',
      workflowId: `tenant/${this.life.tenant}/ingest/${this.operation}`,
      input: { source: this.folder, profile: PROFILE },
    });
    await addItems(registry.pool, this.operation, items);
  }

  /** One attempt at the turn, in a process that may die. */
  attempt(mortal = new Mortal(), items: readonly number[] = [1]): Promise<unknown> {
    const resources = {
      pool: mortal.pool(registry.pool),
      documents: this.documents.client(mortal),
      encoder,
      rates: UNLIMITED,
      sources,
      reach: async () => ANYWHERE,
      tracing: NO_TRACING,
    };
    const { ingestTurn } = createVideoActivities(resources);
    const { tenant } = this.life;
    const input = {
      tenant,
      operation: this.operation,
      profile: PROFILE,
      source: this.folder,
      items,
    } as const;
    return environment().run((i: typeof input) => ingestTurn(i), input);
  }

  giveUp(): Promise<unknown> {
    const documents = this.documents.client(new Mortal());
    const { failItem } = createLedgerActivities({ pool: registry.pool, documents });
    const input = { operation: this.operation, item: 1, reason: 'killed too often' };
    return environment().run((i: typeof input) => failItem(i), input);
  }

  /** Keeps how things stand, for `restore`. */
  async keep(): Promise<void> {
    this.kept = { documents: [...this.documents.stored], row: await getVideo(registry.pool, this.key) };
  }

  async restore(): Promise<void> {
    const { documents, row } = this.kept!;
    this.documents.stored.clear();
    for (const [id, fields] of documents) this.documents.stored.set(id, fields);
    this.documents.puts.clear();
    // The slot of a killed worker expires by itself; here nobody waits for it.
    for (const table of ['videos', 'ingest_slots'])
      await registry.pool.query(`delete from ${table} where incarnation = $1`, [this.life.incarnation]);
    if (row === undefined) return;
    await noteFeeding(registry.pool, this.key, 'v.mp4', row.documents);
    if (row.complete) await noteStored(registry.pool, this.key, row);
  }

  async end() {
    const { state, reason, documents: count } = await getItem(registry.pool, this.operation, 1);
    const item = { state, reason, documents: count };
    const row = await getVideo(registry.pool, this.key);
    const documents = [...this.documents.stored]
      .map(
        ([id, { tenant_id: _t, incarnation: _i, creation_timestamp: _c, ...fields }]) =>
          [id, fields] as const,
      )
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return { item, row: row?.complete ? row : { ...row, documents: '' }, documents };
  }

  get key() {
    return { incarnation: this.life.incarnation, base: PROFILE, video: 'v' } as const;
  }
}

interface Story {
  readonly before?: (world: World) => Promise<void>;
  readonly video: string;
  readonly refused?: string;
  readonly ends: { readonly state: string; readonly reason?: unknown; readonly documents: number };
}

const ingested = (video: string) => async (world: World) => {
  await world.begin(video);
  await world.attempt();
};

const STORIES: Readonly<Record<string, Story>> = {
  'a new video': { video: '3', ends: { state: 'stored', documents: 3 } },
  'a video that shrank': { before: ingested('7'), video: '3', ends: { state: 'stored', documents: 3 } },
  'a video that has not changed': {
    before: ingested('3'),
    video: '3',
    ends: { state: 'unchanged', documents: 3 },
  },
  'a video that cannot be decoded to its end': {
    before: ingested('3'),
    video: '8 5',
    ends: { state: 'failed', reason: 'damaged: can be decoded up to 5.0 of 8.0 seconds', documents: 0 },
  },
  'a video with a document that is refused': {
    before: ingested('6'),
    video: '5',
    refused: 'v_seg_3',
    ends: { state: 'failed', reason: 'document v_seg_3: 400: no such field', documents: 0 },
  },
};

/** Before the run under test. */
async function worldOf({ before, refused }: Story): Promise<World> {
  const world = await World.make();
  await before?.(world);
  if (refused) world.documents.refused.add(refused);
  await world.keep();
  return world;
}

async function calmly(world: World, { video, ends }: Story) {
  const whole = new Mortal();
  await world.begin(video);
  await world.attempt(whole);
  const end = await world.end();
  expect(end.item).toMatchObject({ reason: null, ...ends });
  expect(end.documents.length).toBe(ends.documents);
  return { end, steps: whole.steps };
}

test.each(Object.entries(STORIES))(
  '%s, killed at any step and run again, ends as if it never was',
  async (_name, story) => {
    const world = await worldOf(story);
    const { end, steps } = await calmly(world, story);
    expect(steps).toBeGreaterThan(7);
    // After one step is before the next: that of the last is the ledger's row itself.
    let kills = 0;
    for (let at = 1; at < steps; at++) {
      await world.restore();
      await world.begin(story.video);
      const mortal = new Mortal(at);
      await world.attempt(mortal).catch(() => undefined);
      if (mortal.died) kills++;
      await world.attempt();
      expect(await world.end(), `killed after step ${at}`).toEqual(end);
      // What was put again is this one video, once.
      expect(Math.max(0, ...world.documents.puts.values())).toBeLessThanOrEqual(2);
    }
    // How many puts are under way when one is refused is a matter of luck.
    expect(kills).toBeGreaterThan(steps / 2);
  },
);

test('a turn of three videos, killed at any step and run again, does no video twice but the one it was at', async () => {
  const world = await World.make();
  await world.keep();
  const begin = async () => {
    // Beside another ingest a turn ends after one video.
    await registry.pool.query(
      `update operations set state = 'cancelled', ended_at = now() where state = 'running'`,
    );
    await world.begin('3', 'w', 'x');
  };
  const items = [1, 2, 3];
  await begin();
  const whole = new Mortal();
  expect(await world.attempt(whole, items)).toEqual({
    done: items.map((item) => ({ item, state: 'stored', documents: 3 })),
    left: [],
  });
  let again = 0;
  for (let at = 1; at < whole.steps; at++) {
    await world.restore();
    await begin();
    await world.attempt(new Mortal(at), items).catch(() => undefined);
    const done = await world.attempt(undefined, items);
    expect(done, `killed after step ${at}`).toEqual({
      done: items.map((item) => ({ item, state: 'stored', documents: 3 })),
      left: [],
    });
    const puts = [...world.documents.puts];
    expect(puts.length).toBe(9);
    const repeated = puts.filter(([, times]) => times > 1);
    expect(new Set(repeated.map(([id]) => id.replace(/_seg_.*$/, ''))).size).toBeLessThanOrEqual(1);
    expect(Math.max(...puts.map(([, times]) => times))).toBeLessThanOrEqual(2);
    again += repeated.length;
  }
  expect(again).toBeGreaterThan(0);
});

test('what is given up after a kill at any step leaves nothing half done to be found', async () => {
  const story = STORIES['a video that shrank']!;
  const world = await worldOf(story);
  const { steps } = await calmly(world, story);
  const left = new Set<number>();
  for (let at = 1; at < steps; at++) {
    await world.restore();
    await world.begin(story.video);
    await world.attempt(new Mortal(at)).catch(() => undefined);
    await world.giveUp();
    const { item, documents } = await world.end();
    // Killed with the ledger's row written, it had ended, and stays as it ended.
    if (item.state === 'failed') expect(item).toMatchObject({ reason: 'killed too often', documents: 0 });
    left.add(documents.length);
  }
  // What it was before it was touched, nothing, or what it became.
  expect(left).toEqual(new Set([7, 0, 3]));
});

test.each([
  ['an older version of the profile', { profileVersion: 0 }],
  ['another encoder', { encoder: 'zeros@1' }],
  ['a longer run that was killed', { documents: 8, complete: false }],
])('what %s stored is stored anew', async (_name, former) => {
  const world = await worldOf({ before: ingested('6'), video: '3', ends: { state: 'stored', documents: 3 } });
  const row = { ...(await getVideo(registry.pool, world.key))!, ...former };
  await noteFeeding(registry.pool, world.key, 'v.mp4', row.documents);
  if (row.complete) await noteStored(registry.pool, world.key, row);
  await calmly(world, { video: '3', ends: { state: 'stored', documents: 3 } });
});
