import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import { type TenantId, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { parseRetention } from '../../src/domain/memory.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import { writeMemoryFile } from '../../src/memory/file/write.js';
import type { MemoryRecord } from '../../src/memory/tenantMemory.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { listSpans } from '../../src/phoenix/storedSpans.js';
import { listAudit } from '../../src/registry/audit.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { lowerFence, raiseFence } from '../../src/registry/fence.js';
import { getOperation } from '../../src/registry/operations.js';
import { findTenant, getTenant } from '../../src/registry/tenants.js';
import { cvops, cvopsJson, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const SCOPE = { userId: 'user123', agentId: 'video_search_agent' };
const TEXT = 'User prefers technical tutorials';
const OTHERS = ['The cat sleeps on the sofa', 'Invoices are sent on Mondays', 'It rains in Bergen'];

let pool: Pool;
let client: CvopsClient;
let folder: string;
let temporal: Client;
let phoenix: PhoenixClient;
let [acme, globex, trial]: TenantId[] = [];
beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { name: 'tests' });
  client = await CvopsClient.connect(settings);
  temporal = new Client({ connection: await Connection.connect({ address: settings.temporalAddress }) });
  phoenix = new PhoenixClient(settings.phoenixUrl);
  folder = await temporaryFolder();
  [acme, globex, trial] = await Promise.all([
    created('startup', { max_qps: '10000' }),
    created('startup', { max_qps: '10000' }),
    created('trial'),
  ]);
});
afterAll(async () => {
  await temporal?.connection.close();
  await client?.close();
  await pool?.end();
});

async function created(
  template: string,
  overrides: Readonly<Record<string, string>> = {},
): Promise<TenantId> {
  const tenant = parseTenantId(freshTenant('remembers'));
  const wanted = { tenant, template, overrides, profiles: [PROFILE], reason: '' } as const;
  await (await client.createTenant(wanted)).result();
  return tenant;
}

const remembered = async (tenant: TenantId, texts: readonly string[]): Promise<string[]> => {
  const added = await Promise.all(texts.map((text) => client.memory.add({ tenant, text, ...SCOPE })));
  return added.map(([memory]) => memory!.id);
};
const namesOfSpans = async (tenant: TenantId) =>
  (await listSpans(phoenix, phoenixProjectName(tenant), 100))?.map(({ name }) => name);
const total = async (tenant: TenantId) => (await client.memory.stats(tenant)).total_memories;

async function* aged(records: AsyncIterable<MemoryRecord>): AsyncGenerator<MemoryRecord> {
  const createdAt = new Date(Date.now() - 40 * 86_400_000).toISOString();
  for await (const record of records) yield { ...record, payload: { ...record.payload, createdAt } };
}

interface Found {
  readonly memories: { id: string; memory: string; user_id: string; agent_id: string; score: number }[];
}

