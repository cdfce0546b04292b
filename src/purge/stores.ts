import type { Client } from '@temporalio/client';
import type { Incarnation } from '../domain/ids.js';
import { MEMORY_SCHEMA } from '../domain/profiles.js';
import type { PurgeStore, StoreCount } from '../domain/purge.js';
import type { PhoenixClient } from '../phoenix/client.js';
import { findProject } from '../phoenix/projects.js';
import { retentionPolicies } from '../phoenix/retention.js';
import { countSpans } from '../phoenix/storedSpans.js';
import type { Pool } from '../registry/database.js';
import { type PurgeStoreRow, purgeStoresOf } from '../registry/purgeStores.js';
import { allSchemas, schemasOf } from '../registry/schemas.js';
import { type TenantLife, type TenantRow, getLife, livesOf } from '../registry/tenants.js';
import { schedulesOf } from '../registry/tenantSchedules.js';
import { scheduleExists } from '../schedules/tenantSchedules.js';
import { type ActivePackage, readPackage } from '../vespa/activePackage.js';
import type { ConfigServer } from '../vespa/configServer.js';
import { answersFor } from '../vespa/convergence.js';
import type { DocumentClient } from '../vespa/documents.js';

/** Everything that can hold something of a tenant. */
export interface Stores {
  readonly pool: Pool;
  readonly documents: DocumentClient;
  readonly vespaUrl: string;
  readonly configServer: ConfigServer;
  readonly phoenix: PhoenixClient;
  /** Opened only for a tenant that has schedules. */
  temporal(): Promise<Client>;
}

/** How each kind of store is emptied, in the words of the certificate. */
export const METHODS: Readonly<Record<PurgeStore, string>> = {
  documents: 'schema taken out of the Vespa application, which drops its documents',
  memory: 'schema taken out of the Vespa application, which drops its documents',
  schemas: 'application package deployed without it, under a dated schema-removal override',
  traces: 'senders stopped, queue drained, Phoenix project deleted',
  schedules: 'Temporal Schedule deleted',
  ledger: 'rows deleted',
  configuration: 'rows deleted, all versions',
};

/** Tables of the registry that hold a tenant's content, names of files and videos, or what it did just now. */
const LEDGER = {
  ingest_slots: 'incarnation = any($1)',
  memory_writers: 'incarnation = any($1)',
  quotas: 'incarnation = any($1)',
  quota_usage: 'incarnation = any($1)',
  quota_reservations: 'incarnation = any($1)',
  rate_buckets: 'incarnation = any($1)',
  ingest_items: 'operation in (select operation from operations where incarnation = any($1))',
  videos: 'incarnation = any($1)',
  rollout_items: 'incarnation = any($1)',
  routing_experiences: 'incarnation = any($1)',
  routing_buffers: 'incarnation = any($1)',
  span_watermarks: 'incarnation = any($1)',
  evaluated_spans: 'incarnation = any($1)',
  optimization_states: 'incarnation = any($1)',
  retrainings: 'incarnation = any($1)',
} as const;
const NONE = { documents: 'no video schema', memory: 'no memory schema', schemas: 'no schema' } as const;
const EVER = { from: new Date(0), to: new Date('9999-01-01T00:00:00Z') };

/**
 * Counts what there is of a tenant, store by store: what a rehearsal shows and a purge writes down before it begins.
 * Names come from the registry, and what was written down before is counted again by its old name: so a store is not
 * called empty because its row went first.
 */
export async function countStores(stores: Stores, life: TenantLife): Promise<StoreCount[]> {
  const { pool } = stores;
  const row = await getLife(pool, life);
  const lives = await livesOf(pool, life);
  const known = await purgeStoresOf(pool, life.incarnation);
  return [
    ...(await countSchemas(stores, lives, known)),
    ...(await countTraces(stores, row)),
    ...(await countSchedules(stores, lives, known)),
    ...(await countRows(pool, lives)),
  ];
}

