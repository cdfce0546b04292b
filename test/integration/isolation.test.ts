import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, test, vi } from 'vitest';
import { exportTraces } from '../../src/backup/traces/export.js';
import { CvopsClient } from '../../src/client/index.js';
import type { VerifyIsolationResult } from '../../src/contracts/isolation.js';
import { CANARY_NAMESPACE, CANARY_SPAN, ISOLATION_WAYS, LEAK_KINDS } from '../../src/domain/canaries.js';
import { type TenantId, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { CONTENT_NAMESPACE } from '../../src/domain/naming.js';
import type { ProfileName } from '../../src/domain/profiles.js';
import { PROFILES_OF } from '../../src/isolation/leaks.js';
import type { Member } from '../../src/isolation/member.js';
import { plantCanaries, removeCanaries } from '../../src/isolation/plant.js';
import { proveLeak } from '../../src/isolation/selfTest.js';
import { type IsolationStores, waysOf } from '../../src/isolation/ways.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { drainSpans } from '../../src/phoenix/drain.js';
import { readSpans } from '../../src/phoenix/storedSpans.js';
import { openPool } from '../../src/registry/database.js';
import { lowerFence, raiseFence } from '../../src/registry/fence.js';
import {
  configCanaries,
  enrol,
  membersOf,
  notePlanting,
  plantedMembers,
} from '../../src/registry/isolation.js';
import { finishOperation, getOperation, startOperation } from '../../src/registry/operations.js';
import { schemasOf } from '../../src/registry/schemas.js';
import { findTenant, getTenant } from '../../src/registry/tenants.js';
import { openDocuments } from '../../src/vespa/access.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { visit } from '../../src/vespa/visit.js';
import { BLIND_WAYS } from '../support/blindWays.js';
import { cvops, cvopsJson, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { fillDocuments, filledTenant } from '../support/tenantData.js';

/** `.ci/run` asks for fewer. */
const SWEEPS = Number(process.env['ISOLATION_SWEEPS'] ?? 100);
/** Beside five minutes, as every test of a stack has: a sweep waits for Phoenix twice. */
const SWEEPS_MS = 300_000 + SWEEPS * 20_000;
const PROFILE = 'video_colpali_smol500_mv_frame';
const signal = new AbortController().signal;

let stores: IsolationStores;
let client: CvopsClient;
let [ann, bob, carl, dora, emma, finn]: TenantId[] = [];
beforeAll(async () => {
  const settings = stackSettings();
  client = await CvopsClient.connect(settings);
  stores = {
    pool: openPool(settings.databaseUrl, { name: 'tests' }),
    documents: await openDocuments(settings),
    phoenix: new PhoenixClient(settings.phoenixUrl),
    cluster: async () => CONTENT_CLUSTER,
  };
  [ann, bob, carl, dora, emma, finn] = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const tenant = parseTenantId(freshTenant('apart'));
      const wanted = { tenant, template: 'startup', overrides: {}, profiles: [PROFILE], reason: '' } as const;
      await (await client.createTenant(wanted)).result();
      return tenant;
    }),
  );
});
afterAll(async () => {
  await client?.close();
  await stores?.documents.close();
  await stores?.pool.end();
});

/** What is left in a tenant's stores, by visiting, not by searching. */
async function canariesIn(tenant: TenantId): Promise<string[]> {
  const { incarnation, phoenixProject } = await getTenant(stores.pool, tenant);
  const found: string[] = [];
  for (const { schemaName: schema } of await schemasOf(stores.pool, incarnation)) {
    const where = { cluster: CONTENT_CLUSTER, schema, namespace: CANARY_NAMESPACE, fieldSet: '[id]' };
    for await (const event of visit(stores.documents, where))
      if (event.kind === 'lines') found.push(...event.lines.map(String));
  }
  for await (const { context } of readSpans(stores.phoenix, phoenixProject, { name: CANARY_SPAN }))
    found.push(context.span_id);
  return [...found, ...(await configCanaries(stores.pool, incarnation))];
}

