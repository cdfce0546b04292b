import { describe, it } from 'vitest';
import { LineDigest } from '../../src/backup/digest.js';
import { LocalEmbedder } from '../../src/memory/embedders/local.js';
import type { MemoryRecord, TenantMemory } from '../../src/memory/tenantMemory.js';
import { AGENTS, USERS, madeRecords } from '../support/madeMemories.js';
import { MemoryWorld } from '../support/memories.js';

/** `npm run bench -- memory` does the same with 25,000. */
const MANY = 4_000;

const manyRecords = () => madeRecords(MANY, 'words@1');

async function digestOf(records: AsyncIterable<MemoryRecord> | Iterable<MemoryRecord>) {
  const digest = new LineDigest();
  for await (const record of records) digest.add(Buffer.from(JSON.stringify(record)));
  return { count: digest.count, digest: digest.digest };
}

async function idsOf(memory: TenantMemory): Promise<Set<string>> {
  const ids = new Set<string>();
  for (let cursor: string | undefined; ;) {
    const page = await memory.list({ pageSize: 400, ...(cursor === undefined ? {} : { cursor }) });
    for (const { id } of page.items) ids.add(id);
    cursor = page.cursor;
    if (cursor === undefined) return ids;
  }
}

describe.concurrent('memory', () => {
  it('of thousands is counted, listed, exported and cleared exactly', async ({ expect }) => {
    const world = await MemoryWorld.start('acme', 'globex');
    try {
      const acme = world.of('acme');
      const [canary] = await world.of('globex').add('a canary', { userId: 'user_1', agentId: 'agent_1' });
      expect(await acme.importRecords(manyRecords())).toBe(MANY);
      expect(await acme.stats()).toMatchObject({
        ...{ total_memories: MANY, unique_users: USERS, unique_agents: AGENTS },
      });
      expect(await digestOf(acme.exportRecords())).toEqual(await digestOf(manyRecords()));
      expect((await idsOf(acme)).size).toBe(MANY);
      expect(await acme.clear()).toEqual({ removed: MANY });
      expect((await acme.stats()).total_memories).toBe(0);
      expect((await world.of('globex').get(canary!.id))?.memory).toBe('a canary');
    } finally {
      await world.stop();
    }
  });

  it('finds what the user prefers among 1,000, by the embedded model', async ({ expect }) => {
    const world = await MemoryWorld.with(new LocalEmbedder(), 'acme');
    try {
      const acme = world.of('acme');
      const scope = { userId: 'user123', agentId: 'video_search_agent' };
      const colours = ['red', 'blue', 'green', 'grey'];
      const others = Array.from(
        { length: 999 },
        (_, n) => `Order ${n} of ${colours[n % 4]} boxes left warehouse ${n % 13} on the train`,
      );
      await Promise.all(others.map((text, n) => acme.add(text, { ...scope, key: String(n) })));
      const [liked] = await acme.add('The user prefers dark mode in the video player', {
        ...scope,
        key: 'x',
      });
      const [best] = await acme.search('What does the user prefer?', scope);
      expect(best?.id).toBe(liked!.id);
      expect(best!.score).toBeGreaterThan(0.3);
      expect(best!.score).toBeLessThanOrEqual(1);
      expect((await acme.stats()).total_memories).toBe(1000);
    } finally {
      await world.stop();
    }
  });
});
