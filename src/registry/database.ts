import pg from 'pg';

export type Pool = pg.Pool;
export type Queryable = pg.Pool | pg.PoolClient;

// Counts are far below 2^53 here; as text they would only be parsed again at each use.
pg.types.setTypeParser(pg.types.builtins.INT8, (text) => Number(text));

/** @param max connections at most; every process has one pool */
export function openPool(
  databaseUrl: string,
  options: { readonly max?: number; readonly name: string },
): Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.max ?? 10,
    application_name: options.name,
    connectionTimeoutMillis: 5_000,
    statement_timeout: 30_000,
  });
  // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {});
  return pool;
}

/** Runs `work` in one transaction; any error rolls it back. */
export async function transaction<T>(pool: Pool, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((e: unknown) => {
      broken = e as Error;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** The SQLSTATE of a unique violation and the constraint it broke. */
export function uniqueViolation(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError && error.code === '23505' ? error.constraint : undefined;
}
