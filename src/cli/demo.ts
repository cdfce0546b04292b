import path from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { CvopsClient } from '../client/index.js';
import type { VerifyIsolationResult } from '../contracts/isolation.js';
import { OpsError } from '../domain/errors.js';
import { parseBackupId } from '../domain/backups.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { CONTENT_NAMESPACE } from '../domain/naming.js';
import type { ProfileName } from '../domain/profiles.js';
import { sampleVideos } from '../embedded/sample-videos.js';
import { type Stack, startStack } from '../embedded/stack.js';
import { startDetached, supervised, supervisorCommand } from '../embedded/supervisor.js';
import { loadSettings } from '../settings.js';
import { ConfigServer } from '../vespa/configServer.js';
import { openDocuments } from '../vespa/access.js';
import type { DocumentClient } from '../vespa/documents.js';
import { contentClusterOf } from '../vespa/package/services.js';
import { type CommonOptions, wholeNumber, withOutput } from './context.js';
import { type RememberedReport, recall, remember } from './demoMemory.js';
import { answer, note, table } from './output.js';

interface DemoOptions extends CommonOptions {
  readonly videos?: string;
  readonly keep: boolean;
  readonly portOffset: number;
}

interface TenantReport {
  readonly tenant: TenantId;
  readonly profile: ProfileName;
  readonly stored: number;
  readonly unchanged: number;
  readonly failed: number;
  readonly documents: number;
  readonly inVespa: number;
  readonly searches: readonly {
    readonly query: string;
    readonly ranking: string;
    readonly hits: number;
    readonly best: string;
  }[];
}

interface RestoredReport {
  readonly tenant: TenantId;
  readonly backup: string;
  readonly documents: number;
  readonly spans: number;
}

/** Seconds between the two looks at the stores of the deleted tenant: nothing is on its way in a demo. */
const DEMO_SECOND_LOOK = 2;

const TENANTS = [
  { id: 'acme_corp', template: 'enterprise', profile: 'video_colpali_smol500_mv_frame' },
  { id: 'globex_inc', template: 'startup', profile: 'video_videoprism_base_mv_chunk_30s' },
] as const;

export function addDemoCommand(program: Command): void {
  withOutput(
    program
      .command('demo')
      .description(
        'the main job from nothing: two tenants, real videos, searches, memories, isolation; one backed up, deleted, restored',
      )
      .option('--videos <folder>', 'a folder of *.mp4 instead of the sample clips')
      .option('--keep', 'leave everything up afterwards', false)
      .option('--port-offset <n>', 'add to every default port', wholeNumber, 0),
  ).action(async (options: DemoOptions) => {
    const { home } = loadSettings();
    const stack = await bringUp(home, options);
    try {
      const { reports, remembered, isolation, restored } = await run(home, options);
      const { temporalUiUrl, phoenixUrl } = loadSettings();
      answer(
        options.output,
        {
          ok: true,
          tenants: reports,
          memories: remembered,
          isolation,
          restored,
          temporalUi: temporalUiUrl,
          phoenix: phoenixUrl,
        },
        () => summary(reports, restored),
      );
      note(`Temporal UI  ${temporalUiUrl}\nPhoenix      ${phoenixUrl}`);
      note(
        stack
          ? 'stopping the stack; run with --keep to look around'
          : 'everything is left up; stop it with: npx cvops down',
      );
    } finally {
      await stack?.stop();
    }
  });
}

/** @returns a stack that this process must stop, or undefined when it is to stay or was there before */
async function bringUp(home: string, options: DemoOptions): Promise<Stack | undefined> {
  heading('the embedded stack');
  if (!options.keep && !supervised(home))
    return startStack({ home, portOffset: options.portOffset, log: note });
  await startDetached(home, supervisorCommand({ portOffset: options.portOffset }), note);
  return undefined;
}

async function run(
  home: string,
  options: DemoOptions,
): Promise<{
  reports: TenantReport[];
  remembered: RememberedReport[];
  isolation: VerifyIsolationResult;
  restored: RestoredReport;
}> {
  const settings = loadSettings();
  const client = await CvopsClient.connect(settings);
  const documents = await openDocuments(settings);
  try {
    heading('two tenants, created at once');
    await Promise.all(TENANTS.map((wanted) => createIfNew(client, wanted)));

    const folder =
      options.videos === undefined ? await sampleVideos(home, note) : path.resolve(options.videos);
    heading(`videos of ${folder}, for both`);
    const services = await new ConfigServer(settings.vespaConfigUrl).readFile('services.xml');
    const cluster = contentClusterOf(services?.toString('utf8') ?? '');
    const reports = await Promise.all(
      TENANTS.map((wanted) => ingestAndSearch(client, documents, cluster, folder, wanted)),
    );
    heading('a memory for each, of one user and one agent');
    const remembered = await remember(client);
    const isolation = await verifyApart(client);
    const restored = await backUpDeleteRestore(client, reports[0]!);
    if (JSON.stringify(await recall(client)) !== JSON.stringify(remembered))
      throw new OpsError('VerificationFailed', 'the memories are not what they were before the restore');
    const again = await ingestAndSearch(client, documents, cluster, folder, TENANTS[0]);
    if (again.inVespa !== reports[0]!.inVespa || again.stored > 0)
      throw new OpsError('VerificationFailed', `${again.tenant} is not what it was before it was deleted`);
    return { reports, remembered, isolation, restored };
  } finally {
    await documents.close();
    await client.close();
  }
}

