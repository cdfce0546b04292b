import { MockActivityEnvironment } from '@temporalio/testing';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApplicationActivities, ownedChange } from '../../../activities/application.js';
import type { ApplicationActivities } from '../../../activities/types.js';
import type { SchemaChangeRequest } from '../../../src/contracts/tenants.js';
import { parseIncarnation, parseTenantId } from '../../../src/domain/ids.js';
import type { Pool } from '../../../src/registry/database.js';
import type { SchemaRow } from '../../../src/registry/schemas.js';
import { deployRequests } from '../../../src/vespa/application.js';
import { generateSd } from '../../../src/vespa/package/sd.js';
import { loadSchema } from '../../../src/vespa/schemaFiles.js';
import { RecordedConfigServer } from '../../support/recordedConfigServer.js';

const BASE = 'video_colpali_smol500_mv_frame';
const tenant = parseTenantId('acme_corp');
const incarnation = parseIncarnation('5c1d9f9e-3f53-4a8b-8f0e-0d2f4b1c6a11');
const names = [`${BASE}_acme_corp`, `${BASE}_corp`];

let server: RecordedConfigServer;
beforeAll(async () => {
  server = await RecordedConfigServer.start();
  const put = names.map((name) => ({ name, sd: generateSd(name, loadSchema(BASE)) }));
  await deployRequests(server.client(), [{ id: 'there', put, remove: [] }]);
});
afterAll(() => server?.close());

/**
 * The activity over a registry that answers every question with these rows.
 *
 * @param isAsked whether the registry knows the request
 */
async function deploy(
  rows: readonly Partial<SchemaRow>[],
  request: Partial<SchemaChangeRequest>,
  isAsked = true,
) {
  const query = async (sql: string, [digests]: [readonly string[]]) => {
    if (!sql.includes('schema_requests')) return { rows, rowCount: rows.length };
    return { rows: isAsked ? digests.map((digest) => ({ digest })) : [] };
  };
  const pool = { query } as unknown as Pool;
  const activities = createApplicationActivities({
    pool,
    client: undefined as unknown as Client,
    vespaUrl: server.url,
    vespaConfigUrl: server.url,
  });
  const whole = { id: 'r', tenant, incarnation, add: [], remove: [], ...request };
  const env = new MockActivityEnvironment();
  const before = server.packages.length;
  const batch = (input: Parameters<ApplicationActivities['deployBatch']>[0]) => activities.deployBatch(input);
  const { outcomes } = await env.run<
    Parameters<typeof batch>,
    Awaited<ReturnType<typeof batch>>,
    typeof batch
  >(batch, {
    cluster: 'test',
    requests: [whole],
  });
  return { outcome: outcomes[0]!, deploys: server.packages.length - before };
}

test('a registry that answers with an empty list removes nothing: the plan names what should go', async () => {
  const { outcome, deploys } = await deploy([], { remove: [BASE], removeNames: [names[0]!] });
  expect(outcome).toMatchObject({ ok: false, error: { type: 'Rejected' } });
  expect(outcome.error!.message).toContain(names[0]!);
  expect(deploys).toBe(0);
});

test('a registry that answers with another tenant’s row removes nothing of theirs', async () => {
  const theirs = {
    schemaName: names[1]!,
    tenant: parseTenantId('corp'),
    incarnation,
    baseSchema: BASE,
  } as const;
  const { outcome, deploys } = await deploy([theirs], { remove: [BASE], removeNames: [names[0]!] });
  expect(outcome.ok).toBe(false);
  expect(deploys).toBe(0);
});

test('a request that the registry has not been asked for is not carried out, whatever it owns', async () => {
  const mine = { schemaName: names[0]!, tenant, incarnation, baseSchema: BASE } as const;
  const { outcome, deploys } = await deploy([mine], { remove: [BASE] }, false);
  expect(outcome).toMatchObject({ ok: false, error: { type: 'Rejected' } });
  expect(deploys).toBe(0);
});

test('a registry without a row for what should be put puts nothing', async () => {
  const { outcome, deploys } = await deploy([], { add: [BASE] });
  expect(outcome).toMatchObject({ ok: false, error: { type: 'Rejected' } });
  expect(outcome.error!.message).toContain(BASE);
  expect(deploys).toBe(0);
});

test('what a row of the registry names is nobody’s to drop', async () => {
  const { outcome, deploys } = await deploy([{ schemaName: names[0]! }], {
    tenant: null,
    incarnation: null,
    dropUnregistered: [names[0]!],
  });
  expect(outcome).toMatchObject({ ok: false });
  expect(outcome.error!.message).toContain('belongs to a tenant');
  expect(deploys).toBe(0);
});

test('a removal that ran before is done: rows and schemas are gone together', async () => {
  const { outcome, deploys } = await deploy([], { remove: [BASE], removeNames: [`${BASE}_long_gone`] });
  expect(outcome.ok).toBe(true);
  expect(deploys).toBe(0);
});

test('a claimed name under which somebody else has another schema: refused, and theirs stays as it is', async () => {
  const mine = {
    schemaName: names[0]!,
    tenant,
    incarnation,
    baseSchema: 'agent_memories',
    state: 'reserved',
  } as const;
  const before = server.active.get(`schemas/${names[0]!}.sd`);
  const { outcome, deploys } = await deploy([mine], { add: ['agent_memories'] });
  expect(outcome.ok).toBe(false);
  expect(outcome.error!.message).toContain(`${names[0]!} is in the package already`);
  expect(deploys).toBe(0);
  expect(server.active.get(`schemas/${names[0]!}.sd`)).toEqual(before);
});

test('a claimed name with the very schema that is wanted: deployed before a kill, and taken up again', async () => {
  const mine = { schemaName: names[0]!, tenant, incarnation, baseSchema: BASE, state: 'reserved' } as const;
  expect(await ownedPut(mine)).toEqual([names[0]!]);
});

/** What the batch would put, without the wait for a container that is not there. */
async function ownedPut(row: Partial<SchemaRow>): Promise<string[]> {
  const pool = { query: async () => ({ rows: [row], rowCount: 1 }) } as unknown as Pool;
  const request = { id: 'r', tenant, incarnation, add: [BASE], remove: [] } as const;
  const change = await ownedChange(pool, server.client(), { ...request, add: [...request.add], remove: [] });
  expect(change.refused).toBeUndefined();
  return change.put.map(({ schemaName }) => schemaName);
}
