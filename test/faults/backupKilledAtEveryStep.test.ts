import { zstdDecompressSync } from 'node:zlib';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBackupDataActivities, createBackupLedgerActivities } from '../../activities/backup.js';
import { createRestoreDataActivities, createRestoreLedgerActivities } from '../../activities/restore.js';
import type { BackupActivities, RestoreActivities } from '../../activities/types.js';
import { PART_LIMITS } from '../../src/backup/documents/backUpSlice.js';
import { Shelf, type ShelfSettings } from '../../src/backup/shelf.js';
import type { BackupStore } from '../../src/backup/store/store.js';
import type { BackupResources } from '../../src/backup/writer.js';
import { ensureKeyPair } from '../../src/certificates/keyPair.js';
import type { BackupManifest } from '../../src/contracts/backup.js';
import { type BackupId, backupId } from '../../src/domain/backups.js';
import { SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import type { OperationId } from '../../src/domain/ids.js';
import { CONTENT_NAMESPACE, tenantSchemaName } from '../../src/domain/naming.js';
import { currentConfig, putConfig } from '../../src/registry/config.js';
import { deleteVideos, insertVideos } from '../../src/registry/videoRows.js';
import { markDeployed, reserveSchemas } from '../../src/registry/schemas.js';
import { generateSd } from '../../src/vespa/package/sd.js';
import { loadSchema } from '../../src/vespa/schemaFiles.js';
import { Mortal } from '../support/crashing.js';
import { EmulatedVespa } from '../support/emulatedVespa.js';
import { MemoryStore } from '../support/memoryStore.js';
import { PhoenixOfSpans } from '../support/phoenixOfSpans.js';
import {
  type Life,
  type TestRegistry,
  makeTenant,
  newIncarnation,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';
import { sortedLines } from '../support/tenantData.js';
import { temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const DOCUMENTS = 10;
const SPANS = 3;
const by = { principal: 'tests', reason: '' };
const failed = { state: 'failed', failure: { code: 'Unavailable', message: 'no answer' } } as const;

type Activities = BackupActivities & RestoreActivities;

/** One activity of an operation, as its workflow calls it. */
interface Step {
  readonly name: keyof Activities;
  readonly call: (activities: Activities, run: Run) => Promise<unknown>;
}

/** What the activities of one operation are told. */
class Run {
  readonly operation: OperationId = newOperation();
  readonly backup: BackupId;
  slices: readonly { readonly slice: number }[] = [];

  /** @param of the backup to restore; left out: one is made */
  constructor(
    private readonly life: Life,
    of?: BackupId,
  ) {
    this.backup = of ?? backupId(new Date(), newOperation().slice(0, 8));
  }

  get key() {
    const { tenant, incarnation } = this.life;
    return { tenant, incarnation, operation: this.operation, backup: this.backup };
  }

  get ofSchema() {
    return { ...this.key, base: PROFILE } as const;
  }
}

const BEGIN_BACKUP: Step = {
  name: 'beginBackup',
  call: async (activities, run) => {
    const { incarnation: _, ...key } = run.key;
    ({ slices: run.slices } = await activities.beginBackup({ ...key, ...by, consistency: 'settled' }));
  },
};
const EACH_SLICE: Step = {
  name: 'backUpSlice',
  call: async (activities, { slices, backup }) => {
    for (const { slice } of slices) await activities.backUpSlice({ backup, base: PROFILE, slice });
  },
};
const BACKUP: readonly Step[] = [
  BEGIN_BACKUP,
  EACH_SLICE,
  {
    name: 'compareSlice',
    call: async (activities, { slices, backup }) => {
      for (const { slice } of slices)
        expect(await activities.compareSlice({ backup, base: PROFILE, slice })).toEqual({ same: true });
    },
  },
  { name: 'backUpRegistry', call: (activities, { key }) => activities.backUpRegistry(key) },
  { name: 'backUpTraces', call: (activities, { key }) => activities.backUpTraces(key) },
  {
    name: 'finishBackup',
    call: (activities, { key }) =>
      activities.finishBackup({ ...key, passes: 2, settled: true, fencedFrom: null, now: Date.now() }),
  },
];
const GIVEN_UP_BACKUP: readonly Step[] = [
  BEGIN_BACKUP,
  EACH_SLICE,
  { name: 'failBackup', call: (activities, { key }) => activities.failBackup({ ...key, ...failed }) },
];

const BEGIN_RESTORE: readonly Step[] = [
  {
    name: 'beginRestore',
    call: (activities, { key }) =>
      activities.beginRestore({
        ...{ ...key, ...by, incarnation: newIncarnation(), cluster: 'tests' },
        ...{ replace: true, preview: false },
      }),
  },
  { name: 'closeForRestore', call: (activities, { key }) => activities.closeForRestore(key) },
  { name: 'emptySchema', call: (activities, { ofSchema }) => activities.emptySchema(ofSchema) },
];
const RESTORE: readonly Step[] = [
  ...BEGIN_RESTORE,
  {
    name: 'restoreRegistry',
    call: (activities, { key }) => activities.restoreRegistry({ ...key, fresh: false }),
  },
  { name: 'restoreDocuments', call: (activities, { ofSchema }) => activities.restoreDocuments(ofSchema) },
  { name: 'compareDocuments', call: (activities, { ofSchema }) => activities.compareDocuments(ofSchema) },
  {
    name: 'finishRestore',
    call: async (activities, { key }) => {
      const done = await activities.finishRestore({ ...key, opens: true, documents: DOCUMENTS, spans: 0 });
      expect(done).toEqual({ state: 'active' });
    },
  },
];
const GIVEN_UP_RESTORE: readonly Step[] = [
  ...BEGIN_RESTORE,
  { name: 'failRestore', call: (activities, { key }) => activities.failRestore({ ...key, ...failed }) },
];

/** A shelf whose stores a process reaches only as long as it lives. */
class MortalShelf extends Shelf {
  constructor(
    settings: ShelfSettings,
    private readonly only: BackupStore,
  ) {
    super(settings);
  }

  override store(): Promise<BackupStore> {
    return Promise.resolve(this.only);
  }
}

const environment = () => new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
let registry: TestRegistry;
let vespa: EmulatedVespa;
let world: World;
beforeAll(async () => {
  registry = await startTestRegistry();
  const life = await makeTenant(registry.pool);
  const schema = tenantSchemaName(PROFILE, life.tenant);
  vespa = await EmulatedVespa.start({ [schema]: generateSd(schema, loadSchema(PROFILE)) });
  await reserveSchemas(registry.pool, life.tenant, life.incarnation, [PROFILE]);
  await markDeployed(registry.pool, life.incarnation, [PROFILE], 1);
  const { signingKey } = await ensureKeyPair(await temporaryFolder());
  world = new World(life, schema, signingKey);
  await world.fill();
});
afterAll(async () => {
  await vespa?.stop();
  await registry?.stop();
});

/** One tenant, and what its backups and restores come to. */
class World {
  readonly store = new MemoryStore();
  private readonly phoenix = new PhoenixOfSpans(SPANS);

  constructor(
    readonly life: Life,
    private readonly schema: string,
    private readonly certificateKey: string,
  ) {}

  async fill(): Promise<void> {
    for (let n = 0; n < DOCUMENTS; n++)
      await this.put(`v_seg_${n}`, { segment_id: n, tenant_id: this.life.tenant });
    await this.configure(5);
    await this.noteVideo('v');
  }

  /** Whatever a restore has to put right: documents changed, gone and added, configuration, videos. */
  async spoil(): Promise<void> {
    await this.put('v_seg_1', { segment_id: 100 });
    await vespa.documents.remove({ ...this.documentsOf, id: 'v_seg_2' });
    await this.put('w_seg_1', { segment_id: 1 });
    await this.configure(7);
    await deleteVideos(registry.pool, this.life.incarnation);
    await this.noteVideo('w');
  }

  /** The activities in a process that may die. */
  activities(mortal: Mortal): Activities {
    const store = mortal.object<BackupStore>(this.store, 'put', 'head', 'remove', 'sweep');
    const settings = {
      ...{ backupStore: '/backups', backupKey: '', backupTrustedKeys: '', s3Endpoint: '' },
      certificateKey: this.certificateKey,
    };
    const resources: BackupResources = {
      pool: mortal.poolWithTransactions(registry.pool),
      documents: mortal.object(vespa.documents, 'stream', 'tryOnce', 'search', 'count'),
      configServer: mortal.object(vespa.configServer, 'readFile', 'listFiles'),
      phoenix: mortal.object(this.phoenix, 'send', 'get', 'graphql'),
      shelf: new MortalShelf(settings, store),
      partLimits: { ...PART_LIMITS, lines: 4 },
    };
    return {
      ...createBackupLedgerActivities(resources),
      ...createBackupDataActivities(resources),
      ...createRestoreLedgerActivities(resources),
      ...createRestoreDataActivities(resources),
    };
  }

  /** The steps one after the other; in the one named the process may die, and it is run again. @returns how long it lived */
  async carryOut(steps: readonly Step[], run: Run, name?: string, mortal = new Mortal()): Promise<Mortal> {
    for (const step of steps) {
      const attempt = (in_: Mortal) => environment().run(() => step.call(this.activities(in_), run));
      if (step.name === name) await attempt(mortal).catch(() => undefined);
      await attempt(new Mortal());
    }
    return mortal;
  }

  /** What an operation leaves in the registry: nothing of it is told twice. */
  async traceOf({ operation, backup }: Run) {
    const rows = async (sql: string, id: string) => (await registry.pool.query<object>(sql, [id])).rows;
    return {
      operation: await rows(
        `select kind, state, counts - 'bytes' as counts, error from operations where operation = $1`,
        operation,
      ),
      audit: await rows('select verb, outcome from audit_log where operation = $1 order by seq', operation),
      restored: await rows(
        'select path, documents, digest from restored_parts where operation = $1 order by path',
        operation,
      ),
      slices: await rows('select * from backup_slices where backup = $1', backup),
      parts: await rows('select * from backup_parts where backup = $1', backup),
    };
  }

  async backedUp(run: Run) {
    const rows = await registry.pool.query<object>(
      `select state, consistency, documents, memories, spans, ended_at is not null as ended
       from backups where backup = $1`,
      [run.backup],
    );
    const folder = `${this.life.tenant}/${run.backup}/`;
    const objects = [...this.store.objects]
      .filter(([place]) => place.startsWith(folder))
      .map(([place, bytes]) => [place.slice(folder.length), bytes] as const);
    const {
      manifest,
      documents = [],
      others = [],
    } = Object.groupBy(objects, ([place]) =>
      place === 'manifest.json' ? 'manifest' : place.startsWith('documents/') ? 'documents' : 'others',
    );
    return {
      ...(await this.traceOf(run)),
      rows: rows.rows,
      manifest: manifest?.map(([, bytes]) => ofEveryBackup(bytes)),
      // Where a slice is cut into parts depends on where it was taken up again.
      documents: documents
        .flatMap(([, bytes]) => zstdDecompressSync(bytes).toString().split('\n'))
        .toSorted(),
      others: others.map(([place, bytes]) => [place, bytes.toString('base64')]),
    };
  }

  async restored(run: Run) {
    const { incarnation } = this.life;
    const rows = async (sql: string) => (await registry.pool.query<object>(sql, [incarnation])).rows;
    const config = await currentConfig(registry.pool, incarnation);
    return {
      ...(await this.traceOf(run)),
      tenant: await rows(
        `select state, fence, unfinished_restore is not null as unfinished, purge_at is not null as purges
         from tenants where incarnation = $1`,
      ),
      lines: (await sortedLines(vespa.documents, this.schema)).map(String),
      config: config.map(({ key, value }) => [key, value]),
      videos: await rows(
        'select video, path, sha256, documents, complete from videos where incarnation = $1',
      ),
    };
  }

  private get documentsOf() {
    return { namespace: CONTENT_NAMESPACE, schema: this.schema };
  }

  private put(id: string, fields: object): Promise<void> {
    return vespa.documents.put({ ...this.documentsOf, id }, Buffer.from(JSON.stringify({ fields })));
  }

  private async configure(max_qps: number): Promise<void> {
    const { incarnation } = this.life;
    const [now] = await currentConfig(registry.pool, incarnation);
    const { scope, service, key } = SYSTEM_CONFIG;
    const write = { value: { ...now?.value, max_qps }, author: 'tests', reason: '' };
    await putConfig(registry.pool, { incarnation, scope, service, key }, now?.version ?? 0, write);
  }

  private noteVideo(video: string): Promise<void> {
    return insertVideos(registry.pool, this.life.incarnation, [
      {
        ...{ base: PROFILE, video, path: `${video}.mp4`, sha256: 'a'.repeat(64), profileVersion: 1 },
        ...{ encoder: 'e@1', documents: DOCUMENTS, complete: true, fingerprint: 'f', refusedAs: null },
      },
    ]);
  }
}

/** What a manifest says, but for times, the parts of documents, and which backup it is. */
function ofEveryBackup(file: Buffer): object {
  const { manifest } = JSON.parse(file.toString()) as { manifest: BackupManifest };
  const parts = manifest.parts.filter(({ kind }) => kind !== 'documents');
  return { ...manifest, parts, backup: '', startedAt: '', endedAt: '' };
}

/** Kills an activity after its first step, after its second, until it outlives them all. @returns how often it died */
async function atEveryStep(each: (mortal: Mortal) => Promise<void>): Promise<number> {
  for (let at = 1; ; at++) {
    const mortal = new Mortal(at);
    await each(mortal);
    if (!mortal.died) return at - 1;
  }
}

test.each(BACKUP.map(({ name }) => name))(
  '%s, killed at any step and run again: the backup is as if it never was',
  async (name) => {
    const calm = new Run(world.life);
    await world.carryOut(BACKUP, calm);
    const whole = await world.backedUp(calm);
    expect(whole.rows).toMatchObject([{ state: 'complete', documents: DOCUMENTS, spans: SPANS }]);
    expect(whole.documents.filter((line) => line !== '').length).toBe(DOCUMENTS);
    const deaths = await atEveryStep(async (mortal) => {
      const run = new Run(world.life);
      await world.carryOut(BACKUP, run, name, mortal);
      expect(await world.backedUp(run), `killed after step ${mortal.steps}`).toEqual(whole);
    });
    expect(deaths).toBeGreaterThan(2);
  },
);

test('a backup that is given up leaves nothing, wherever the giving up is killed', async () => {
  const deaths = await atEveryStep(async (mortal) => {
    const run = new Run(world.life);
    await world.carryOut(GIVEN_UP_BACKUP, run, 'failBackup', mortal);
    expect(await world.backedUp(run), `killed after step ${mortal.steps}`).toMatchObject({
      ...{ documents: [], others: [], manifest: undefined, slices: [], parts: [] },
      rows: [{ state: 'failed' }],
      operation: [{ state: 'failed', error: failed.failure }],
      audit: [{ outcome: 'started' }, { outcome: 'failed' }],
    });
  });
  expect(deaths).toBeGreaterThan(6);
});

test.each(RESTORE.map(({ name }) => name))(
  '%s, killed at any step and run again: the tenant is as if it never was',
  async (name) => {
    const made = new Run(world.life);
    await world.carryOut(BACKUP, made);
    await world.spoil();
    const calm = new Run(world.life, made.backup);
    await world.carryOut(RESTORE, calm);
    const whole = await world.restored(calm);
    expect(whole.tenant).toEqual([{ state: 'active', fence: null, unfinished: false, purges: false }]);
    expect(whole.lines.length).toBe(DOCUMENTS);
    const deaths = await atEveryStep(async (mortal) => {
      await world.spoil();
      const run = new Run(world.life, made.backup);
      await world.carryOut(RESTORE, run, name, mortal);
      expect(await world.restored(run), `killed after step ${mortal.steps}`).toEqual(whole);
    });
    expect(deaths).toBeGreaterThan(2);
  },
);

test('a restore that is given up leaves the tenant closed, wherever the giving up is killed, and the next one opens it', async () => {
  const made = new Run(world.life);
  await world.carryOut(BACKUP, made);
  const whole = { lines: (await world.restored(made)).lines };
  const deaths = await atEveryStep(async (mortal) => {
    await world.spoil();
    const run = new Run(world.life, made.backup);
    await world.carryOut(GIVEN_UP_RESTORE, run, 'failRestore', mortal);
    expect(await world.restored(run), `killed after step ${mortal.steps}`).toMatchObject({
      tenant: [{ state: 'inactive', fence: null, unfinished: true, purges: true }],
      operation: [{ state: 'failed', error: failed.failure }],
      audit: [{ outcome: 'started' }, { outcome: 'failed' }],
    });
    const next = new Run(world.life, made.backup);
    await world.carryOut(RESTORE, next);
    expect(await world.restored(next)).toMatchObject({
      ...whole,
      tenant: [{ state: 'active', unfinished: false }],
    });
  });
  expect(deaths).toBeGreaterThan(2);
});
