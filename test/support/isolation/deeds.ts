import { digestOf } from '../../../src/access/proofs.js';
import { noteSchemaRequest } from '../../../src/registry/access.js';
import type { CreateTenantInput, SchemaChangeRequest } from '../../../src/contracts/tenants.js';
import { SYSTEM_CONFIG } from '../../../src/domain/config/keys.js';
import { segmentDocumentId } from '../../../src/domain/documents.js';
import { OpsError } from '../../../src/domain/errors.js';
import type { OperationId, TenantId } from '../../../src/domain/ids.js';
import { CONTENT_NAMESPACE } from '../../../src/domain/naming.js';
import { type BaseSchema, PROFILE_NAMES, type ProfileName } from '../../../src/domain/profiles.js';
import { TEMPLATES } from '../../../src/domain/templates.js';
import { addItems, finishItem } from '../../../src/registry/ledger.js';
import { endLives } from '../../../src/registry/retention.js';
import { schemasOf } from '../../../src/registry/schemas.js';
import { type TenantRow, getTenant, livesOf } from '../../../src/registry/tenants.js';
import { noteFeeding, noteStored } from '../../../src/registry/videos.js';
import { ensureTenantSchedule } from '../../../src/schedules/tenantSchedules.js';
import { writeConfig } from '../../../src/tenants/config.js';
import { newIncarnation, newOperation } from '../registry.js';
import type { Lane } from './lane.js';
import { CHUNK, FRAME, MV } from './names.js';
import type { Deed } from './sequences.js';

export const BASES: Readonly<Record<'frame' | 'mv' | 'chunk', ProfileName>> = {
  frame: FRAME,
  mv: MV,
  chunk: CHUNK,
};
const DAY_MS = 86_400_000;
const by = { principal: 'tests', reason: '' };
const cluster = 'isolation';

/** Carries one deed out, activity by activity, as its workflow or the client does. @throws OpsError when refused */
export async function carryOut(lane: Lane, tenant: TenantId, deed: Deed): Promise<void> {
  switch (deed.do) {
    case 'create':
      return create(lane, tenant, deed);
    case 'addSchema':
      return addSchema(lane, tenant, BASES[deed.base]);
    case 'ingest':
      return ingest(lane, tenant, deed.videos);
    case 'setConfig':
      return configure(lane, tenant, {
        kind: 'edits',
        edits: { set: { max_qps: String(deed.maxQps) }, unset: [] },
      });
    case 'rollback':
      return configure(lane, tenant, { kind: 'rollback', to: 1 });
    case 'schedule':
      return schedule(lane, tenant);
    case 'deactivate':
      return deactivate(lane, tenant);
    case 'reactivate':
      return reactivate(lane, tenant);
    case 'extend': {
      const key = await present(lane, tenant);
      await lane.activities.extendRetention({ ...key, ...by, days: 5, now: Date.now() });
      return;
    }
    case 'purge':
      return purge(lane, tenant);
  }
}

interface Key {
  readonly tenant: TenantId;
  readonly incarnation: TenantRow['incarnation'];
  readonly operation: OperationId;
}

async function present({ pool }: Lane, tenant: TenantId): Promise<Key> {
  const { incarnation } = await getTenant(pool, tenant);
  return { tenant, incarnation, operation: newOperation() };
}

/** As `workflows/createTenant.ts`, with its compensations. */
async function create(lane: Lane, tenant: TenantId, deed: Extract<Deed, { do: 'create' }>): Promise<void> {
  const { activities } = lane;
  const template = deed.memory ? 'startup' : 'trial';
  const key = { tenant, incarnation: newIncarnation(), operation: newOperation() };
  const input: CreateTenantInput = {
    ...key,
    ...by,
    template,
    values: TEMPLATES[template]!,
    profiles: [BASES[deed.base]],
    cluster,
    overrideQuarantine: deed.override,
  };
  const { bases, memoryEnabled } = await activities.beginCreate(input);
  try {
    await activities.writeInitialConfig(input);
    await activities.reserveSchemas({ ...key, bases });
    await changeSchemas(lane, { ...key, add: bases, remove: [] });
    await activities.ensurePhoenixProject(key);
    if (memoryEnabled) await activities.proveMemory(key);
    await activities.activate(key);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    const remove = await activities.schemasToRemove(key);
    if (remove.length > 0) await changeSchemas(lane, { ...key, add: [], remove });
    await activities.releaseSchemas(key);
    await activities.removeConfig(key);
    const failure = { code: error.type, message: error.message };
    await activities.failCreate({ ...key, state: 'failed', failure });
    throw error;
  }
}

async function addSchema(lane: Lane, tenant: TenantId, base: BaseSchema): Promise<void> {
  const key = await present(lane, tenant);
  await lane.activities.reserveSchemas({ ...key, bases: [base] });
  await changeSchemas(lane, { ...key, add: [base], remove: [] });
}

type Batch = Awaited<ReturnType<Lane['activities']['deployBatch']>>;

