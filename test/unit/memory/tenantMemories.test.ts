import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import * as mem0 from '../../../src/memory/mem0.js';
import { TenantMemories } from '../../../src/memory/tenantMemories.js';
import type { TenantMemory } from '../../../src/memory/tenantMemory.js';
import { MemoryWorld, WordEmbedder } from '../../support/memories.js';

const TENANTS = ['acme', 'globex', 'initech'] as const;
let world: MemoryWorld;
beforeAll(async () => {
  world = await MemoryWorld.start(...TENANTS);
});
afterAll(() => world.stop());

/** Embeds when it is let go. */
class HeldEmbedder extends WordEmbedder {
  closed = false;
  asked = 0;
  letGo: () => void = () => undefined;
  private readonly gate = new Promise<void>((resolve) => (this.letGo = resolve));

  override async embed(texts: readonly string[]): Promise<Float32Array[]> {
    this.asked++;
    await this.gate;
    if (this.closed) throw new Error('the embedder was closed');
    return super.embed(texts);
  }

  override close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

function memoriesOf(options: { embedder?: WordEmbedder; mostTenants?: number } = {}): TenantMemories {
  const { documents, configServer } = world.vespa;
  return new TenantMemories({ documents, configServer, embedder: world.embedder, ...options });
}

const texts = async (memory: TenantMemory) =>
  (await memory.list()).items.map((item) => item.memory).toSorted();

describe('more tenants than are kept', () => {
  it('are used by turns and at once, each with its own memories, and those let go are made anew', async () => {
    const made = vi.spyOn(mem0, 'createMem0');
    const memories = memoriesOf({ mostTenants: 2 });
    const opened = TENANTS.map((name) => ({ name, memory: memories.open(world.life(name)) }));
    for (let round = 0; round < 2; round++)
      for (const { name, memory } of opened)
        await memory.add(`${name} in round ${round}`, { userId: 'u', key: String(round) });
    // By turns each one has been let go when its turn comes again.
    expect(made.mock.calls.map(([{ life }]) => life.tenant)).toEqual([...TENANTS, ...TENANTS]);
    // At once: some are let go while they store.
    await Promise.all(
      opened.flatMap(({ name, memory }) =>
        [2, 3].map((n) => memory.add(`${name} in round ${n}`, { userId: 'u', key: String(n) })),
      ),
    );
    for (const { name, memory } of opened) {
      expect(await texts(memory)).toEqual([0, 1, 2, 3].map((n) => `${name} in round ${n}`));
      expect((await memory.search('round', { userId: 'u' })).map((hit) => hit.memory).toSorted()).toEqual(
        await texts(memory),
      );
    }
    made.mockClear();
    const [first, second] = opened as [(typeof opened)[0], (typeof opened)[0]];
    for (const { memory } of [first, second, first, second, second, first])
      await memory.add('again', { userId: 'u', key: 'again' });
    expect(made.mock.calls.length).toBeLessThanOrEqual(2);
    made.mockRestore();
  });
});

describe('close', () => {
  it('waits for the calls that run, which end as they would have, and takes no more', async () => {
    const embedder = new HeldEmbedder();
    const memories = memoriesOf({ embedder });
    const memory = memories.open(world.life('acme'));
    await memory.clear();
    const adding = memory.add('on its way', { userId: 'u' });
    const searching = memory.search('way');
    await vi.waitFor(() => expect(embedder.asked).toBe(2));
    let closed = false;
    const closing = memories.close().then(() => (closed = true));
    await expect(memory.add('too late', { userId: 'u' })).rejects.toThrow('the memories are closed');
    await world.of('acme').stats();
    expect({ closed, embedder: embedder.closed }).toEqual({ closed: false, embedder: false });
    embedder.letGo();
    await expect(adding).resolves.toMatchObject([{ event: 'ADD' }]);
    await searching;
    await closing;
    expect(embedder.closed).toBe(true);
    expect(await texts(world.of('acme'))).toEqual(['on its way']);
  });

  it('does not wait for a reader that has left an export half-way, nor fail for a call that fails', async () => {
    const memories = memoriesOf({ embedder: new HeldEmbedder() });
    const memory = memories.open(world.life('globex'));
    const records = memory.exportRecords()[Symbol.asyncIterator]();
    await records.next();
    const failing = memory.get('x').catch((error: unknown) => error);
    await memories.close();
    expect(await failing).toMatchObject({ type: 'InvalidInput' });
    await records.return?.();
  });
});
