import { OpsError } from '../domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import { javaHashCode, tenantSchemaName } from '../domain/naming.js';
import type { BaseSchema, ProfileName } from '../domain/profiles.js';
import { type TenantState, requireState } from '../domain/states.js';
import { type Pool, type Queryable, transaction } from './database.js';

/** The only proof of whose a physical schema is. */
export interface SchemaRow {
  readonly schemaName: string;
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly baseSchema: BaseSchema;
  readonly state: 'reserved' | 'deployed';
  readonly generation: number | null;
}

const SELECT = `select s.schema_name as "schemaName", t.tenant, s.incarnation, s.base_schema as "baseSchema", s.state, s.generation
  from tenant_schemas s join tenants t using (incarnation)`;

interface Holder {
  readonly schemaName: string;
  readonly incarnation: Incarnation;
  readonly baseSchema: string;
  readonly tenant: TenantId;
  readonly state: string;
}

export async function schemasOf(db: Queryable, incarnation: Incarnation): Promise<SchemaRow[]> {
  const { rows } = await db.query<SchemaRow>(`${SELECT} where s.incarnation = $1 order by s.base_schema`, [
    incarnation,
  ]);
  return rows;
}

/** Of one life's schemas the one of a base, when Vespa has it. */
export function deployed(owned: readonly SchemaRow[], base: unknown): SchemaRow | undefined {
  return owned.find(({ baseSchema, state }) => baseSchema === base && state === 'deployed');
}

/** @throws OpsError `NotFound`, saying what the life has instead */
export async function deployedSchema(
  db: Queryable,
  { tenant, incarnation }: Pick<SchemaRow, 'tenant' | 'incarnation'>,
  profile: ProfileName,
): Promise<SchemaRow> {
  const owned = await schemasOf(db, incarnation);
  const found = deployed(owned, profile);
  if (found) return found;
  throw new OpsError(
    'NotFound',
    `tenant ${tenant} does not have the profile ${profile}`,
    `it has: ${owned.map(({ baseSchema }) => baseSchema).join(', ')}`,
  );
}

export async function allSchemas(db: Queryable): Promise<SchemaRow[]> {
  const { rows } = await db.query<SchemaRow>(`${SELECT} order by t.tenant, s.base_schema`);
  return rows;
}

/** Those of the names that are somebody's. */
export async function registeredNames(db: Queryable, names: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query<Pick<SchemaRow, 'schemaName'>>(
    'select schema_name as "schemaName" from tenant_schemas where schema_name = any($1)',
    [names],
  );
  return new Set(rows.map((row) => row.schemaName));
}

/**
 * Claims the physical names of one life's schemas, all or none; again is fine.
 *
 * @throws OpsError `Conflict` naming what collides, by text or by Java `hashCode`; `NotFound` when the life is not of
 *   this tenant; `WrongState` when it is neither being created, nor restored into, nor active
 */