/** One batch of one request: what `vespaApplication` does with it. */
async function changeSchemas(
  { pool, activities, environment }: Lane,
  {
    tenant,
    incarnation,
    operation,
    ...change
  }: Key & Pick<SchemaChangeRequest, 'add' | 'remove' | 'removeNames'>,
): Promise<void> {
  const request = { id: operation, tenant, incarnation, ...change };
  await noteSchemaRequest(pool, digestOf([request]));
  const { outcomes } = await environment.run<[], Batch, () => Promise<Batch>>(() =>
    activities.deployBatch({ cluster, requests: [request] }),
  );
  const refused = outcomes.find(({ ok }) => !ok)?.error?.message;
  if (refused !== undefined) throw new OpsError('Rejected', refused);
}

/** The ledger, the videos' rows and their documents, without the pictures. */
async function ingest(lane: Lane, tenant: TenantId, videos: number): Promise<void> {
  const { pool, activities, documents } = lane;
  const { incarnation, operation } = await present(lane, tenant);
  const schema = (await schemasOf(pool, incarnation)).find(({ baseSchema }) =>
    (PROFILE_NAMES as readonly string[]).includes(baseSchema),
  );
  const profile = (schema?.baseSchema ?? FRAME) as ProfileName;
  await activities.beginIngest({
    ...by,
    tenant,
    operation,
    profile,
    source: '/videos',
    concurrency: 1,
  });
  const paths = Array.from({ length: videos }, (_, i) => ({ path: `v${i}.mp4`, video: `v${i}` }));
  await addItems(pool, operation, paths);
  for (const [i, { path, video }] of paths.entries()) {
    const key = { incarnation, base: profile, video };
    await noteFeeding(pool, key, path, 1);
    const at = { namespace: CONTENT_NAMESPACE, schema: schema!.schemaName, id: segmentDocumentId(video, 0) };
    const fields = { tenant_id: tenant, incarnation, video_id: video, source_url: operation };
    await documents.put(at, Buffer.from(JSON.stringify({ fields })));
    await noteStored(pool, key, {
      sha256: operation,
      profileVersion: 1,
      encoder: 'none',
      documents: 1,
      bytes: 1,
      fingerprint: null,
    });
    await finishItem(pool, operation, i + 1, { state: 'stored', documents: 1 });
  }
  await activities.finishIngest({ tenant, operation, how: 'finished' });
}

async function configure(
  { pool }: Lane,
  tenant: TenantId,
  what: Parameters<typeof writeConfig>[1]['what'],
): Promise<void> {
  const { scope, service, key } = SYSTEM_CONFIG;
  await writeConfig(pool, { at: { tenant, scope, service, key }, what, ...by, allowedPrivate: ['vespa'] });
}

async function schedule({ pool, temporal }: Lane, tenant: TenantId): Promise<void> {
  const life = await getTenant(pool, tenant);
  await ensureTenantSchedule(pool, temporal.client, life, 'reindex', {
    scheduleId: `${tenant}/reindex`,
    spec: {},
    action: { type: 'startWorkflow', workflowType: 'none', taskQueue: 'none' },
  });
}

/** As the first run of `workflows/softDeleteTenant.ts`. */
async function deactivate(lane: Lane, tenant: TenantId): Promise<void> {
  const { activities } = lane;
  const key = await present(lane, tenant);
  const begin = { operation: key.operation, ...by, retentionDays: 90, running: 'drain' } as const;
  await activities.beginRetention({
    version: 1,
    tenant,
    incarnation: key.incarnation,
    cluster,
    begin,
    purgeAt: Date.now() + 90 * DAY_MS,
  });
  await activities.pauseSchedules(key);
  await activities.endDeactivation(key);
}

async function reactivate(lane: Lane, tenant: TenantId): Promise<void> {
  const key = await present(lane, tenant);
  await lane.activities.reactivate({ ...key, ...by, now: Date.now() });
  await lane.activities.resumeSchedules(key);
}

/** As `workflows/hardDeleteTenant.ts`, without the counting and the certificate, which take nothing away. */
async function purge(lane: Lane, tenant: TenantId): Promise<void> {
  const { activities, environment, pool } = lane;
  const key = await present(lane, tenant);
  const input = {
    ...key,
    ...by,
    trigger: 'requested',
    cluster,
    secondLookSeconds: 60,
    rehearsal: null,
  } as const;
  await activities.beginPurge({ ...input, now: Date.now(), creationStopped: true });
  await environment.run(() => activities.stopOperations(key));
  const { lives } = await activities.schemasToPurge(key);
  for (const { incarnation, bases, names } of lives) {
    if (bases.length === 0) continue;
    await changeSchemas(lane, { ...key, incarnation, add: [], remove: bases, removeNames: names });
  }
  await activities.noteSchemasErased(key);
  await environment.run(() => activities.eraseTraces(key));
  await activities.eraseSchedules(key);
  await activities.eraseLedger(key);
  await activities.eraseConfiguration(key);
  await endLives(pool, await livesOf(pool, key));
}
