import { QUOTA_RESOURCES, type StockResource } from '../domain/quotas.js';
import { MEMORY_SCHEMA } from '../domain/profiles.js';
import type { TenantMemory } from '../memory/tenantMemory.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import { runningOperations } from '../registry/operations.js';
import { schemasOf } from '../registry/schemas.js';
import type { TenantLife } from '../registry/tenants.js';
import type { DocumentClient } from '../vespa/documents.js';
import { countFound } from '../vespa/search.js';
import { recountMemories } from './memories.js';
import { expire, settle } from './reservations.js';

export interface ReconcileResources {
  readonly pool: Pool;
  readonly documents: Pick<DocumentClient, 'search'>;
  /** Undefined: the tenant has none. */
  readonly memoryOf: (life: TenantLife) => Promise<Pick<TenantMemory, 'count'> | undefined>;
  /** Whether a workflow runs. */
  readonly isOpen: (workflowId: string) => Promise<boolean>;
}

/** What was wrong, and is corrected; in the units that are counted in, storage in bytes. */
export interface UsageDifference {
  readonly resource: StockResource | 'reserved';
  readonly was: number;
  readonly is: number;
}

/** How long calls of former periods are kept, for whoever asks how many there were. */
const KEEP_DAYS = 400;

/**
 * Compares what is counted of a tenant with what it has, and sets it right: videos and bytes by the registry's rows,
 * documents and memories by Vespa, reservations by who holds them.
 */
export async function reconcileUsage(
  { pool, documents, memoryOf, isOpen }: ReconcileResources,
  life: TenantLife,
  signal?: AbortSignal,
): Promise<UsageDifference[]> {
  await expire(pool, life, QUOTA_RESOURCES);
  await giveUpLost(pool, life, isOpen);
  const found = await documentsFound(pool, documents, life, signal);
  const differences = await transaction(pool, (tx) => correct(tx, life, found));
  const memory = await memoryOf(life);
  if (memory === undefined) return differences;
  const memories = await recountMemories(pool, life, memory, signal ? { signal } : {});
  return memories.was === memories.is ? differences : [...differences, { resource: 'memories', ...memories }];
}

/** An ingest whose workflow was terminated never says that it has ended. */
async function giveUpLost(pool: Pool, life: TenantLife, isOpen: ReconcileResources['isOpen']): Promise<void> {
  for (const { operation, kind, workflowId } of await runningOperations(pool, life.incarnation))
    if (kind === 'ingestVideos' && !(await isOpen(workflowId)))
      await transaction(pool, (tx) => settle(tx, { life, key: operation }));
}

/** Undefined while an ingest runs, or Vespa does not answer in full: then the registry is what is known. */
async function documentsFound(
  pool: Pool,
  documents: Pick<DocumentClient, 'search'>,
  { incarnation }: TenantLife,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const quiet = async () =>
    (await runningOperations(pool, incarnation)).every(
      ({ kind }) => kind !== 'ingestVideos' && kind !== 'restoreTenant',
    );
  if (!(await quiet())) return undefined;
  let sum = 0;
  for (const { schemaName, baseSchema, state } of await schemasOf(pool, incarnation)) {
    if (baseSchema === MEMORY_SCHEMA || state !== 'deployed') continue;
    const count = await countFound(documents, schemaName, signal);
    if (count === undefined) return undefined;
    sum += count;
  }
  return (await quiet()) ? sum : undefined;
}

/**
 * With the counters locked: a video or reservation that is written meanwhile is either in the sums, or its writer waits
 * and then counts it on top.
 */
async function correct(
  tx: Queryable,
  { incarnation }: TenantLife,
  documents: number | undefined,
): Promise<UsageDifference[]> {
  const { rows: counted } = await tx.query<{ resource: StockResource; used: number; reserved: number }>(
    `select resource, used, reserved from quota_usage where incarnation = $1 and period_start = '-infinity'
     order by resource for update`,
    [incarnation],
  );
  const { rows } = await tx.query<{ videos: number; documents: number; bytes: number }>(
    `select count(*) as videos, coalesce(sum(documents), 0)::bigint as documents,
       coalesce(sum(bytes), 0)::bigint as bytes
     from videos where incarnation = $1 and complete`,
    [incarnation],
  );
  const known = rows[0]!;
  const real = { videos: known.videos, documents: documents ?? known.documents, storage_mb: known.bytes };
  const differences: UsageDifference[] = [];
  for (const [resource, is] of Object.entries(real) as [keyof typeof real, number][]) {
    const was = counted.find((row) => row.resource === resource)?.used ?? 0;
    if (was === is) continue;
    await tx.query(
      `insert into quota_usage (incarnation, resource, used) values ($1, $2, $3)
       on conflict (incarnation, resource, period_start) do update set used = excluded.used`,
      [incarnation, resource, is],
    );
    differences.push({ resource, was, is });
  }
  const { rows: reservations } = await tx.query<{ was: number; is: number }>(
    `with held as (
       select u.resource, u.reserved as was, coalesce(sum(r.amount), 0)::bigint as "is"
       from quota_usage u left join quota_reservations r using (incarnation, resource)
       where u.incarnation = $1 and u.period_start = '-infinity' group by u.resource, u.reserved
     ), set_right as (
       update quota_usage u set reserved = held."is" from held
       where u.incarnation = $1 and u.resource = held.resource and u.period_start = '-infinity' and held.was <> held."is"
     )
     select was, "is" from held where was <> "is"`,
    [incarnation],
  );
  await tx.query(
    `delete from quota_usage where incarnation = $1 and period_start > '-infinity'
       and period_start < now() - make_interval(days => ${KEEP_DAYS})`,
    [incarnation],
  );
  return [...differences, ...reservations.map(({ was, is }) => ({ resource: 'reserved' as const, was, is }))];
}
