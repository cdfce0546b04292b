import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

export type Pool = pg.Pool;
export type Queryable = pg.Pool | pg.PoolClient;

/** Serialization failure and deadlock: the server rolled back one of two, and asks for another try. */
const TRY_AGAIN = new Set(['40001', '40P01']);
const TRIES = 5;

/** Counts stay far below 2^53 here; one that would not must never be rounded in silence. */
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`${text} is beyond what a number holds exactly`);
  return value;
}

/** Only of our own pools: a parser set on `pg.types` would change every other user of `pg` in the process. */
const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, parseInt8);

export interface PoolOptions {
  /** Shown in `pg_stat_activity`. */
  readonly name: string;
  /** Connections at most, 10 when not given; every process has one pool. */
  readonly max?: number;
  /** Milliseconds a statement may run, 30,000 when not given; 0 for no end. */
  readonly statementTimeoutMs?: number;
  /** Hears of idle connections that broke. They are replaced at the next use, so this is for a log. */
  readonly onIdleError?: (error: Error) => void;
}

/**
 * Opens no connection yet. What a query throws when Postgres is gone (refused, reset, restarted) is a plain error and
 * never an `OpsError`: Temporal tries the activity again, and every step of the registry may run twice.
 */
export function openPool(databaseUrl: string, options: PoolOptions): Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.max ?? 10,
    application_name: options.name,
    connectionTimeoutMillis: 5_000,
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    // A process that hangs in mid-transaction would hold the audit log's lock for everybody.
    idle_in_transaction_session_timeout: 60_000,
    keepAlive: true,
    types,
  });
  // Without a listener an idle connection that breaks would end the process.
  pool.on('error', (error) => options.onIdleError?.(error));
  return pool;
}

/**
 * Runs `work` in one transaction; any error rolls it back. After a deadlock or serialization failure all of `work`
 * runs again, so it touches nothing but the database.
 */
export async function transaction<T>(pool: Pool, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(pool, work);
    } catch (error) {
      if (attempt === TRIES || !isTryAgain(error)) throw error;
      await delay(2 ** attempt * 5 * (1 + Math.random()));
    }
  }
}

class Rehearsed extends Error {
  constructor(readonly result: unknown) {
    super('rehearsed');
  }
}

/** The same, taken back as soon as it is done: what a change would come to, by the code that makes it. */
export async function rehearsed<T>(pool: Pool, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  try {
    return await transaction(pool, async (tx): Promise<T> => {
      throw new Rehearsed(await work(tx));
    });
  } catch (error) {
    if (error instanceof Rehearsed) return error.result as T;
    throw error;
  }
}

async function once<T>(pool: Pool, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // A connection that dies between two queries says so here; the next query rejects, which is what `work` sees.
  const onError = (error: Error) => (broken = error);
  client.on('error', onError);
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(onError);
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

function isTryAgain(error: unknown): boolean {
  return error instanceof pg.DatabaseError && TRY_AGAIN.has(error.code ?? '');
}