export async function reserveSchemas(
  pool: Pool,
  tenant: TenantId,
  incarnation: Incarnation,
  bases: readonly BaseSchema[],
): Promise<void> {
  await transaction(pool, async (tx) => {
    // Held until the claim is in: a purge that lists the names after it began must find this one.
    const { rows: lives } = await tx.query<{ state: TenantState; restoring: boolean }>(
      `select state, unfinished_restore is not null as restoring from tenants where incarnation = $1 and tenant = $2 for share`,
      [incarnation, tenant],
    );
    if (lives[0] === undefined)
      throw new OpsError('NotFound', `no such life of tenant ${tenant}: ${incarnation}`);
    const { state, restoring } = lives[0];
    if (state !== 'creating' && !(state === 'inactive' && restoring))
      requireState('deploySchemas', tenant, state);
    // In one order over all tenants, so that two that collide wait for each other instead of deadlocking.
    const wanted = bases
      .map((base): Wanted => ({ base, name: tenantSchemaName(base, tenant), tenant, incarnation }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    for (const claim of wanted) await reserve(tx, claim);
  });
}

interface Wanted {
  readonly base: BaseSchema;
  readonly name: string;
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
}

async function reserve(tx: Queryable, claim: Wanted): Promise<void> {
  const { base, name, tenant, incarnation } = claim;
  const hash = javaHashCode(name);
  for (let attempt = 0; attempt < 3; attempt++) {
    const { rowCount } = await tx.query(
      `insert into tenant_schemas (schema_name, java_hash, incarnation, base_schema, state)
       values ($1, $2, $3, $4, 'reserved') on conflict do nothing`,
      [name, hash, incarnation, base],
    );
    if (rowCount === 1) return;
    const { rows: holders } = await tx.query<Holder>(
      `select s.schema_name as "schemaName", s.incarnation, s.base_schema as "baseSchema", t.tenant, t.state
       from tenant_schemas s join tenants t using (incarnation) where s.schema_name = $1 or s.java_hash = $2`,
      [name, hash],
    );
    const holder = holders.find(({ schemaName }) => schemaName === name) ?? holders[0];
    // Given up between the two statements: the name is free now.
    if (holder === undefined) continue;
    if (holder.incarnation === incarnation && holder.baseSchema === base) return;
    if (holder.schemaName !== name)
      throw collision(claim, `has the same Java hash code as ${holder.schemaName}`);
    // A failed creation of this very id whose clean-up did not get through: it never was open for use.
    if (holder.tenant !== tenant || holder.state !== 'creation_failed')
      throw collision(claim, `is taken by a tenant that is ${holder.state}`);
    const taken = await tx.query(
      `update tenant_schemas set incarnation = $2, base_schema = $3, state = 'reserved', generation = null, deployed_at = null
       where schema_name = $1 and incarnation = $4`,
      [name, incarnation, base, holder.incarnation],
    );
    if (taken.rowCount === 1) return;
  }
  throw new Error(`the registry rows of schema ${name} change too fast`);
}

function collision({ name }: Wanted, how: string): OpsError {
  return new OpsError(
    'Conflict',
    `schema ${name} ${how}`,
    'choose another tenant id: two such schemas cannot live in one application',
  );
}

/** Marks what a deploy put into the package; a later deploy of the same schema moves its generation. */
export async function markDeployed(
  db: Queryable,
  incarnation: Incarnation,
  bases: readonly BaseSchema[],
  generation: number,
): Promise<void> {
  await db.query(
    `update tenant_schemas set state = 'deployed', generation = $3, deployed_at = now()
     where incarnation = $1 and base_schema = any($2) and generation is distinct from $3`,
    [incarnation, bases, generation],
  );
}

/** Gives names up after a deploy took the schemas out of the package. */
export async function markRemoved(
  db: Queryable,
  incarnation: Incarnation,
  bases: readonly BaseSchema[],
): Promise<void> {
  await db.query('delete from tenant_schemas where incarnation = $1 and base_schema = any($2)', [
    incarnation,
    bases,
  ]);
}

/**
 * Names of these lives that were claimed and are not known to be deployed; none of a life for which an operation other than
 * this one runs that may have claimed them.
 */
export async function reservedNames(
  db: Queryable,
  lives: readonly Incarnation[],
  operation: OperationId,
): Promise<string[]> {
  const { rows } = await db.query<Pick<SchemaRow, 'schemaName'>>(
    `select schema_name as "schemaName" from tenant_schemas s
     where state = 'reserved' and incarnation = any($1) and not exists (
       select 1 from operations o
       where o.state = 'running' and o.operation <> $2 and (
         o.kind in ('createTenant', 'restoreTenant') and o.incarnation = s.incarnation or exists (
           select 1 from rollout_items i
           where i.operation = o.operation and i.incarnation = s.incarnation and i.state = 'pending'
         ))
     ) order by schema_name`,
    [lives, operation],
  );
  return rows.map(({ schemaName }) => schemaName);
}

/** Gives up those of the names that are still not deployed. @returns which */
export async function releaseNames(db: Queryable, names: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<Pick<SchemaRow, 'schemaName'>>(
    `delete from tenant_schemas where schema_name = any($1) and state = 'reserved'
     returning schema_name as "schemaName"`,
    [names],
  );
  return rows.map(({ schemaName }) => schemaName).toSorted();
}

/** Gives names up that never reached a package. */
export async function releaseReserved(db: Queryable, incarnation: Incarnation): Promise<void> {
  await db.query(`delete from tenant_schemas where incarnation = $1 and state = 'reserved'`, [incarnation]);
}
