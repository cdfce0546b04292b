import type { Client } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import type pino from 'pino';
import { createAccessActivities, reachOfRun } from '../activities/access.js';
import { createApprovalActivities } from '../activities/approvals.js';
import { createApplicationActivities } from '../activities/application.js';
import { createBackupDataActivities, createBackupLedgerActivities } from '../activities/backup.js';
import { createDrillActivities } from '../activities/drill.js';
import { typedFailures } from '../activities/failures.js';
import { createFenceActivities } from '../activities/fence.js';
import { createHealthActivities } from '../activities/health.js';
import {
  createCountActivities,
  createLedgerActivities,
  createVideoActivities,
} from '../activities/ingest.js';
import { createIsolationActivities } from '../activities/isolation.js';
import { createIsolationTestActivities } from '../activities/isolationTest.js';
import { createOptimizeActivities } from '../activities/optimize.js';
import { createMemoryDataActivities, createMemoryLedgerActivities } from '../activities/memory.js';
import { createPruneActivities, createRemovalActivities } from '../activities/prune.js';
import { createPurgeActivities } from '../activities/purge.js';
import { createQuotaActivities } from '../activities/quotas.js';
import { createReconcileActivities } from '../activities/reconcile.js';
import { createRestoreDataActivities, createRestoreLedgerActivities } from '../activities/restore.js';
import { createRetentionActivities } from '../activities/retention.js';
import { createRolloutActivities } from '../activities/rollout.js';
import { createTenantActivities } from '../activities/tenants.js';
import { loadCredential } from '../src/access/credential.js';
import { Gate } from '../src/access/gate.js';
import { KeyRing } from '../src/access/keys.js';
import { openTemporalClient } from '../src/access/temporalClient.js';
import type { BackupResources } from '../src/backup/writer.js';
import { Shelf } from '../src/backup/shelf.js';
import { loadSigningKey } from '../src/certificates/keys.js';
import type { ReferenceRules } from '../src/domain/config/references.js';
import { OpsError } from '../src/domain/errors.js';
import { parseSourcePlaces } from '../src/domain/sourcePlaces.js';
import { checkUrl } from '../src/domain/urlGuard.js';
import { type Encoder, encoderOf } from '../src/encoders/port.js';
import { TenantRates } from '../src/limits/rate.js';
import { embedderOf } from '../src/memory/embedders/port.js';
import { TenantMemories } from '../src/memory/tenantMemories.js';
import { NoticeWebhook } from '../src/notices/webhook.js';
import { dataConverterOf } from '../src/payloads/converter.js';
import { PhoenixClient } from '../src/phoenix/client.js';
import { SharedDrain } from '../src/phoenix/drain.js';
import { type Pool, openPool } from '../src/registry/database.js';
import { CertificateSigner } from '../src/purge/certificate.js';
import { readReference } from '../src/secrets.js';
import { type Settings, ownHosts } from '../src/settings.js';
import { referenceRulesOf } from '../src/tenants/referenceRules.js';
import { NO_TRACING } from '../src/telemetry/noTracing.js';
import { openTelemetry } from '../src/telemetry/open.js';
import type { Telemetry } from '../src/telemetry/telemetry.js';
import type { Reach } from '../src/sources/reach.js';
import { Sources } from '../src/sources/sources.js';
import { readPackage } from '../src/vespa/activePackage.js';
import { ConfigServer } from '../src/vespa/configServer.js';
import { openDocuments } from '../src/vespa/access.js';
import type { DocumentClient } from '../src/vespa/documents.js';

/** How often losses of spans are looked for. */
const LOSSES_MS = 60_000;
/** How long canaries may be on their way through Phoenix: it has a queue of 20,000 spans, and takes some 150 a second. */
const ISOLATION_DRAIN_MS = 5 * 60_000;