describe.concurrent('a tenant’s memory', () => {
  test('by the command: added once by its key, found first, counted, deleted; another tenant sees nothing of it', async ({
    expect,
  }) => {
    const [tenant, other] = [acme!, globex!];
    const add = [
      'memory',
      'add',
      tenant,
      TEXT,
      '--user',
      'user123',
      '--agent',
      'video_search_agent',
      '--key',
      'k1',
    ];
    const first = await cvopsJson<{ memories: { id: string; event: string }[] }>(add);
    expect(first.memories).toEqual([{ id: expect.any(String) as string, event: 'ADD' }]);
    const { id } = first.memories[0]!;
    const again = { tenant, text: TEXT, ...SCOPE, key: 'k1' };
    expect(await client.memory.add(again)).toEqual([{ id, event: 'NONE' }]);
    await remembered(tenant, OTHERS);
    await client.memory.add({ tenant: other, text: OTHERS[0]!, ...SCOPE });

    const search = ['memory', 'search', tenant, 'What does the user prefer?', '--user', 'user123'];
    const { memories } = await cvopsJson<Found>(search);
    expect(memories[0]).toMatchObject({
      id,
      memory: TEXT,
      user_id: 'user123',
      agent_id: 'video_search_agent',
    });
    expect(memories[0]!.score).toBeGreaterThan(memories[1]!.score);
    const elsewhere = await client.memory.search({
      tenant: other,
      query: 'What does the user prefer?',
      ...SCOPE,
    });
    expect(elsewhere.map(({ memory }) => memory)).toEqual([OTHERS[0]]);

    // The command's own spans and this process's; another's project has none of them.
    await expect
      .poll(() => namesOfSpans(tenant), { timeout: 60_000 })
      .toEqual(expect.arrayContaining(['memory.add', 'memory.search']));
    const spans = (await listSpans(phoenix, phoenixProjectName(tenant), 100))!;
    expect(spans.find(({ name }) => name === 'memory.search')!.attributes).toMatchObject({
      tenant_id: tenant,
      'input.value': 'What does the user prefer?',
      'user.id': 'user123',
    });
    // A memory that is cleared does not live on in a trace.
    expect(JSON.stringify(spans.filter(({ name }) => name === 'memory.add'))).not.toContain(TEXT);

    expect(await cvopsJson(['memory', 'stats', tenant])).toEqual({
      ...{ total_memories: 4, unique_users: 1, unique_agents: 1 },
      storage_mb: expect.any(Number) as number,
    });
    const page = await client.memory.list({ tenant, pageSize: 3 });
    const rest = await client.memory.list({ tenant, pageSize: 3, cursor: page.cursor! });
    expect([page.items.length, rest.items.map(({ memory }) => memory)]).toEqual([3, [TEXT]]);

    expect(await client.memory.delete(tenant, id, '', true)).toBe(true);
    expect(await cvopsJson(['memory', 'delete', tenant, id])).toMatchObject({ deleted: true });
    expect(await client.memory.delete(tenant, id, '')).toBe(false);
    expect(await total(tenant)).toBe(3);
    const audited = await listAudit(pool, { tenant, limit: 20 });
    expect(audited.filter(({ verb }) => verb === 'delete-memory')).toMatchObject([
      { outcome: 'not found', detail: { memory: id } },
      { outcome: 'started', detail: { memory: id } },
      { outcome: 'completed', detail: { memory: id } },
      { outcome: 'started', detail: { memory: id } },
    ]);
  });

  test('is refused to a tenant without it, and of a text that is none', async ({ expect }) => {
    const refused = await cvops('memory', 'add', trial!, TEXT, '--user', 'ann', '-o', 'json');
    expect([refused.code, errorOf(refused)]).toMatchObject([
      6,
      { code: 'WrongState', message: `tenant ${trial} has no memory: it was created without` },
    ]);
    for (const [text, scope] of [
      ['', SCOPE],
      ['x'.repeat(40_000), SCOPE],
      [TEXT, {}],
      [TEXT, { userId: 'a b' }],
    ] as const)
      await expect(client.memory.add({ tenant: globex!, text, ...scope })).rejects.toMatchObject({
        type: 'InvalidInput',
      });
    await expect(client.memory.stats(parseTenantId('nobody_at_all'))).rejects.toMatchObject({
      type: 'NotFound',
    });
  });

  test('is cleared on confirmation, all of it and nobody else’s; while it is closed nothing is added', async ({
    expect,
  }) => {
    const [tenant, other] = await Promise.all([created('startup', { max_qps: '10000' }), created('startup')]);
    await remembered(tenant, [...OTHERS, TEXT]);
    await remembered(other, [TEXT]);
    expect(await cvopsJson(['memory', 'clear', tenant, '--dry-run'])).toMatchObject({ memories: 4 });
    const unconfirmed = await cvops('memory', 'clear', tenant, '-o', 'json');
    expect([unconfirmed.code, await total(tenant)]).toEqual([2, 4]);

    const { incarnation } = await getTenant(pool, tenant);
    const key = { tenant, incarnation, operation: parseOperationId(randomUUID()) };
    await raiseFence(pool, key);
    for (const refused of [
      () => client.memory.add({ tenant, text: TEXT, ...SCOPE }),
      () => client.memory.delete(tenant, randomUUID(), ''),
      () => client.memory.clear(tenant, ''),
    ])
      await expect(refused()).rejects.toMatchObject({
        ...{ type: 'WrongState', hint: `wait for it: cvops op watch ${key.operation}` },
      });
    await lowerFence(pool, key);

    const cleared = await cvopsJson<{ removed: number; operation: string }>([
      ...['memory', 'clear', tenant, `--confirm=${tenant}`, '--reason', 'asked for'],
    ]);
    expect(cleared.removed).toBe(4);
    expect([await total(tenant), await total(other)]).toEqual([0, 1]);
    expect(await getOperation(pool, parseOperationId(cleared.operation))).toMatchObject({
      ...{ kind: 'clearMemory', state: 'completed', counts: { removed: 4 }, reason: 'asked for' },
    });
    expect((await findTenant(pool, tenant))!.fence).toBeNull();
    await remembered(tenant, [TEXT]);
    expect(await total(tenant)).toBe(1);
  });

  test('is pruned by age and kind, by hand and by its schedule', async ({ expect }) => {
    const tenant = await created('startup', { max_qps: '10000' });
    await remembered(tenant, [TEXT]);
    await client.memory.add({ tenant, text: 'hello there', ...SCOPE, kind: 'chat' });
    await client.memory.add({ tenant, text: 'gone tomorrow', ...SCOPE, expiresOn: '2020-01-01' });
    const file = path.join(folder, `${tenant}.jsonl`);
    // Nothing is old yet; an import keeps the times that are in its file.
    const { memories } = await writeMemoryFile(file, tenant, aged(client.memory.export(tenant)));
    expect(memories).toBe(3);
    await client.memory.clear(tenant, '').then((handle) => handle.result());
    expect(await cvopsJson(['memory', 'import', tenant, file])).toMatchObject({ memories: 3 });
    const prune = ['memory', 'prune', tenant, '--older-than', '90d', '--kind', 'chat=30d'];
    expect(await client.memory.planPrune(tenant, parseRetention('90d', ['chat=30d']))).toBe(2);
    expect(await cvopsJson(prune)).toMatchObject({ tenant, outcome: 'done', removed: 2 });
    const { items } = await client.memory.list({ tenant });
    expect(items.map(({ memory }) => memory)).toEqual([TEXT]);

    const set = ['memory', 'schedule', 'set', tenant, '--older-than', '30d', '--every', '30d'];
    expect(await cvopsJson(set)).toMatchObject({ did: 'made', every: '30d' });
    await temporal.schedule.getHandle(`tenant/${tenant}/memory/prune`).trigger();
    await expect
      .poll(async () => (await client.memorySchedules.list(tenant))[0]!.last)
      .toMatchObject({ state: 'completed' });
    expect(await total(tenant)).toBe(0);
  });
});
