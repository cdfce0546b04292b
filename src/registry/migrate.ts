import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { projectRoot } from '../projectRoot.js';
import { openPool, transaction } from './database.js';

/** Any number will do, as long as nobody else takes this advisory lock in the same database. */
const LOCK = 7_301_114;

/**
 * Brings the registry's tables up to date: plain SQL files `migrations/NNNN_name.sql`, each once, in order, in a
 * transaction of its own. Two at once are harmless: the second waits and finds nothing to do.
 *
 * @returns names of the files applied now
 * @throws OpsError `Conflict` when an applied file was edited since
 */
export async function migrate(
  databaseUrl: string,
  folder = path.join(projectRoot, 'migrations'),
): Promise<string[]> {
  const files = (await readdir(folder)).filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name)).toSorted();
  const pool = openPool(databaseUrl, { max: 1, name: 'cvops-migrate' });
  try {
    const applied: string[] = [];
    for (const name of files) {
      const sql = await readFile(path.join(folder, name), 'utf8');
      const checksum = createHash('sha256').update(sql).digest('hex');
      await transaction(pool, async (tx) => {
        await tx.query('select pg_advisory_xact_lock($1)', [LOCK]);
        await tx.query(
          `create table if not exists migrations (name text primary key, checksum text not null, applied_at timestamptz not null default now())`,
        );
        const { rows } = await tx.query<{ checksum: string }>(
          'select checksum from migrations where name = $1',
          [name],
        );
        if (rows[0] === undefined) {
          await tx.query(sql);
          await tx.query('insert into migrations (name, checksum) values ($1, $2)', [name, checksum]);
          applied.push(name);
        } else if (rows[0].checksum !== checksum) {
          throw new OpsError(
            'Conflict',
            `migration ${name} was edited after it was applied`,
            'restore it and add a new file instead',
          );
        }
      });
    }
    return applied;
  } finally {
    await pool.end();
  }
}
