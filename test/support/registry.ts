import { randomUUID } from 'node:crypto';
import pg from 'pg';
import {
  type Incarnation,
  type OperationId,
  type TenantId,
  parseIncarnation,
  parseOperationId,
  parseTenantId,
} from '../../src/domain/ids.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import { MEMORY_SCHEMA } from '../../src/domain/profiles.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { migrate } from '../../src/registry/migrate.js';
import { startOperation } from '../../src/registry/operations.js';
import { markDeployed, reserveSchemas } from '../../src/registry/schemas.js';
import { insertTenant, setTenantState } from '../../src/registry/tenants.js';
import { startTestPostgres } from './postgres.js';

export interface TestRegistry {
  /** Of a migrated database. */
  readonly url: string;
  readonly pool: Pool;
  /** Makes an empty database beside it; @returns its URL. */
  emptyDatabase(): Promise<string>;
  stop(): Promise<void>;
}

/** A real PostgreSQL with the registry's tables, for one test file. */
export async function startTestRegistry(): Promise<TestRegistry> {
  const server = await startTestPostgres();
  await migrate(server.url);
  const pool = openPool(server.url, { name: 'test-registry', max: 30 });
  return {
    url: server.url,
    pool,
    async emptyDatabase() {
      const name = `d${randomUUID().replaceAll('-', '')}`;
      await pool.query(`create database ${pg.escapeIdentifier(name)}`);
      const url = new URL(server.url);
      url.pathname = name;
      return url.href;
    },
    async stop() {
      await pool.end();
      await server.stop();
    },
  };
}

export const newIncarnation = (): Incarnation => parseIncarnation(randomUUID());
export const newOperation = (): OperationId => parseOperationId(randomUUID());

export interface Life {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly createOperation: OperationId;
}

/** What a creation would insert; nothing is written. */
export function lifeOf(tenant: string): Parameters<typeof insertTenant>[1] {
  const id = parseTenantId(tenant);
  return {
    tenant: id,
    incarnation: newIncarnation(),
    template: 'startup',
    phoenixProject: phoenixProjectName(id),
    memoryEnabled: true,
    createOperation: newOperation(),
  };
}

let counter = 0;

/** An active tenant, under an id that no other test has. */
export async function makeTenant(pool: Pool, tenant = `tenant${++counter}`): Promise<Life> {
  const life = lifeOf(tenant);
  await insertTenant(pool, life);
  await setTenantState(pool, life.incarnation, ['creating'], 'active');
  return life;
}

/** One whose memory schema is in Vespa, by the registry. */
export async function makeTenantWithMemory(pool: Pool): Promise<Life> {
  const life = await makeTenant(pool);
  await reserveSchemas(pool, life.tenant, life.incarnation, [MEMORY_SCHEMA]);
  await markDeployed(pool, life.incarnation, [MEMORY_SCHEMA], 1);
  return life;
}

export async function makeIngest(pool: Pool, life: Life): Promise<OperationId> {
  const operation = newOperation();
  await startOperation(pool, {
    ...life,
    operation,
    kind: 'ingestVideos',
    principal: 'tests',
    reason: '',
    workflowId: `tenant/${life.tenant}/ingest/${operation}`,
  });
  return operation;
}

/** Runs all at once; @returns what each came to, the errors as values. */
export async function atOnce<T>(count: number, run: (i: number) => Promise<T>): Promise<(T | Error)[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) => run(i).catch((error: unknown) => error as Error)),
  );
}