async function createIfNew(client: CvopsClient, wanted: (typeof TENANTS)[number]): Promise<void> {
  const tenant = parseTenantId(wanted.id);
  const there = (await client.listTenants()).find((t) => t.tenant === tenant);
  if (there?.state === 'active') {
    note(`${tenant}: there already, from a former run`);
    return;
  }
  const handle = await client.createTenant({
    tenant,
    template: wanted.template,
    overrides: {},
    profiles: [wanted.profile],
    reason: 'demo',
  });
  const created = await handle.result();
  note(`${tenant}: active, with ${created.schemas.join(', ')}\n  ${handle.uiUrl}`);
}

async function ingestAndSearch(
  client: CvopsClient,
  documents: DocumentClient,
  cluster: string,
  folder: string,
  { id, profile }: (typeof TENANTS)[number],
): Promise<TenantReport> {
  const tenant = parseTenantId(id);
  const handle = await client.ingest.start({
    tenant,
    profile,
    source: folder,
    concurrency: 4,
    reason: 'demo',
  });
  const { videos, documents: inLedger } = await handle.result();
  for (const { video, reason } of await client.ingest.failures(handle.operation, 20))
    note(`${tenant}: ${video} failed: ${reason}`);
  if (videos.stored + videos.unchanged === 0)
    throw new OpsError('Unavailable', `no video could be ingested for ${tenant}`, `see ${handle.uiUrl}`);

  const { schema } = await client.ingest.plan({
    tenant,
    profile,
    source: folder,
    concurrency: 1,
    reason: '',
  });
  const inVespa = await documents.count(schema, cluster);
  note(
    `${tenant}: ${videos.stored} stored, ${videos.unchanged} unchanged, ${videos.failed} failed; ${inLedger} documents in the ledger, ${inVespa} in Vespa`,
  );
  if (inVespa < inLedger)
    throw new OpsError('VerificationFailed', `${tenant}: ${inLedger} documents reported, ${inVespa} found`);

  const searches = [];
  for (const [query, ranking] of [
    ['bikes', 'hybrid_float_bm25'],
    ['green grass', 'float_float'],
    ['a man in a car', 'phased'],
  ] as const) {
    const { hits, latencyMs } = await client.search({ tenant, query, profile, ranking, topK: 5 });
    // Every hit must be this tenant's, and must be there again when asked for by its id.
    for (const hit of hits) {
      const found = await documents.get({
        namespace: CONTENT_NAMESPACE,
        schema,
        id: hit.id.slice(hit.id.indexOf('::') + 2),
      });
      if (hit.tenant !== tenant || found?.['tenant_id'] !== tenant)
        throw new OpsError('VerificationFailed', `${tenant} was shown ${hit.id}`);
    }
    const best = hits[0] ? `${hits[0].video} at ${hits[0].start.toFixed(0)} s` : 'nothing';
    note(`${tenant}: "${query}" by ${ranking}: ${hits.length} hits in ${latencyMs} ms, best ${best}`);
    searches.push({ query, ranking, hits: hits.length, best });
  }
  return { tenant, profile, ...videos, documents: inLedger, inVespa, searches };
}

/** Canaries in every store of both, of which nobody may find another's. @throws OpsError `VerificationFailed` */
async function verifyApart(client: CvopsClient): Promise<VerifyIsolationResult> {
  const [a, b] = [parseTenantId(TENANTS[0].id), parseTenantId(TENANTS[1].id)];
  heading('isolation: who finds whose');
  const handle = await client.isolation.verify({ tenants: [a, b], reason: 'demo' });
  const result = await handle.result();
  if (!result.ok)
    throw new OpsError('VerificationFailed', `${a} and ${b} are not kept apart`, `see ${handle.uiUrl}`);
  const ways = [...new Set(result.checks.map(({ name }) => name))].join(', ');
  note(`${a}, ${b}: each finds its own canary by ${ways}, and none of the other's\n  ${handle.uiUrl}`);
  return result;
}

/** The end of a tenant and the way back: from its backup alone. */
async function backUpDeleteRestore(
  client: CvopsClient,
  { tenant, inVespa }: TenantReport,
): Promise<RestoredReport> {
  heading(`${tenant}: backed up, deleted for good, restored`);
  const reason = 'demo';
  const backup = await client.backups
    .create({ tenant, consistency: 'settled', reason })
    .then((handle) => handle.result());
  note(
    `${tenant}: ${backup.documents} documents and ${backup.memories} memories in ${backup.bytes} bytes (${backup.consistency}): ${backup.path}`,
  );
  const deletion = await client.life.delete({ tenant, reason, secondLookSeconds: DEMO_SECOND_LOOK });
  await deletion.result();
  note(`${tenant}: purged, with a signed certificate\n  ${deletion.uiUrl}`);
  const restore = await client.backups.restore({
    ...{ backup: parseBackupId(backup.backup), reason, replace: false, preview: false },
    overrideQuarantine: false,
  });
  const { documents, spans, state } = await restore.result();
  note(`${tenant}: ${state} again, ${documents} documents and ${spans} spans read back\n  ${restore.uiUrl}`);
  if (documents !== inVespa)
    throw new OpsError('VerificationFailed', `${tenant}: ${documents} documents came back of ${inVespa}`);
  return { tenant, backup: backup.backup, documents, spans };
}

function summary(reports: readonly TenantReport[], restored: RestoredReport): string {
  const rows = reports.map((r) => [
    r.tenant,
    r.profile,
    r.stored,
    r.unchanged,
    r.failed,
    r.documents,
    r.inVespa,
  ]);
  return `${table(['TENANT', 'PROFILE', 'STORED', 'UNCHANGED', 'FAILED', 'DOCUMENTS', 'IN VESPA'], rows)}\ndone: every document found again, every hit its own tenant's; ${restored.tenant} came back whole from its backup`;
}

function heading(text: string): void {
  note(pc.bold(`\n${text}`));
}
