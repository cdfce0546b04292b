import { chmod, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { CvopsClient } from '../src/client/index.js';
import type { ApplicationStatus } from '../src/contracts/tenants.js';
import { type TenantId, parseTenantId } from '../src/domain/ids.js';
import { tenantSchemaName, workflowIds } from '../src/domain/naming.js';
import type { ProfileName } from '../src/domain/profiles.js';
import { startStack } from '../src/embedded/stack.js';
import { loadSettings } from '../src/settings.js';
import { ConfigServer } from '../src/vespa/configServer.js';
import { editServices } from '../src/vespa/package/services.js';
import { generateSd } from '../src/vespa/package/sd.js';
import { loadSchema } from '../src/vespa/schemaFiles.js';
import { print, round } from './row.js';

const TENANTS = 100;
const ADDED: readonly ProfileName[] = [
  'video_colpali_smol500_mv_frame',
  'video_videoprism_base_mv_chunk_30s',
];
const FIRST: ProfileName = 'video_colqwen_omni_mv_chunk_30s';
const PEER = 'one deploy of the whole package per tenant and schema, as the guide’s script does';

/**
 * Two more schemas for each of 100 tenants: a rollout through `vespaApplication`, beside the guide's loop into the same
 * server from the same beginning. Counts deploys and seconds.
 */
export async function schemas(): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-bench-'));
  // Made by the stack, so that the user PostgreSQL runs as may enter it.
  await chmod(folder, 0o755);
  const home = path.join(folder, 'home');
  const note = (line: string) => process.stderr.write(`${line}\n`);
  const stack = await startStack({ home, portOffset: 20_000, log: note, env: venv() });
  const settings = loadSettings({ CVOPS_HOME: home });
  const client = await CvopsClient.connect(settings);
  const connection = await Connection.connect({ address: settings.temporalAddress });
  const temporal = new Client({ connection });
  const server = new ConfigServer(settings.vespaConfigUrl);
  const deploys = async () => {
    const handle = temporal.workflow.getHandle(workflowIds.vespaApplication(settings.vespaCluster));
    return (await handle.query<ApplicationStatus>('status')).deploys;
  };
  const row = (name: string, unit: string, ours: number, peer: number) =>
    print({
      bench: 'schemas',
      row: name,
      unit,
      ours: round(ours),
      peer: round(peer),
      peerName: PEER,
      ratio: round(peer / ours),
    });
  try {
    const tenants = Array.from({ length: TENANTS }, (_, i) => parseTenantId(`bench_${i}`));
    note(`creating ${TENANTS} tenants`);
    const began = performance.now();
    await createAll(client, tenants);
    const created = (performance.now() - began) / 1000;
    const forCreation = await deploys();
    // What the guide would have deployed for them; its loop is timed below, over the same number of schemas.
    row(`create ${TENANTS} tenants with one schema each`, 'deploys', forCreation, TENANTS);
    print({
      bench: 'schemas',
      row: `create ${TENANTS} tenants with one schema each`,
      unit: 's',
      ours: round(created),
      skipped: 'the guide has no command that creates a tenant whole',
    });

    note('ours: a rollout of two schemas to all');
    const start = performance.now();
    const handle = await client.schemas.deploy({
      tenants: 'all',
      bases: ADDED,
      maxFailures: 0,
      reason: 'bench',
    });
    const { tenants: ended } = await handle.result();
    const ours = (performance.now() - start) / 1000;
    if (ended.done !== TENANTS) throw new Error(`only ${ended.done} of ${TENANTS} tenants are done`);
    const ourDeploys = (await deploys()) - forCreation;
    const wanted = new Set(tenants.flatMap((t) => ADDED.map((base) => tenantSchemaName(base, t))));
    await requireSchemas(server, wanted);

    note('peer: the loop, from where ours began');
    await startOver(server, tenants);
    const { seconds: peer, deploys: peerDeploys } = await guideLoop(server, tenants, note);
    await requireSchemas(server, wanted);
    row(`two schemas for each of ${TENANTS} tenants`, 'deploys', ourDeploys, peerDeploys);
    row(`two schemas for each of ${TENANTS} tenants`, 's', ours, peer);
  } finally {
    await client.close();
    await connection.close();
    await stack.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function createAll(client: CvopsClient, tenants: readonly TenantId[]): Promise<void> {
  const handles = await Promise.all(
    tenants.map((tenant) =>
      client.createTenant({ tenant, template: 'trial', overrides: {}, profiles: [FIRST], reason: 'bench' }),
    ),
  );
  await Promise.all(handles.map((handle) => handle.result()));
}

/** The package as it was before: the first schema of every tenant and nothing else. */
async function startOver(server: ConfigServer, tenants: readonly TenantId[]): Promise<void> {
  const files = await packageOf(server);
  const gone = tenants.flatMap((tenant) => ADDED.map((base) => tenantSchemaName(base, tenant)));
  for (const name of gone) files.delete(`schemas/${name}.sd`);
  const services = files.get('services.xml')!.toString('utf8');
  files.set('services.xml', Buffer.from(editServices(services, { add: [], remove: gone })));
  const until = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  files.set(
    'validation-overrides.xml',
    Buffer.from(
      `<validation-overrides>\n  <allow until="${until}">schema-removal</allow>\n</validation-overrides>\n`,
    ),
  );
  await server.prepareAndActivate(files);
}

/** The guide's two nested loops: read what is there, add one schema, upload everything. */
async function guideLoop(
  server: ConfigServer,
  tenants: readonly TenantId[],
  note: (line: string) => void,
): Promise<{ seconds: number; deploys: number }> {
  const start = performance.now();
  let deploys = 0;
  const files = await packageOf(server);
  files.delete('validation-overrides.xml');
  for (const tenant of tenants) {
    for (const base of ADDED) {
      const name = tenantSchemaName(base, tenant);
      const services = files.get('services.xml')!.toString('utf8');
      files.set('services.xml', Buffer.from(editServices(services, { add: [name], remove: [] })));
      files.set(`schemas/${name}.sd`, Buffer.from(generateSd(name, loadSchema(base))));
      await server.prepareAndActivate(files);
      if (++deploys % 50 === 0) note(`peer: ${deploys} deploys`);
    }
  }
  return { seconds: (performance.now() - start) / 1000, deploys };
}

async function packageOf(server: ConfigServer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const name of await server.listFiles()) files.set(name, (await server.readFile(name))!);
  return files;
}

async function requireSchemas(server: ConfigServer, wanted: ReadonlySet<string>): Promise<void> {
  const there = new Set(await server.listFiles());
  const missing = [...wanted].filter((name) => !there.has(`schemas/${name}.sd`));
  if (missing.length > 0) throw new Error(`${missing.length} schemas are missing: ${missing[0]}`);
}

function venv(): NodeJS.ProcessEnv {
  process.env['CVOPS_VENV'] ??= path.resolve('.cvops', 'venv');
  return {};
}