/** All that an operator sees and keeps of a tenant. */
async function viewOf(tenant: TenantId) {
  const { hits } = await client.search({
    ...{ tenant, query: 'Hund', profile: PROFILE, ranking: 'binary_binary', topK: 400 },
  });
  const { memories, videos } = await filledTenant(stores.pool, tenant);
  const shown = await client.showTenant(tenant);
  const backup = await client.backups.create({ tenant, consistency: 'fuzzy', reason: '' });
  const { documents, memories: kept } = await backup.result();
  return {
    hits: hits.map(({ id }) => id).toSorted(),
    inVespa: await stores.documents.count(videos, CONTENT_CLUSTER),
    inMemory: await stores.documents.count(memories, CONTENT_CLUSTER),
    remembered: (await client.memory.list({ tenant, pageSize: 400 })).items.length,
    stats: await client.memory.stats(tenant),
    config: shown.config.map(({ scope, key, version }) => `${scope}/${key}/${version}`),
    backup: { documents, kept },
  };
}

const verify = async (a: TenantId, b: TenantId) =>
  (await client.isolation.verify({ tenants: [a, b], reason: '' })).result();

describe.concurrent('isolation', () => {
  test(
    'two tenants find their own by every way, and nothing of the other’s; nothing stays',
    { timeout: SWEEPS_MS },
    async ({ expect }) => {
      const result = await cvopsJson<VerifyIsolationResult>(['isolation', 'verify', ann!, bob!]);
      expect(result).toMatchObject({ ok: true, tenants: 2, pairs: 2, skipped: [] });
      const pairs = [ann, bob].flatMap((a) => [ann, bob].map((b) => `${a} ${b}`));
      const wanted = ISOLATION_WAYS.flatMap((way) => pairs.map((pair) => `${way} ${pair} true`));
      expect(result.checks.map(({ name, a, b, ok }) => `${name} ${a} ${b} ${ok}`).toSorted()).toEqual(
        wanted.toSorted(),
      );
      for (let sweep = 1; sweep < SWEEPS; sweep++)
        expect(await verify(ann!, bob!), `sweep ${sweep}`).toMatchObject({ ok: true, pairs: 2 });
      expect([await canariesIn(ann!), await canariesIn(bob!)]).toEqual([[], []]);
    },
  );

  test('every kind of leak is seen, and its tenants are gone', async ({ expect }) => {
    const result = await cvopsJson<VerifyIsolationResult>(['isolation', 'verify', '--self-test']);
    expect(result.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(result.checks.map(({ name }) => name)).toEqual(LEAK_KINDS.map((kind) => `leak: ${kind}`));
    expect(result.ok).toBe(true);
    const [{ a, b } = { a: '', b: '' }] = result.checks;
    for (const id of [a, b]) expect((await findTenant(stores.pool, parseTenantId(id)))?.state).toBe('purged');
  });

  test('a way that is blind to all but its own leaves a leak unseen, and the self-test says so', async ({
    expect,
  }) => {
    const member = async (name: string, profiles: readonly ProfileName[]): Promise<Member> => {
      const tenant = parseTenantId(name);
      const wanted = { tenant, template: 'startup', overrides: {}, profiles, reason: '' };
      await (await client.createTenant(wanted)).result();
      return { tenant, incarnation: (await getTenant(stores.pool, tenant)).incarnation, token: randomUUID() };
    };
    const name = freshTenant('blind');
    const [a, b] = await Promise.all([member(name, PROFILES_OF.a), member(`${name}_corp`, PROFILES_OF.b)]);
    const ways = waysOf(stores);
    const drain = () => drainSpans(stores.phoenix, { timeoutMs: 120_000 });
    for (const { unseen, kind, ways: blind } of BLIND_WAYS) {
      const world = { stores, a, b, signal, waysOf: (me: Member) => ({ ...ways, ...blind(ways, me) }) };
      const { seen, detail } = await proveLeak(kind, world, drain);
      expect([kind, seen, detail.split(';')[0]]).toEqual([kind, false, `not seen by ${unseen}`]);
    }
  });

  test('a document in another’s schema: exit 8, which names it and says nothing of what is in it', async ({
    expect,
  }) => {
    const { incarnation } = await getTenant(stores.pool, carl!);
    const { videos: schema } = await filledTenant(stores.pool, dora!);
    const fields = { tenant_id: carl, incarnation, video_id: 'v', video_title: 'Unspeakable' };
    const at = { namespace: CONTENT_NAMESPACE, schema, id: 'astray' };
    await stores.documents.put(at, Buffer.from(JSON.stringify({ fields })));
    const run = await cvops('isolation', 'verify', carl!, dora!, '-o', 'json');
    expect(run.code).toBe(8);
    const result = JSON.parse(run.stdout) as VerifyIsolationResult;
    expect(result.checks.filter(({ ok }) => !ok)).toEqual([
      {
        ...{ name: 'search', a: dora, b: carl, ok: false },
        detail: `search of ${schema}: id:content:${schema}::astray is not its own`,
      },
    ]);
    expect(run.stdout + run.stderr).not.toContain('Unspeakable');
    const operation = parseOperationId(result.operation);
    // Of one that was not waited for the same is heard later.
    expect((await cvops('op', 'watch', operation)).code).toBe(8);
    expect(await getOperation(stores.pool, operation)).toMatchObject({
      ...{ state: 'completed_with_failures', counts: { pairs: 2, failed: 1 } },
    });
    await stores.documents.remove(at);
    expect(await verify(carl!, dora!)).toMatchObject({ ok: true });

    const key = { tenant: dora!, incarnation: (await getTenant(stores.pool, dora!)).incarnation };
    const fence = { ...key, operation };
    await raiseFence(stores.pool, fence);
    const closed = await cvops('isolation', 'verify', carl!, dora!, '-o', 'json');
    expect([closed.code, errorOf(closed).message]).toEqual([
      6,
      `${dora} could not be checked: it is closed to changes by operation ${operation}`,
    ]);
    await lowerFence(stores.pool, fence);
    expect([await canariesIn(carl!), await canariesIn(dora!)]).toEqual([[], []]);
  });

  test('no operator sees a canary; what a killed run left is removed by the next', async ({ expect }) => {
    const filled = await filledTenant(stores.pool, emma!);
    await fillDocuments(stores.documents, filled, { segments: 3, memories: 0 });
    for (const text of ['Likes bridges', 'Has a dog'])
      await client.memory.add({ tenant: emma!, text, userId: 'user123' });
    const before = await viewOf(emma!);
    expect(before).toMatchObject({ inVespa: 3, inMemory: 2, backup: { documents: 3, kept: 2 } });
    const { incarnation } = filled.row;
    const member = { tenant: emma!, incarnation, token: randomUUID() };
    await plantCanaries(stores, member, signal);
    await drainSpans(stores.phoenix, { timeoutMs: 120_000 });
    expect(await canariesIn(emma!)).toHaveLength(4);
    expect(await viewOf(emma!)).toEqual(before);
    // Searches leave spans too, when they can: of these none is counted that was not made.
    const range = { from: new Date(0), to: new Date(Date.now() + 86_400_000) };
    expect((await client.metrics.tenant(emma!, range)).metrics.total_queries).toBeLessThanOrEqual(2);
    const call = { signal, heartbeat: () => undefined };
    const traces = await exportTraces(stores.phoenix, filled.row.phoenixProject, call);
    for await (const line of traces!.lines('spans')) expect(String(line)).not.toContain(CANARY_SPAN);
    await (await client.memory.clear(emma!, '')).result();
    expect(await canariesIn(emma!)).toHaveLength(4);
    await removeCanaries(stores, member, signal);
    expect(await canariesIn(emma!)).toEqual([]);

    const operation = parseOperationId(randomUUID());
    const by = { principal: 'tests', reason: '', workflowId: 'killed' };
    const row = { operation, kind: 'verifyIsolation', tenant: null, incarnation: null, ...by } as const;
    await startOperation(stores.pool, row);
    await enrol(stores.pool, operation, [incarnation]);
    const [left] = await membersOf(stores.pool, { operation, from: 1, to: 1 });
    await notePlanting(stores.pool, left!);
    await plantCanaries(stores, left!, signal);
    await drainSpans(stores.phoenix, { timeoutMs: 120_000 });
    await finishOperation(stores.pool, operation, { state: 'failed' });
    // Another test's run may be about to remove them, and is not disturbed in it.
    await vi.waitFor(() => verify(emma!, finn!), { timeout: 60_000 });
    expect(await canariesIn(emma!)).toEqual([]);
    expect(await plantedMembers(stores.pool, operation)).toEqual([]);
  });

  test.each([
    [['apart_one'], 2, 'isolation is between two tenants'],
    [['apart_one', 'apart_two', '--all'], 2, 'either two tenants or --all'],
    [['apart_one', 'apart_two', '--self-test'], 2, 'a self-test makes tenants of its own'],
    [['apart_one', 'apart_two'], 5, 'no tenant apart_one'],
  ])('isolation verify %j exits %i', async (args, code, message) => {
    const { expect } = await import('vitest');
    const run = await cvops('isolation', 'verify', ...args, '-o', 'json');
    expect([run.code, errorOf(run).message]).toEqual([code, message]);
  });
});
