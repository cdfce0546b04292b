import type { Incarnation, OperationId } from '../domain/ids.js';
import type { PurgeStore, PurgeTrigger } from '../domain/purge.js';
import type { Queryable } from './database.js';
import type { TenantRow } from './tenants.js';

/** One thing that a purge takes away. Times in ISO 8601. */
export interface PurgeStoreRow {
  readonly store: PurgeStore;
  readonly name: string;
  readonly method: string;
  readonly before: number;
  readonly countedAt: string;
  readonly deletedAt: string | null;
  readonly after: number | null;
  readonly readBackAt: string | null;
  readonly afterDelay: number | null;
  readonly secondReadBackAt: string | null;
}

/** Writes down what was there. Only the first count stays: a purge that begins again finds less. */
export async function noteBefore(
  db: Queryable,
  incarnation: Incarnation,
  found: readonly Pick<PurgeStoreRow, 'store' | 'name' | 'method' | 'before'>[],
): Promise<void> {
  for (const { store, name, method, before } of found) {
    await db.query(
      `insert into purge_stores (incarnation, store, name, method, before) values ($1, $2, $3, $4, $5) on conflict do nothing`,
      [incarnation, store, name, method, before],
    );
  }
}

/** When it was emptied: the last time, if a look in between found it not empty. */
export async function noteDeleted(
  db: Queryable,
  incarnation: Incarnation,
  stores: readonly PurgeStore[],
): Promise<void> {
  await db.query(
    `update purge_stores set deleted_at = now()
     where incarnation = $1 and store = any($2) and (deleted_at is null or after > 0 or after_delay > 0)`,
    [incarnation, stores],
  );
}

export async function noteReadBack(
  db: Queryable,
  incarnation: Incarnation,
  look: 'first' | 'second',
  count: { readonly store: PurgeStore; readonly name: string; readonly count: number },
): Promise<void> {
  const set =
    look === 'first' ? 'after = $4, read_back_at = now()' : 'after_delay = $4, second_read_back_at = now()';
  await db.query(`update purge_stores set ${set} where incarnation = $1 and store = $2 and name = $3`, [
    incarnation,
    count.store,
    count.name,
    count.count,
  ]);
}

export async function purgeStoresOf(db: Queryable, incarnation: Incarnation): Promise<PurgeStoreRow[]> {
  const { rows } = await db.query<PurgeStoreRow>(
    `select store, name, method, before, to_json(counted_at)#>>'{}' as "countedAt",
       to_json(deleted_at)#>>'{}' as "deletedAt", after, to_json(read_back_at)#>>'{}' as "readBackAt",
       after_delay as "afterDelay", to_json(second_read_back_at)#>>'{}' as "secondReadBackAt"
     from purge_stores where incarnation = $1 order by store, name`,
    [incarnation],
  );
  return rows;
}

/** Who asked for the purge that a life was last in, and why; undefined when its operation was never written. */
export async function findPurgeRequest(
  db: Queryable,
  life: Pick<TenantRow, 'tenant' | 'purgeOperation'>,
): Promise<
  { readonly principal: string; readonly reason: string; readonly trigger: PurgeTrigger } | undefined
> {
  const { rows } = await db.query<{ principal: string; reason: string; trigger: PurgeTrigger }>(
    `select principal, reason, detail->>'trigger' as trigger from audit_log
     where tenant = $1 and operation = $2 and verb = 'delete' and outcome = 'started'`,
    [life.tenant, life.purgeOperation],
  );
  return rows[0];
}

/** The first one stays: what was signed and handed out is what the registry has. @returns the one that stays */
export async function keepCertificate(
  tx: Queryable,
  row: { readonly incarnation: Incarnation; readonly operation: OperationId; readonly document: string },
): Promise<string> {
  await tx.query(
    `insert into erasure_certificates (incarnation, operation, document) values ($1, $2, $3) on conflict do nothing`,
    [row.incarnation, row.operation, row.document],
  );
  return (await findCertificate(tx, row.incarnation))!;
}

export async function findCertificate(db: Queryable, incarnation: Incarnation): Promise<string | undefined> {
  const { rows } = await db.query<{ document: string }>(
    'select document from erasure_certificates where incarnation = $1',
    [incarnation],
  );
  return rows[0]?.document;
}
