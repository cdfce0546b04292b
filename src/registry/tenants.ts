import { OpsError } from '../domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import { type TenantState, type TenantVerb, isFenced, requireState } from '../domain/states.js';
import type { Queryable } from './database.js';

/** One life of a tenant id. Times in ISO 8601. */
export interface TenantRow {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly state: TenantState;
  readonly template: string;
  readonly phoenixProject: string;
  readonly memoryEnabled: boolean;
  readonly createOperation: OperationId;
  readonly createdAt: string;
  readonly deactivatedAt: string | null;
  readonly purgeAt: string | null;
  readonly purgeOperation: OperationId | null;
  readonly purgedAt: string | null;
  /** Until when the name of a purged tenant stays taken. */
  readonly quarantineUntil: string | null;
  /** The operation that holds the fence; null when none stands. */
  readonly fence: OperationId | null;
  /** A restore that began on it and did not end well. */
  readonly unfinishedRestore: OperationId | null;
}

const COLUMNS = `tenant, incarnation, state, template, phoenix_project as "phoenixProject", memory_enabled as "memoryEnabled",
  create_operation as "createOperation", to_json(created_at)#>>'{}' as "createdAt",
  to_json(deactivated_at)#>>'{}' as "deactivatedAt", to_json(purge_at)#>>'{}' as "purgeAt", purge_operation as "purgeOperation",
  to_json(purged_at)#>>'{}' as "purgedAt", to_json(quarantine_until)#>>'{}' as "quarantineUntil",
  case when fence_until > now() then fence end as fence, unfinished_restore as "unfinishedRestore"`;

/** The present life of an id, else its last one. */
export async function findTenant(db: Queryable, tenant: TenantId): Promise<TenantRow | undefined> {
  const { rows } = await db.query<TenantRow>(
    `select ${COLUMNS} from tenants where tenant = $1
     order by (state not in ('purged', 'creation_failed')) desc, created_at desc limit 1`,
    [tenant],
  );
  return rows[0];
}

/** @throws OpsError `NotFound` when the id never had a life */
export async function getTenant(db: Queryable, tenant: TenantId): Promise<TenantRow> {
  const row = await findTenant(db, tenant);
  if (row) return row;
  throw new OpsError('NotFound', `no tenant ${tenant}`, `create it with: cvops tenant create ${tenant}`);
}

/** The present life, in a state the verb may begin in. @throws OpsError `NotFound`, `WrongState` */
export async function requireTenant(db: Queryable, tenant: TenantId, verb: TenantVerb): Promise<TenantRow> {
  const row = await getTenant(db, tenant);
  requireState(verb, tenant, row.state, row.purgeAt);
  requireWhole(verb, row);
  if (row.fence !== null && isFenced(verb))
    throw new OpsError(
      'WrongState',
      `tenant ${tenant} is closed to changes by operation ${row.fence}`,
      `wait for it: cvops op watch ${row.fence}`,
    );
  return row;
}

/** Verbs that take a life for whole: half of one is neither opened nor kept as a backup. */
const WHOLE: readonly TenantVerb[] = ['reactivate', 'backup'];

/** @throws OpsError `WrongState` for a life that a restore has begun on and not ended */
export function requireWhole(
  verb: TenantVerb,
  { tenant, unfinishedRestore }: Pick<TenantRow, 'tenant' | 'unfinishedRestore'>,
): void {
  if (!WHOLE.includes(verb) || unfinishedRestore === null) return;
  throw new OpsError(
    'WrongState',
    `a restore into tenant ${tenant} has not ended well (operation ${unfinishedRestore}): it may hold half of a backup`,
    `restore again: cvops backup restore BACKUP --into ${tenant}, or delete it: cvops tenant delete ${tenant} --hard`,
  );
}

/**
 * The same, and the tenant stays in that state until the transaction ends: for what must not begin while a deactivation
 * or a purge comes between the look and the deed.
 */
export async function lockTenant(tx: Queryable, tenant: TenantId, verb: TenantVerb): Promise<TenantRow> {
  const { incarnation } = await requireTenant(tx, tenant, verb);
  await tx.query('select 1 from tenants where incarnation = $1 for share', [incarnation]);
  return requireTenant(tx, tenant, verb);
}

/** The same of one life, whoever bears its name by now. @throws OpsError `NotFound`, `WrongState` */
export async function lockLife(tx: Queryable, life: TenantLife, verb: TenantVerb): Promise<TenantRow> {
  await tx.query('select 1 from tenants where incarnation = $1 for share', [life.incarnation]);
  const row = await getLife(tx, life);
  requireState(verb, row.tenant, row.state, row.purgeAt);
  return row;
}

