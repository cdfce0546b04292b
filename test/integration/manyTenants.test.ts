import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import type { DeploySchemasResult } from '../../src/contracts/rollout.js';
import type { ApplicationStatus } from '../../src/contracts/tenants.js';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { tenantSchemaName, workflowIds } from '../../src/domain/naming.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { ConfigServer } from '../../src/vespa/configServer.js';
import { cvops, cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';

const COUNT = Number(process.env['MANY_TENANTS'] ?? 100);
const COLPALI = 'video_colpali_smol500_mv_frame';
const COLQWEN = 'video_colqwen_omni_mv_chunk_30s';

const stem = freshTenant('many');
const tenants = Array.from({ length: COUNT }, (_, i) => parseTenantId(`${stem}_${i}`));
let client: CvopsClient;
let connection: Connection;
let temporal: Client;
let pool: Pool;
beforeAll(async () => {
  const settings = stackSettings();
  client = await CvopsClient.connect(settings);
  connection = await Connection.connect({ address: settings.temporalAddress });
  temporal = new Client({ connection });
  pool = openPool(settings.databaseUrl, { name: 'tests' });
});
afterAll(async () => {
  // So many tenants in the package would slow down every test after these, and their purge is one more proof.
  const ends = await Promise.all(tenants.map((tenant) => purge(tenant)));
  expect(new Set(ends)).toEqual(new Set(['purged']));
  const { rows } = await pool.query<{ n: number }>(
    `select count(*) as n from erasure_certificates c join tenants t using (incarnation) where t.tenant = any($1)`,
    [tenants],
  );
  expect(rows[0]!.n).toBe(COUNT);
  await client?.close();
  await connection?.close();
  await pool?.end();
});

const purge = async (tenant: TenantId) =>
  (await (await client.life.delete({ tenant, reason: 'test', secondLookSeconds: 1 })).result()).state;

/** Packages activated by the one writer since it began. */
async function deploys(): Promise<number> {
  try {
    const handle = temporal.workflow.getHandle(workflowIds.vespaApplication(stackSettings().vespaCluster));
    return (await handle.query<ApplicationStatus>('status')).deploys;
  } catch {
    return 0;
  }
}

test(`${COUNT} tenants created at once: all active, in at most 15 deploys`, async () => {
  const before = await deploys();
  const handles = await Promise.all(
    tenants.map((tenant) =>
      client.createTenant({
        tenant,
        template: 'trial',
        overrides: {},
        profiles: [COLPALI],
        reason: '',
      }),
    ),
  );
  const created = await Promise.all(handles.map((handle) => handle.result()));
  expect(new Set(created.map(({ state }) => state))).toEqual(new Set(['active']));
  expect((await deploys()) - before).toBeLessThanOrEqual(15);
  const { rows } = await pool.query<{ n: number }>(
    `select count(*) as n from tenant_schemas s join tenants t using (incarnation)
     where t.tenant = any($1) and s.state = 'deployed' and t.state = 'active'`,
    [tenants],
  );
  expect(rows[0]!.n).toBe(COUNT);
});

test('schema deploy to all of them: at most 5 deploys, and each has it', async () => {
  const before = await deploys();
  const rolled = await cvopsJson<DeploySchemasResult & { deployed: string[]; deployments: number }>([
    ...['schema', 'deploy', '--tenant', ...tenants],
    ...['--profiles', COLQWEN],
  ]);
  expect(rolled.tenants).toEqual({ done: COUNT, failed: 0, skipped: 0 });
  expect(rolled.deployments).toBeLessThanOrEqual(5);
  expect((await deploys()) - before).toBe(rolled.deployments);
  expect(rolled.deployed.filter((name) => name.startsWith(COLQWEN))).toHaveLength(COUNT);
});

test('one whose schema Vespa refuses fails alone, by name; the others are done', async () => {
  // Somebody else has put a file of that name into the package, with a field of another type: a change Vespa refuses.
  const unlucky = tenants[COUNT >> 1]!;
  const name = tenantSchemaName(COLPALI, unlucky);
  await spoil(name);
  const result = await cvops('schema', 'deploy', '--tenant', ...tenants, '-o', 'json');
  expect(result.code).toBe(3);
  const rolled = JSON.parse(result.stdout) as DeploySchemasResult & {
    failures: { tenant: string; reason: string }[];
  };
  expect(rolled.tenants).toEqual({ done: COUNT - 1, failed: 1, skipped: 0 });
  expect(rolled.failures.map(({ tenant }) => tenant)).toEqual([unlucky]);
  expect(rolled.failures[0]!.reason).toContain(name);
});

test('a rollout stops after the first wave that fails, and says who was skipped', async () => {
  const first = tenants[COUNT >> 1]!;
  const result = await cvops('schema', 'deploy', '--tenant', first, tenants[1]!, tenants[2]!, '-o', 'json');
  expect(result.code).toBe(1);
  const rolled = JSON.parse(result.stdout) as DeploySchemasResult & {
    failures: { tenant: string; reason: string }[];
  };
  expect(rolled.tenants).toEqual({ done: 0, failed: 1, skipped: 2 });
  expect(rolled.failures[1]!.reason).toMatch(/stopped after wave 1: 1 tenant/);
});

test('a named tenant that is not active: exit 6 and nothing is deployed', async () => {
  const before = await deploys();
  const result = await cvops('schema', 'deploy', '--tenant', tenants[0]!, 'no_such_tenant', '-o', 'json');
  expect(result.code).toBe(5);
  expect(await deploys()).toBe(before);
});

/** Replaces a schema in the package by one whose `video_id` is a number. */
async function spoil(name: string): Promise<void> {
  const server = new ConfigServer(stackSettings().vespaConfigUrl);
  const session = await server.createSessionFromActive();
  const sd = (await server.readFile(`schemas/${name}.sd`, session))!.toString('utf8');
  const spoilt = sd.replace('field video_id type string', 'field video_id type long');
  expect(spoilt).not.toBe(sd);
  await server.putFile(session, `schemas/${name}.sd`, Buffer.from(spoilt));
  await server.putFile(
    session,
    'validation-overrides.xml',
    Buffer.from(
      `<validation-overrides>\n  <allow until="${new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)}">field-type-change</allow>\n</validation-overrides>\n`,
    ),
  );
  await server.prepare(session);
  await server.activate(session);
  // Their override was for that one deploy.
  const again = await server.createSessionFromActive();
  await server.deleteFile(again, 'validation-overrides.xml');
  await server.prepare(again);
  await server.activate(again);
}