/** What a worker process opens once and closes at its end. */
export interface Resources {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly client: Client;
  /** Where its activities pass. */
  readonly gate: Gate;
  /** Of operations and their videos; undefined when they are not to be traced. */
  readonly telemetry: Telemetry | undefined;
  readonly phoenix: PhoenixClient;
  readonly documents: DocumentClient;
  readonly sources: Sources;
  /** What the run of the activity under way may have read. */
  readonly reach: () => Promise<Reach>;
  /** Which secrets tenants' configurations may refer to. */
  readonly rules: ReferenceRules;
  /** Where backups lie. */
  readonly shelf: Shelf;
  /** Told of purges that come near; undefined when nobody is. */
  readonly webhook: NoticeWebhook | undefined;
  /** Told of alerts; undefined when nobody is. */
  readonly alertWebhook: NoticeWebhook | undefined;
  readonly memories: TenantMemories;
  readonly configServer: ConfigServer;
  /** Opened at its first use: a `control` worker never encodes. */
  encoder(): Encoder;
  close(): Promise<void>;
}

export async function openResources(
  settings: Settings,
  connection: NativeConnection,
  logger: pino.Logger,
): Promise<Resources> {
  const dataConverter = await dataConverterOf(settings);
  const { accessAudience: audience, temporalNamespace: namespace } = settings;
  // Without them nobody could be told from anybody: a worker that has none does not begin.
  const ring = await KeyRing.open(settings.accessKeys);
  const keys = await ring.current();
  const credential = await loadCredential(settings.systemCredential, "the workers' credential", {
    ...{ keys, audience, at: new Date() },
  });
  if (credential.role !== 'system')
    throw new OpsError(
      'InvalidInput',
      `CVOPS_SYSTEM_TOKEN is of the role ${credential.role}`,
      'have one issued with: cvops token issue --role system',
    );
  const places = parseSourcePlaces(settings.sourcePlaces);
  const rules = referenceRulesOf(settings);
  const pool = openPool(settings.databaseUrl, { name: 'cvops-worker', max: 20 });
  // Said now, at start, and not by the first operation.
  await pool.query('select 1 from tenants limit 1');
  const documents = await openDocuments(settings);
  const sources = new Sources(settings);
  await sources.sweep();
  const shelf = new Shelf(settings);
  const { allowedPrivateHosts } = settings;
  const configServer = new ConfigServer(settings.vespaConfigUrl);
  const memories = new TenantMemories({ documents, configServer, embedder: embedderOf(settings) });
  const telemetry = settings.traceOperations ? openTelemetry(settings, pool) : undefined;
  const lost = telemetry && reportLosses(telemetry, logger);
  const client = openTemporalClient({ connection, namespace, credential, telemetry, dataConverter });
  const gate = new Gate({ pool, client, keys: ring, audience, cluster: settings.vespaCluster });
  let encoder: Encoder | undefined;
  return {
    settings,
    pool,
    telemetry,
    client,
    gate,
    phoenix: new PhoenixClient(settings.phoenixUrl),
    documents,
    sources,
    reach: reachOfRun(gate, places),
    rules,
    shelf,
    memories,
    configServer,
    webhook: await openWebhook(settings.noticeWebhook, settings.noticeWebhookSecret, allowedPrivateHosts),
    alertWebhook: await openWebhook(settings.alertWebhook, settings.alertWebhookSecret, allowedPrivateHosts),
    encoder() {
      if (encoder === undefined) {
        encoder = encoderOf(settings);
        logger.info({ encoder: encoder.id }, 'encoder opened');
      }
      return encoder;
    },
    async close() {
      await encoder?.close();
      await memories.close();
      clearInterval(lost);
      if (telemetry) logger.info(await telemetry.close(), 'spans');
      await documents.close();
      await sources.close();
      await shelf.close();
      await pool.end();
    },
  };
}

/** A lost span fails nothing: a log line is where it is seen. */
function reportLosses(telemetry: Telemetry, logger: pino.Logger): NodeJS.Timeout {
  let known = 0;
  return setInterval(() => {
    const { dropped, failed } = telemetry.counts;
    if (dropped + failed > known) logger.warn(telemetry.counts, 'spans were lost');
    known = dropped + failed;
  }, LOSSES_MS).unref();
}