/** In order of the id; `after` is the last id of the page before. */
export async function listTenants(
  db: Queryable,
  options: {
    readonly state?: TenantState | undefined;
    readonly after?: string;
    readonly limit?: number;
  } = {},
): Promise<TenantRow[]> {
  const { rows } = await db.query<TenantRow>(
    `select ${COLUMNS} from (
       select distinct on (tenant) * from tenants where tenant::text > $2
       order by tenant, (state not in ('purged', 'creation_failed')) desc, created_at desc
     ) latest
     where ($1::text is null or state = $1) order by tenant limit $3`,
    [options.state ?? null, options.after ?? '', options.limit ?? 1000],
  );
  return rows;
}

/** All of them, page by page, in order of the id. */
export async function everyTenant(db: Queryable, state?: TenantState): Promise<TenantRow[]> {
  const all: TenantRow[] = [];
  for (;;) {
    const page = await listTenants(db, { state, after: all.at(-1)?.tenant ?? '', limit: 1000 });
    all.push(...page);
    if (page.length < 1000) return all;
  }
}

/**
 * Begins a life. The same operation again finds the row it made; another one finds a living tenant and is refused.
 *
 * @returns whether this call made the row
 * @throws OpsError `WrongState` when the tenant exists, or the operation began another life
 */
export async function insertTenant(
  tx: Queryable,
  row: Pick<
    TenantRow,
    'tenant' | 'incarnation' | 'template' | 'phoenixProject' | 'memoryEnabled' | 'createOperation'
  >,
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `insert into tenants (tenant, incarnation, state, template, phoenix_project, memory_enabled, create_operation)
     values ($1, $2, 'creating', $3, $4, $5, $6) on conflict do nothing`,
    [row.tenant, row.incarnation, row.template, row.phoenixProject, row.memoryEnabled, row.createOperation],
  );
  if (rowCount === 1) return true;
  // Lost to a create that has committed since the caller looked: a former attempt of this very one, or another's.
  const mine = await findIncarnation(tx, row.incarnation);
  if (mine?.tenant === row.tenant && mine.createOperation === row.createOperation) return false;
  const there = await findTenant(tx, row.tenant);
  if (there) requireState('create', row.tenant, there.state);
  throw new OpsError(
    'WrongState',
    `tenant ${row.tenant} cannot be created: its incarnation, operation or Phoenix project is in use`,
    'start a new operation',
  );
}

/**
 * Compare-and-set; in `to` already is success, so that a step may run twice.
 *
 * @param purgeAt when the retention ends: for `inactive`, and only for it
 * @returns false when the life is in another state, or there is no such life
 */
export async function setTenantState(
  db: Queryable,
  incarnation: Incarnation,
  from: readonly TenantState[],
  to: TenantState,
  purgeAt?: Date,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update tenants set state = $3,
       updated_at = case when state = $3 then updated_at else now() end,
       purge_at = case when state = $3 then purge_at else $4 end,
       deactivated_at = case when state = $3 then deactivated_at when $3 = 'inactive' then now() when $3 = 'active' then null
         else deactivated_at end,
       purged_at = case when state = $3 then purged_at when $3 = 'purged' then now() end
     where incarnation = $1 and (state = any($2) or state = $3)`,
    [incarnation, from, to, purgeAt ?? null],
  );
  return rowCount === 1;
}

/**
 * The life and the former ones of its id that failed to be created: what one of those may have left behind is this
 * tenant's and goes with it.
 */
export async function livesOf(db: Queryable, { tenant, incarnation }: TenantLife): Promise<Incarnation[]> {
  const { rows } = await db.query<{ incarnation: Incarnation }>(
    `select incarnation from tenants where tenant = $1 and (incarnation = $2 or state = 'creation_failed')
     order by created_at`,
    [tenant, incarnation],
  );
  return rows.map((row) => row.incarnation);
}

export type TenantLife = Pick<TenantRow, 'tenant' | 'incarnation'>;

/** @throws OpsError `NotFound` when the life is not of this tenant */
export async function getLife(db: Queryable, { tenant, incarnation }: TenantLife): Promise<TenantRow> {
  const row = await findIncarnation(db, incarnation);
  if (row?.tenant === tenant) return row;
  throw new OpsError('NotFound', `no such life of tenant ${tenant}: ${incarnation}`);
}

export async function findIncarnation(
  db: Queryable,
  incarnation: Incarnation,
): Promise<TenantRow | undefined> {
  const { rows } = await db.query<TenantRow>(`select ${COLUMNS} from tenants where incarnation = $1`, [
    incarnation,
  ]);
  return rows[0];
}
