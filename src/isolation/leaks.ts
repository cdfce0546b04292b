import { CANARY_NAMESPACE, type LeakKind } from '../domain/canaries.js';
import type { Incarnation } from '../domain/ids.js';
import { CONTENT_NAMESPACE, MEMORY_NAMESPACE } from '../domain/naming.js';
import { MEMORY_SCHEMA, type ProfileName } from '../domain/profiles.js';
import { requireStatus } from '../phoenix/client.js';
import { putConfigCanary } from '../registry/isolation.js';
import { allSchemas } from '../registry/schemas.js';
import { canaryAt, canaryLife, canarySpan, memoryBody } from './canaries.js';
import type { Member } from './member.js';
import { sendSpan } from './plant.js';
import { type Sight, memoryOfB, ofB, sight, spanOfB } from './sights.js';
import { type Schema, type Ways, searchFor, visitFor } from './ways.js';
import type { World } from './world.js';

export interface Leak {
  /** @returns ways of `a` that are faulty; none when the fault is in the data */
  plant(world: World): Promise<Partial<Ways>>;
  /** What it plants is found when Phoenix has been drained. */
  readonly sendsSpans?: boolean;
  /** Takes it back; where there is none, fine. */
  undo?(world: World): Promise<void>;
  /** All of what it must look like: a way that does not see it hides behind no other that does. */
  readonly shows: readonly Sight[];
}

/** Base schemas of the two: one that both have, and one of `b` alone. */
const BOTH: ProfileName = 'video_colpali_smol500_mv_frame';
const ONLY_B: ProfileName = 'video_videoprism_base_mv_chunk_30s';
export const PROFILES_OF = { a: [BOTH], b: [BOTH, ONLY_B] } as const;

/** Of a document that is planted where it does not belong. */
const LEAKED = 'leaked';
/** A life that nobody has. */
const FORMER = '00000000-0000-4000-8000-000000000000' as Incarnation;

