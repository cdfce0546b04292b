import { zstdDecompressSync } from 'node:zlib';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createBackupDataActivities, createBackupLedgerActivities } from '../../activities/backup.js';
import { createRestoreDataActivities, createRestoreLedgerActivities } from '../../activities/restore.js';
import { PART_LIMITS } from '../../src/backup/documents/backUpSlice.js';
import { Shelf, type ShelfSettings } from '../../src/backup/shelf.js';
import type { BackupStore } from '../../src/backup/store/store.js';
import { type BackupVerdict, verifyBackup } from '../../src/backup/verify.js';
import type { BackupResources } from '../../src/backup/writer.js';
import { loadSigningKey, publicOf } from '../../src/certificates/keys.js';
import { ensureKeyPair } from '../../src/certificates/keyPair.js';
import type { BackupManifest } from '../../src/contracts/backup.js';
import { backupFolder } from '../../src/domain/backups.js';
import { SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { CONTENT_NAMESPACE, tenantSchemaName } from '../../src/domain/naming.js';
import { allConfigVersions, currentConfig, putConfig } from '../../src/registry/config.js';
import { finishOperation, startOperation } from '../../src/registry/operations.js';
import { closeUntilRestored } from '../../src/registry/restores.js';
import { markDeployed, reserveSchemas } from '../../src/registry/schemas.js';
import { setTenantState } from '../../src/registry/tenants.js';
import { deleteVideos, insertVideos } from '../../src/registry/videoRows.js';
import { generateSd } from '../../src/vespa/package/sd.js';
import { loadSchema } from '../../src/vespa/schemaFiles.js';
import { type Activities, DOCUMENTS, PROFILE, type Run, type Step } from './backupSteps.js';
import { Mortal } from './crashing.js';
import { EmulatedVespa } from './emulatedVespa.js';
import { MemoryStore } from './memoryStore.js';
import { PhoenixOfSpans } from './phoenixOfSpans.js';
import { type Life, type TestRegistry, makeTenant, newOperation, startTestRegistry } from './registry.js';
import { sortedLines } from './tenantData.js';
import { temporaryFolder } from './videos.js';

/** Of the tenant's project. */
export const SPANS = 3;

const environment = () => new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
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

/** One tenant over a real registry, the emulator and a store in memory, and what its backups and restores come to. */
export class BackupWorld {
  readonly store = new MemoryStore();
  private readonly phoenix = new PhoenixOfSpans(SPANS);

  private constructor(
    private readonly registry: TestRegistry,
    private readonly vespa: EmulatedVespa,
    readonly life: Life,
    private readonly schema: string,
    private readonly certificateKey: string,
  ) {}

  static async start(): Promise<BackupWorld> {
    const registry = await startTestRegistry();
    const life = await makeTenant(registry.pool);
    const schema = tenantSchemaName(PROFILE, life.tenant);
    const vespa = await EmulatedVespa.start({ [schema]: generateSd(schema, loadSchema(PROFILE)) });
    await reserveSchemas(registry.pool, life.tenant, life.incarnation, [PROFILE]);
    await markDeployed(registry.pool, life.incarnation, [PROFILE], 1);
    const { signingKey } = await ensureKeyPair(await temporaryFolder());
    const world = new BackupWorld(registry, vespa, life, schema, signingKey);
    await world.fill();
    return world;
  }

  async stop(): Promise<void> {
    await this.vespa.stop();
    await this.registry.stop();
  }

  private async fill(): Promise<void> {
    for (let n = 0; n < DOCUMENTS; n++)
      await this.put(`v_seg_${n}`, { segment_id: n, tenant_id: this.life.tenant });
    await this.configure(5);
    await this.noteVideo('v');
  }

  /** Whatever a restore has to put right: documents changed, gone and added, configuration, videos. */
  async spoil(): Promise<void> {
    await this.put('v_seg_1', { segment_id: 100 });
    await this.vespa.documents.remove({ ...this.documentsOf, id: 'v_seg_2' });
    await this.put('w_seg_1', { segment_id: 1 });
    await this.configure(7);
    await deleteVideos(this.registry.pool, this.life.incarnation);
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
      pool: mortal.poolWithTransactions(this.registry.pool),
      documents: mortal.object(this.vespa.documents, 'stream', 'tryOnce', 'search', 'count'),
      configServer: mortal.object(this.vespa.configServer, 'readFile', 'listFiles'),
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
    const rows = async (sql: string, id: string) => (await this.registry.pool.query<object>(sql, [id])).rows;
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
    const rows = await this.registry.pool.query<object>(
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
      others: others.map(([place, bytes]) => [unnumbered(place), bytes.toString('base64')]),
    };
  }

  /** What the whole verification of a backup says. */
  async verdictOf({ backup }: Run): Promise<BackupVerdict> {
    const place = { store: this.store, folder: backupFolder(this.life.tenant, backup) };
    return verifyBackup(place, { trustedKeys: [publicOf(await loadSigningKey(this.certificateKey))] });
  }

  /** Every version of the configuration, as far as `configure` has set it. */
  async history(): Promise<unknown[]> {
    const versions = await allConfigVersions(this.registry.pool, this.life.incarnation);
    return versions.map(({ version, value, createdAt }) => [version, value['max_qps'], createdAt]);
  }

  /** As if the life had been made for a restore that then failed: closed, with a configuration of its own. */
  async madeForAFailedRestore(): Promise<void> {
    const { pool } = this.registry;
    const { tenant, incarnation } = this.life;
    const operation = newOperation();
    await startOperation(pool, {
      ...{ operation, kind: 'restoreTenant', tenant, incarnation, principal: 'tests', reason: '' },
      ...{ workflowId: `test/${operation}`, input: { fresh: true, opens: true } },
    });
    await finishOperation(pool, operation, { state: 'failed' });
    await setTenantState(pool, incarnation, ['active'], 'creating');
    await closeUntilRestored(pool, incarnation, 'creating', operation);
    await this.configure(9);
  }

  async restored(run: Run) {
    const { incarnation } = this.life;
    const rows = async (sql: string) => (await this.registry.pool.query<object>(sql, [incarnation])).rows;
    const config = await currentConfig(this.registry.pool, incarnation);
    return {
      ...(await this.traceOf(run)),
      tenant: await rows(
        `select state, fence, unfinished_restore is not null as unfinished, purge_at is not null as purges
         from tenants where incarnation = $1`,
      ),
      lines: (await sortedLines(this.vespa.documents, this.schema)).map(String),
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
    return this.vespa.documents.put({ ...this.documentsOf, id }, Buffer.from(JSON.stringify({ fields })));
  }

  private async configure(max_qps: number): Promise<void> {
    const { incarnation } = this.life;
    const [now] = await currentConfig(this.registry.pool, incarnation);
    const { scope, service, key } = SYSTEM_CONFIG;
    const write = { value: { ...now?.value, max_qps }, author: 'tests', reason: '' };
    await putConfig(this.registry.pool, { incarnation, scope, service, key }, now?.version ?? 0, write);
  }

  private noteVideo(video: string): Promise<void> {
    return insertVideos(this.registry.pool, this.life.incarnation, [
      {
        ...{ base: PROFILE, video, path: `${video}.mp4`, sha256: 'a'.repeat(64), profileVersion: 1 },
        ...{ encoder: 'e@1', documents: DOCUMENTS, complete: true, fingerprint: 'f', refusedAs: null },
      },
    ]);
  }
}

/** A killed attempt has used numbers up. */
const unnumbered = (place: string) => place.replace(/-[0-9]{5,}\.jsonl/, '.jsonl');

/** What a manifest says, but for times, the parts of documents, and which backup it is. */
function ofEveryBackup(file: Buffer): object {
  const { manifest } = JSON.parse(file.toString()) as { manifest: BackupManifest };
  const parts = manifest.parts
    .filter(({ kind }) => kind !== 'documents')
    .map((part) => ({ ...part, path: unnumbered(part.path) }));
  return { ...manifest, parts, backup: '', startedAt: '', endedAt: '' };
}