async function countSchemas(
  { pool, configServer, vespaUrl, documents }: Stores,
  lives: readonly Incarnation[],
  known: readonly PurgeStoreRow[],
): Promise<StoreCount[]> {
  const owned = (await Promise.all(lives.map((incarnation) => schemasOf(pool, incarnation)))).flat();
  const others = new Map((await allSchemas(pool)).map((s) => [s.schemaName, s.incarnation]));
  const isMemory = new Map(owned.map((s) => [s.schemaName, s.baseSchema === MEMORY_SCHEMA]));
  for (const { store, name } of known)
    if ((store === 'memory' || store === 'documents') && name !== NONE[store])
      isMemory.set(name, store === 'memory');
  const active = await readPackage(configServer);
  const counts: StoreCount[] = [];
  for (const [name, memory] of isMemory) {
    // Given up and claimed by another tenant since: what is in it now is theirs.
    const holder = others.get(name);
    const theirs = holder !== undefined && !lives.includes(holder);
    const there = !theirs && (active.files.has(name) || active.mapped.has(name));
    const count = there && active.mapped.has(name) ? await documents.count(name, active.contentCluster) : 0;
    if (!theirs && !there) await requireForgotten(vespaUrl, name, active);
    counts.push({ store: memory ? 'memory' : 'documents', name, count });
    counts.push({ store: 'schemas', name, count: there || (holder !== undefined && !theirs) ? 1 : 0 });
  }
  // The certificate says of every kind of store what was found, also that there was none.
  for (const [store, none] of Object.entries(NONE))
    if (!counts.some((c) => c.store === store))
      counts.push({ store: store as PurgeStore, name: none, count: 0 });
  return counts;
}

/** The package is a plan; the container is what serves. */
async function requireForgotten(vespaUrl: string, name: string, { mapped }: ActivePackage): Promise<void> {
  if (mapped.size > 0 && (await answersFor(vespaUrl, name)))
    throw new Error(`schema ${name} is out of the package and still answers`);
}

async function countTraces({ phoenix }: Stores, { phoenixProject }: TenantRow): Promise<StoreCount[]> {
  const project = await findProject(phoenix, phoenixProject);
  const spans = (await countSpans(phoenix, phoenixProject, EVER)) ?? 0;
  const policies = await retentionPolicies(phoenix, phoenixProject);
  return [
    { store: 'traces', name: `project ${phoenixProject}`, count: project === undefined ? 0 : 1 },
    { store: 'traces', name: `spans of ${phoenixProject}`, count: spans },
    { store: 'traces', name: `retention policies of ${phoenixProject}`, count: policies.length },
  ];
}

async function countSchedules(
  { pool, ...stores }: Stores,
  lives: readonly Incarnation[],
  known: readonly PurgeStoreRow[],
): Promise<StoreCount[]> {
  const rows = await schedulesOf(pool, lives);
  const ids = new Set([
    ...rows.map(({ scheduleId }) => scheduleId),
    ...known.filter(({ store }) => store === 'schedules').map(({ name }) => name),
  ]);
  const counts: StoreCount[] = [{ store: 'schedules', name: 'tenant_schedules', count: rows.length }];
  for (const name of ids) {
    if (name === 'tenant_schedules') continue;
    const there = await scheduleExists(await stores.temporal(), name);
    counts.push({
      store: 'schedules',
      name,
      count: there || rows.some((r) => r.scheduleId === name) ? 1 : 0,
    });
  }
  return counts;
}

async function countRows(pool: Pool, lives: readonly Incarnation[]): Promise<StoreCount[]> {
  const count = async (table: string, where: string): Promise<number> => {
    const { rows } = await pool.query<{ n: number }>(`select count(*) as n from ${table} where ${where}`, [
      lives,
    ]);
    return rows[0]!.n;
  };
  const counts: StoreCount[] = [];
  for (const [table, where] of Object.entries(LEDGER))
    counts.push({ store: 'ledger', name: table, count: await count(table, where) });
  const versions = await count('config_versions', 'incarnation = any($1)');
  return [...counts, { store: 'configuration', name: 'config_versions', count: versions }];
}

/** Deletes the rows that name a tenant's files and videos. The operations stay, without what their errors quote. */
export async function deleteLedger(pool: Pool, lives: readonly Incarnation[]): Promise<void> {
  for (const [table, where] of Object.entries(LEDGER))
    await pool.query(`delete from ${table} where ${where}`, [lives]);
  await pool.query(
    `update operations set error = jsonb_build_object('code', error->>'code', 'message', 'erased with the tenant')
     where incarnation = any($1) and error is not null`,
    [lives],
  );
}
