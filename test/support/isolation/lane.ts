import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { generateKeyPairSync } from 'node:crypto';
import type pg from 'pg';
import { createApplicationActivities } from '../../../activities/application.js';
import { createLedgerActivities } from '../../../activities/ingest.js';
import { createPurgeActivities } from '../../../activities/purge.js';
import { createRetentionActivities } from '../../../activities/retention.js';
import { createTenantActivities } from '../../../activities/tenants.js';
import { LocalEmbedder } from '../../../src/memory/embedders/local.js';
import { TenantMemories } from '../../../src/memory/tenantMemories.js';
import { CertificateSigner } from '../../../src/purge/certificate.js';
import { type Pool, openPool } from '../../../src/registry/database.js';
import { migrate } from '../../../src/registry/migrate.js';
import { ConfigServer } from '../../../src/vespa/configServer.js';
import { DocumentClient } from '../../../src/vespa/documents.js';
import { serve } from './hosts.js';
import { PhoenixStandIn } from './phoenix.js';
import { TemporalStandIn } from './temporal.js';
import type { VespaStandIn } from './vespa.js';

export type Activities = ReturnType<typeof allActivities>;

/** Replaces some of the real code by code that is wrong. */
export type Mutant = (real: Activities, lane: Omit<Lane, 'activities'>) => Partial<Activities>;

/** Where sequences run one after another: a registry of its own, and the real activities over stand-ins. */
export interface Lane {
  readonly pool: Pool;
  readonly documents: DocumentClient;
  readonly phoenix: PhoenixStandIn;
  readonly temporal: TemporalStandIn;
  readonly vespaUrl: string;
  readonly environment: MockActivityEnvironment;
  readonly activities: Activities;
  /** Gives the next sequence its Vespa. */
  useVespa(vespa: VespaStandIn): void;
  /** The number of the next sequence. Rows of former ones go now and then: queries must not slow down. */
  nextRun(): Promise<number>;
  close(): Promise<void>;
}

const RUNS_KEPT = 50;
let lanes = 0;

export async function openLane(databaseUrl: string, mutant?: Mutant): Promise<Lane> {
  await migrate(databaseUrl);
  const pool = preparing(openPool(withoutSequentialScans(databaseUrl), { name: 'isolation', max: 2 }));
  // Nothing of it is to survive a crash.
  for (const table of await childrenFirst(pool)) await pool.query(`alter table ${table} set unlogged`);
  const vespaUrl = `http://vespa${++lanes}.invalid`;
  const documents = new DocumentClient(vespaUrl);
  const base = {
    pool,
    documents,
    phoenix: new PhoenixStandIn(),
    temporal: new TemporalStandIn(),
    vespaUrl,
    environment: new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }),
    useVespa: (vespa: VespaStandIn) => serve(vespaUrl, vespa.answer),
    nextRun: runs(pool),
    async close() {
      await documents.close();
      await pool.end();
    },
  };
  const real = allActivities(base);
  return { ...base, activities: { ...real, ...mutant?.(real, base) } };
}

const { privateKey } = generateKeyPairSync('ed25519');
/** No backup is made in these sequences. */
const noShelf = { store: () => Promise.reject(new Error('there is no backup store here')) };

function allActivities({ pool, documents, phoenix, temporal, vespaUrl }: Omit<Lane, 'activities'>) {
  const { client } = temporal;
  const vespa = { documents, vespaUrl, vespaConfigUrl: vespaUrl };
  const configServer = new ConfigServer(vespaUrl);
  const memories = new TenantMemories({ documents, configServer, embedder: new LocalEmbedder() });
  return {
    ...createTenantActivities({ pool, phoenix, ...vespa, memories }),
    ...createApplicationActivities({ pool, client, ...vespa }),
    ...createLedgerActivities({ pool, documents }),
    ...createRetentionActivities({ pool, client, webhook: undefined }),
    ...createPurgeActivities({
      isAsked: async () => true,
      pool,
      client,
      phoenix,
      documents,
      vespaUrl,
      configServer,
      temporal: async () => client,
      signer: new CertificateSigner(async () => privateKey),
      shelf: noShelf,
    }),
  };
}

/** In the order of their references. */
const TABLES = [
  'quota_reservations',
  'quota_usage',
  'quotas',
  'purge_stores',
  'retention_notices',
  'tenant_schedules',
  'rate_buckets',
  'ingest_slots',
  'memory_writers',
  'videos',
  'ingest_items',
  'config_versions',
  'tenant_schemas',
  'operations',
  'tenants',
];

function runs(pool: Pool): () => Promise<number> {
  let run = 0;
  return async () => {
    if (++run % RUNS_KEPT === 0) {
      for (const table of TABLES) await pool.query(`delete from ${table}`);
      await pool.query(`vacuum analyze ${TABLES.join(', ')}`);
    }
    return run;
  };
}

/** Plans are made once and kept; one that was made while a table was empty must not read all of it later. */
function withoutSequentialScans(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.searchParams.set(
    'options',
    '-c enable_seqscan=off -c synchronous_commit=off -c jit=off -c plan_cache_mode=force_generic_plan',
  );
  return url.href;
}

/** Every statement is prepared once a connection: half of a short statement's time is its planning. */
function preparing(pool: Pool): Pool {
  const names = new Map<string, string>();
  pool.on('connect', (client: pg.PoolClient) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    const prepared = (text: unknown, values: unknown, ...rest: unknown[]): unknown => {
      if (typeof text !== 'string' || !Array.isArray(values)) return query(text, values, ...rest);
      let name = names.get(text);
      if (name === undefined) names.set(text, (name = `s${names.size}`));
      return query({ name, text, values }, ...rest);
    };
    client.query = prepared as typeof client.query;
  });
  return pool;
}

/** Every table of the registry, each before those that it refers to: a logged one must not refer to an unlogged one. */
async function childrenFirst(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ name: string; parents: string[] }>(
    `select t.relname as name, array_remove(array_agg(distinct p.relname::text), null) as parents
     from pg_class t left join pg_constraint c on c.conrelid = t.oid and c.contype = 'f' and c.confrelid <> t.oid
       left join pg_class p on p.oid = c.confrelid
     where t.relnamespace = current_schema()::regnamespace and t.relkind = 'r' group by t.relname`,
  );
  const left = new Map(rows.map(({ name, parents }) => [name, parents]));
  const sorted: string[] = [];
  while (left.size > 0) {
    const childless = [...left.keys()].filter((name) => ![...left.values()].flat().includes(name));
    if (childless.length === 0) throw new Error('tables refer to each other in a circle');
    for (const name of childless) left.delete(name);
    sorted.push(...childless);
  }
  return sorted;
}