export function controlActivities(resources: Resources) {
  const { pool, client, phoenix, documents, memories, configServer, settings } = resources;
  const { vespaUrl, vespaConfigUrl } = settings;
  const isolation = {
    ...{ pool, documents, phoenix, drain: new SharedDrain(phoenix, ISOLATION_DRAIN_MS) },
    cluster: async () => (await readPackage(configServer)).contentCluster,
  };
  return {
    ...typedFailures({ ...createAccessActivities(resources.gate) }),
    ...typedFailures({ ...createApprovalActivities({ pool }) }),
    ...typedFailures({ ...createTenantActivities({ pool, phoenix, memories, vespaUrl, vespaConfigUrl }) }),
    ...typedFailures({ ...createApplicationActivities({ pool, client, vespaUrl, vespaConfigUrl }) }),
    ...typedFailures({ ...createLedgerActivities({ pool, documents }) }),
    ...typedFailures({ ...createCountActivities({ pool, documents, configServer }) }),
    ...typedFailures({ ...createRetentionActivities({ pool, client, webhook: resources.webhook }) }),
    ...typedFailures({ ...createRolloutActivities({ pool, client, configServer }) }),
    ...typedFailures({ ...createReconcileActivities({ pool, client, phoenix }) }),
    ...typedFailures({
      ...createHealthActivities({
        ...{ pool, phoenix, documents, configServer, vespaUrl, allowedPrivate: ownHosts(settings) },
        temporal: async () => client,
        webhook: resources.alertWebhook,
      }),
    }),
    ...typedFailures({ ...createQuotaActivities({ pool, client, documents, memories }) }),
    ...typedFailures({ ...createBackupLedgerActivities(backupResources(resources)) }),
    ...typedFailures({ ...createRestoreLedgerActivities({ pool }) }),
    ...typedFailures({ ...createDrillActivities({ pool }) }),
    ...typedFailures({ ...createFenceActivities({ pool }) }),
    ...typedFailures({ ...createPruneActivities({ pool }) }),
    ...typedFailures({ ...createMemoryLedgerActivities({ pool }) }),
    ...typedFailures({ ...createIsolationActivities(isolation) }),
    ...typedFailures({ ...createIsolationTestActivities(isolation) }),
    ...typedFailures({
      ...createOptimizeActivities({
        ...{ pool, client, phoenix, rules: resources.rules, allowedPrivate: settings.allowedPrivateHosts },
      }),
    }),
    ...typedFailures({
      ...createPurgeActivities({
        pool,
        client,
        phoenix,
        documents,
        vespaUrl,
        configServer,
        temporal: async () => client,
        signer: new CertificateSigner(() => loadSigningKey(settings.certificateKey)),
        isAsked: (run) => resources.gate.isAsked(run),
        shelf: resources.shelf,
      }),
    }),
  };
}

/** Refused at the start of the worker, not by the first notice months later. */
async function openWebhook(
  text: string,
  secretReference: string,
  allowedPrivate: readonly string[],
): Promise<NoticeWebhook | undefined> {
  if (text === '') return undefined;
  const url = checkUrl(text, { allowedPrivate });
  if (secretReference === '') return new NoticeWebhook({ url, allowedPrivate });
  const secret = await readReference(secretReference, 'the webhook secret');
  return new NoticeWebhook({ url, allowedPrivate, secret });
}

export function dataActivities(resources: Resources) {
  const { pool, documents, sources, reach, settings } = resources;
  const rates = new TenantRates(pool);
  const backup = backupResources(resources);
  return typedFailures({
    ...createBackupDataActivities(backup),
    ...createRestoreDataActivities(backup),
    ...createVideoActivities({
      ...{ pool, documents, sources, reach, rates },
      encoder: resources.encoder(),
      tracing: resources.telemetry ?? NO_TRACING,
    }),
    ...createRemovalActivities({ pool, settings }),
    ...createMemoryDataActivities({ pool, reach, memory: (life) => resources.memories.open(life) }),
  });
}

function backupResources({ pool, documents, phoenix, shelf, configServer }: Resources): BackupResources {
  return { pool, documents, phoenix, shelf, configServer };
}
