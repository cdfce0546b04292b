import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOfLines } from '../../../src/backup/digest.js';
import type { RemovalProgress, MemoryRecord, TenantMemory } from '../../../src/memory/tenantMemory.js';
import { MemoryWorld } from '../../support/memories.js';

const MEMORIES = 210;
let world: MemoryWorld;
beforeAll(async () => {
  world = await MemoryWorld.start('acme', 'globex', 'copy', 'other', 'broken');
  await Promise.all(['acme', 'globex'].map((tenant) => fill(world.of(tenant))));
  await fill(world.of('broken'), 3);
}, 60_000);
afterAll(() => world.stop());

async function fill(memory: TenantMemory, count = MEMORIES): Promise<void> {
  const add = (n: number) =>
    memory.add(`the number ${n} of them`, {
      ...{ userId: `user ${n % 7}`.replace(' ', '_'), agentId: `agent_${n % 3}`, key: String(n) },
      metadata: { n, deep: { list: [n, 'x'] } },
      kind: n % 2 === 0 ? 'chat' : 'fact',
    });
  for (let at = 0; at < count; at += 100)
    await Promise.all(Array.from({ length: Math.min(100, count - at) }, (_, n) => add(at + n)));
}

async function exported(memory: TenantMemory): Promise<MemoryRecord[]> {
  const records: MemoryRecord[] = [];
  for await (const record of memory.exportRecords()) records.push(record);
  return records;
}

const digest = (records: readonly MemoryRecord[]) =>
  digestOfLines(records.map((record) => Buffer.from(JSON.stringify(record))));

it('counts exactly, also of one user', async () => {
  const stats = await world.of('globex').stats();
  expect(stats).toMatchObject({ total_memories: MEMORIES, unique_users: 7, unique_agents: 3 });
  expect(stats.storage_mb).toBeGreaterThan((MEMORIES * 4 * 512) / 1e6);
  const ofOne = await world.of('globex').stats({ userId: 'user_1' });
  expect(ofOne).toMatchObject({ total_memories: 30, unique_users: 1, unique_agents: 3 });
});

it('exports and imports ids, hashes, times, metadata and vectors to the byte, again and over a half', async () => {
  const records = await exported(world.of('globex'));
  const before = await digest(records);
  expect(before.count).toBe(MEMORIES);
  const copy = world.of('copy');
  await copy.importRecords(records.slice(0, 100));
  // Through JSON, as a file would bring them.
  const lines = records.map((record) => JSON.parse(JSON.stringify(record)) as MemoryRecord);
  expect(await copy.importRecords(lines)).toBe(MEMORIES);
  expect(await digest(await exported(copy))).toEqual(before);
  const { id } = records[0]!;
  expect(await copy.get(id)).toEqual(await world.of('globex').get(id));
  expect(world.embedder.texts).toBe(2 * MEMORIES + 3);
});

it('embeds anew what another model embedded, so that it can be found', async () => {
  const records = await exported(world.of('globex'));
  const foreign = records.slice(0, 70).map((record) => ({ ...record, embedder: 'http:other' }));
  const other = world.of('other');
  await other.importRecords(foreign);
  const [first] = await other.search(String(foreign[0]!.payload['data']), { topK: 1 });
  expect(first!.score).toBeCloseTo(1, 5);
  await other.clear();
});

it('imports nothing that is not whole, and says which', async () => {
  const [good] = await exported(world.of('globex'));
  const bad = [
    { ...good, embedding: 'FF' },
    { ...good, id: '../../x' },
    { ...good, payload: { ...good!.payload, data: 'another text' } },
    { ...good, payload: { ...good!.payload, user_id: 'a b' } },
    { ...good, more: 1 },
    null,
  ];
  for (const record of bad)
    await expect(world.of('other').importRecords([record as MemoryRecord])).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('memory 1 ') as string,
    });
  expect((await world.of('other').stats()).total_memories).toBe(0);
});

it('clears one tenant, killed on the way, and says how many went; another keeps all of its own', async () => {
  const acme = world.of('acme');
  const untouched = await digest(await exported(world.of('globex')));
  let progress: RemovalProgress | undefined;
  const killed = new AbortController();
  await expect(
    acme.clear({
      signal: killed.signal,
      onProgress: (now) => {
        progress = now;
        if (now.removed > 0) killed.abort(new Error('killed'));
      },
    }),
  ).rejects.toThrow('killed');
  expect(progress).toMatchObject({ found: MEMORIES });
  expect(await acme.clear({ resume: progress! })).toEqual({ removed: MEMORIES });
  expect(await acme.stats()).toMatchObject({ total_memories: 0, unique_users: 0, storage_mb: 0 });
  expect(await acme.clear()).toEqual({ removed: 0 });
  expect(await digest(await exported(world.of('globex')))).toEqual(untouched);
});

it('never answers with, counts or removes a document of another life', async () => {
  const { documents } = world.vespa;
  const of = world.life('broken');
  const at = { namespace: 'memory_content', schema: of.schema, id: 'canary' };
  const fields = { tenant_id: 'globex', incarnation: of.incarnation, id: 'canary', text: 'canary' };
  await documents.put(at, Buffer.from(JSON.stringify({ fields })));
  const broken = world.of('broken');
  const refused = { type: 'VerificationFailed' };
  await expect(broken.clear()).rejects.toMatchObject(refused);
  await expect(broken.stats()).rejects.toMatchObject(refused);
  await expect(exported(broken)).rejects.toMatchObject(refused);
  expect((await broken.search('canary')).map(({ memory }) => memory)).not.toContain('canary');
  expect(await documents.get(at)).toMatchObject({ tenant_id: 'globex' });
});