export const LEAKS: Readonly<Record<LeakKind, Leak>> = {
  'document of another tenant': {
    plant: (world) => putVideo(world, world.b.tenant, world.b.incarnation),
    undo: removeVideo,
    shows: ofB('search'),
  },
  'schema of another tenant by its registry row': {
    plant: (world) => moveSchema(world, world.b, world.a),
    undo: async (world) => void (await moveSchema(world, world.a, world.b)),
    shows: ofB('search', 'get', 'visit'),
  },
  'search without the schema': {
    plant: async ({ stores: { documents } }) => ({
      search: (schema, of, signal) => searchFor(documents, schema, of, signal, undefined),
    }),
    // In a cluster of many tenants anybody's may come first.
    shows: [sight('search', ({ a, b }, { a: me }) => a === me.tenant && b !== me.tenant)],
  },
  'memory of another tenant': {
    async plant(world) {
      const { stores, b, signal } = world;
      const schema = await memoryOf(world);
      const life = { tenant: b.tenant, incarnation: b.incarnation, schema };
      const body = memoryBody(life, { incarnation: FORMER, token: LEAKED });
      await stores.documents.put({ namespace: MEMORY_NAMESPACE, schema, id: FORMER }, body, signal);
      return {};
    },
    async undo(world) {
      const schema = await memoryOf(world);
      await world.stores.documents.remove({ namespace: MEMORY_NAMESPACE, schema, id: FORMER }, world.signal);
    },
    shows: memoryOfB('search'),
  },
  'memory under the id of another tenant': {
    async plant(world) {
      const { stores, a, b, signal } = world;
      const schema = await memoryOf(world);
      // As a search of `a`'s memory for canaries finds it.
      await stores.documents.put(canaryAt(schema, b), memoryBody(canaryLife(a, schema), b), signal);
      return {};
    },
    async undo(world) {
      const at = { namespace: CANARY_NAMESPACE, schema: await memoryOf(world), id: world.b.incarnation };
      await world.stores.documents.remove(at, world.signal);
    },
    shows: memoryOfB('get', 'visit', 'remember'),
  },
  'configuration under another life': {
    async plant({ stores: { pool }, a, b }) {
      await putConfigCanary(pool, a.incarnation, b.token, LEAKED);
      return {};
    },
    // Removed with the canary itself.
    shows: ofB('config'),
  },
  'span of another tenant': {
    sendsSpans: true,
    async plant({ stores, a, b, waysOf }) {
      const project = await waysOf(a).projectOf(a);
      await sendSpan(stores, project!, leakedSpan(b));
      return {};
    },
    async undo({ stores: { phoenix }, b }) {
      const path = `/v1/traces/${leakedSpan(b).context.trace_id}`;
      requireStatus(await phoenix.send('DELETE', path), 204, 404);
    },
    shows: [spanOfB(leakedSpan)],
  },
  'one Phoenix project for two tenants': {
    plant: async ({ b, waysOf }) => ({ projectOf: () => waysOf(b).projectOf(b) }),
    shows: [spanOfB(canarySpan)],
  },
  'canary that its owner does not find': {
    async plant(world) {
      const { stores, b, signal } = world;
      await stores.documents.remove(canaryAt((await videosOf(world, b)).schemaName, b), signal);
      return {};
    },
    shows: (['search', 'get', 'visit'] as const).map((by) =>
      sight(by, ({ a, missing }, { b: owner }) => a === owner.tenant && missing),
    ),
  },
  'visit of the whole cluster': {
    plant: async ({ stores: { documents, cluster } }) => ({
      visit: async (_, signal) => {
        const selection = `id.namespace == "${CANARY_NAMESPACE}"`;
        return visitFor(documents, { cluster: await cluster(), schema: selection, signal });
      },
    }),
    shows: ofB('visit'),
  },
  'schemas found by the beginning of their name': {
    plant: async ({ stores: { pool } }) => ({
      schemasOf: async ({ tenant }) =>
        (await allSchemas(pool)).filter(({ schemaName, baseSchema }) =>
          schemaName.startsWith(`${baseSchema}_${tenant}`),
        ),
    }),
    shows: [...ofB('search', 'get', 'visit'), ...memoryOfB('search', 'get', 'visit')],
  },
  'document of a former life': {
    plant: (world) => putVideo(world, world.a.tenant, FORMER),
    undo: removeVideo,
    shows: [sight('search', ({ a, b, missing }, { a: me }) => a === me.tenant && b === a && !missing)],
  },
};

/** With ids of its own: those of a known span would make it the one that is there. */
function leakedSpan(of: Member): ReturnType<typeof canarySpan> {
  return { ...canarySpan({ ...of, incarnation: FORMER }), name: LEAKED };
}

async function videosOf({ waysOf }: World, of: Member): Promise<Schema> {
  const owned = await waysOf(of).schemasOf(of);
  return owned.find(({ baseSchema }) => baseSchema !== MEMORY_SCHEMA)!;
}

async function memoryOf({ waysOf, a }: World): Promise<string> {
  const owned = await waysOf(a).schemasOf(a);
  return owned.find(({ baseSchema }) => baseSchema === MEMORY_SCHEMA)!.schemaName;
}

async function putVideo(world: World, tenant: string, incarnation: Incarnation): Promise<Partial<Ways>> {
  const { stores, a, signal } = world;
  const { schemaName: schema } = await videosOf(world, a);
  const fields = { tenant_id: tenant, incarnation, video_id: LEAKED };
  const at = { namespace: CONTENT_NAMESPACE, schema, id: LEAKED };
  await stores.documents.put(at, Buffer.from(JSON.stringify({ fields })), signal);
  return {};
}

async function removeVideo(world: World): Promise<void> {
  const { stores, a, signal } = world;
  const { schemaName: schema } = await videosOf(world, a);
  await stores.documents.remove({ namespace: CONTENT_NAMESPACE, schema, id: LEAKED }, signal);
}

/** The registry row of the schema that only one of the two has. */
async function moveSchema({ stores }: World, from: Member, to: Member): Promise<Partial<Ways>> {
  await stores.pool.query(
    `update tenant_schemas set incarnation = $2 where incarnation = $1 and base_schema = $3`,
    [from.incarnation, to.incarnation, ONLY_B],
  );
  return {};
}
