import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { projectRoot } from '../projectRoot.js';
import { type Pool, type Queryable, openPool, transaction } from './database.js';

/** Any number will do, as long as nobody else takes this advisory lock in the same database. */
const LOCK = 7_301_114;

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/**
 * Brings the registry's tables up to date: plain SQL files `migrations/NNNN_name.sql`, each once, in order, in a
 * transaction of its own. Two at once are harmless: the second waits and finds nothing to do. What a newer version has
 * applied beyond these files is left alone, so that a version can be rolled back without its tables.
 *
 * @returns names of the files applied now
 * @throws OpsError `Conflict` when a file was edited, renamed or removed after it was applied, or one is to go before
 *   an applied one; `InvalidInput` when two have one number
 */
export async function migrate(
  database: string | Pool,
  folder = path.join(projectRoot, 'migrations'),
): Promise<string[]> {
  const migrations = await readMigrations(folder);
  if (typeof database !== 'string') return applyAll(database, migrations);
  // An index on a table that has grown takes longer than any other statement may.
  const pool = openPool(database, { max: 1, name: 'cvops-migrate', statementTimeoutMs: 0 });
  try {
    return await applyAll(pool, migrations);
  } finally {
    await pool.end();
  }
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name)).toSorted();
  const twice = names.find((name, i) => name.slice(0, 4) === names[i - 1]?.slice(0, 4));
  if (twice !== undefined)
    throw new OpsError(
      'InvalidInput',
      `two migrations have the number of ${twice}`,
      'renumber the newer one',
    );
  return Promise.all(
    names.map(async (name) => {
      // A checkout with CRLF line ends holds the same migration.
      const sql = (await readFile(path.join(folder, name), 'utf8')).replaceAll('\r\n', '\n');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function applyAll(pool: Pool, migrations: readonly Migration[]): Promise<string[]> {
  const applied: string[] = [];
  for (const migration of migrations) {
    const apply = transaction(pool, async (tx) => {
      await tx.query('select pg_advisory_xact_lock($1)', [LOCK]);
      await tx.query(
        `create table if not exists migrations (name text primary key, checksum text not null, applied_at timestamptz not null default now())`,
      );
      if (!(await isDue(tx, migration, migrations))) return;
      await tx.query(migration.sql);
      await tx.query('insert into migrations (name, checksum) values ($1, $2)', [
        migration.name,
        migration.checksum,
      ]);
      applied.push(migration.name);
    });
    await apply.catch((error: unknown) => {
      if (error instanceof OpsError) throw error;
      throw new Error(`migration ${migration.name}: ${(error as Error).message}`, { cause: error });
    });
  }
  await transaction(pool, grantToApp);
  return applied;
}

/** What the application's role may do with tables that a migration, of now or before, has made. */
async function grantToApp(tx: Queryable): Promise<void> {
  await tx.query('select pg_advisory_xact_lock($1)', [LOCK]);
  const { rows } = await tx.query<{ known: boolean }>(
    `select to_regprocedure('grant_to_app()') is not null as known`,
  );
  if (rows[0]?.known) await tx.query('select grant_to_app()');
}

async function isDue(
  tx: Queryable,
  { name, checksum }: Migration,
  all: readonly Migration[],
): Promise<boolean> {
  const { rows: done } = await tx.query<{ name: string; checksum: string }>(
    'select name, checksum from migrations order by name collate "C"',
  );
  const known = new Set(all.map((migration) => migration.name));
  const gone = done.find((row) => !known.has(row.name) && row.name < all.at(-1)!.name);
  if (gone)
    throw new OpsError(
      'Conflict',
      `migration ${gone.name} was applied, and its file is gone`,
      'restore the file',
    );
  const mine = done.find((row) => row.name === name);
  if (mine === undefined) {
    const later = done.find((row) => row.name > name);
    if (later === undefined) return true;
    throw new OpsError(
      'Conflict',
      `migration ${name} comes too late: ${later.name} is applied already`,
      'give it the next free number',
    );
  }
  if (mine.checksum === checksum) return false;
  throw new OpsError(
    'Conflict',
    `migration ${name} was edited after it was applied`,
    'restore it and add a new file instead',
  );
}
