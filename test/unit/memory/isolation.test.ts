import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MemoryWorld } from '../../support/memories.js';

const TENANTS = ['acme', 'acme_corp'] as const;
let world: MemoryWorld;
beforeAll(async () => {
  world = await MemoryWorld.start(...TENANTS);
});
afterAll(() => world.stop());

const tenant = fc.constantFrom(...TENANTS);
/** The same few in both tenants, so that they meet. */
const scope = fc.record({
  userId: fc.constantFrom('u', 'U', 'v'),
  agentId: fc.constantFrom('a', 'b'),
});
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: fc.constant('add' as const), tenant, scope, key: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('search' as const), tenant, scope }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('list' as const), tenant, scope }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('delete' as const), tenant, at: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('copy' as const), tenant }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('clear' as const), tenant }) },
);

/** A tenant's memories as they must be: texts by id. */
type Model = Map<string, { readonly text: string; readonly userId: string; readonly agentId: string }>;

it('never shares a result between two tenants with the same users, agents and keys', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 20 }), async (steps) => {
      const models = new Map<string, Model>(TENANTS.map((name) => [name, new Map()]));
      for (const name of TENANTS) await world.of(name).clear();
      for (const now of steps) {
        const [memory, model] = [world.of(now.tenant), models.get(now.tenant)!];
        const expected = (of: { userId: string; agentId: string }) =>
          [...model].filter(([, m]) => m.userId === of.userId && m.agentId === of.agentId).map(([id]) => id);
        switch (now.what) {
          case 'add': {
            const text = `secret of ${now.tenant} number ${now.key}`;
            const [added] = await memory.add(text, { ...now.scope, key: `k${now.key}` });
            model.set(added!.id, { text, ...now.scope });
            break;
          }
          case 'search': {
            const found = await memory.search('secret number', { ...now.scope, topK: 400 });
            expect(found.map(({ id }) => id).toSorted()).toEqual(expected(now.scope).toSorted());
            for (const { id, memory: text } of found) expect(text).toBe(model.get(id)?.text);
            break;
          }
          case 'list': {
            const { items } = await memory.list(now.scope);
            expect(items.map(({ id }) => id).toSorted()).toEqual(expected(now.scope).toSorted());
            break;
          }
          case 'delete': {
            // An id of the other tenant as well: it is not there.
            const ids = TENANTS.flatMap((name) => [...models.get(name)!.keys()]);
            const id = ids[now.at % Math.max(1, ids.length)];
            if (id !== undefined) expect(await memory.delete(id)).toBe(model.delete(id));
            break;
          }
          case 'copy': {
            const records = [];
            for await (const record of memory.exportRecords()) records.push(record);
            expect(records.map(({ id }) => id).toSorted()).toEqual([...model.keys()].toSorted());
            break;
          }
          case 'clear':
            expect(await memory.clear()).toEqual({ removed: model.size });
            model.clear();
        }
      }
      for (const name of TENANTS)
        expect((await world.of(name).stats()).total_memories).toBe(models.get(name)!.size);
    }),
    { numRuns: 8 },
  );
}, 60_000);
