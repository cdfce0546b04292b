import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MemoryRecord } from '../../../src/memory/tenantMemory.js';
import { MemoryWorld } from '../../support/memories.js';

let world: MemoryWorld;
beforeAll(async () => {
  world = await MemoryWorld.start('acme', 'globex', 'empty', 'twin', 'twin_copy');
});
afterAll(() => world.stop());

const scope = { userId: 'user123', agentId: 'video_search_agent' };

describe('add', () => {
  it('stores a text once for a key, however often it is added', async () => {
    const acme = world.of('acme');
    const text = 'The user prefers dark mode';
    const first = await acme.add(text, { ...scope, key: 'k1', metadata: { source: 'chat' } });
    const again = await acme.add(text, { ...scope, key: 'k1' });
    expect(first).toEqual([{ id: expect.any(String) as string, event: 'ADD' }]);
    expect(again).toEqual([{ id: first[0]!.id, event: 'NONE' }]);
    expect(await acme.get(first[0]!.id)).toMatchObject({
      memory: text,
      ...scope,
      metadata: { source: 'chat' },
      kind: 'memory',
    });
  });

  it('refuses a key that stands for another text, and keeps the first', async () => {
    const acme = world.of('acme');
    const [{ id }] = (await acme.add('one text', { ...scope, key: 'k2' })) as [{ id: string }];
    await expect(acme.add('another', { ...scope, key: 'k2' })).rejects.toMatchObject({ type: 'Conflict' });
    expect((await acme.get(id))?.memory).toBe('one text');
  });
});
