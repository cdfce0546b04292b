import { OpsError } from '../domain/errors.js';
import type { Incarnation } from '../domain/ids.js';
import { type Queryable, uniqueViolation } from './database.js';

export interface ConfigCoordinates {
  readonly incarnation: Incarnation;
  readonly scope: 'system' | 'agent' | 'routing' | 'telemetry' | 'schema' | 'backend';
  readonly service: string;
  readonly key: string;
}

export type ConfigValue = Readonly<Record<string, unknown>>;

export interface ConfigVersion {
  readonly scope: ConfigCoordinates['scope'];
  readonly service: string;
  readonly key: string;
  readonly version: number;
  readonly value: ConfigValue;
  readonly author: string;
  readonly reason: string;
  readonly createdAt: string;
}

const COLUMNS = `scope, service, key, version, value, author, reason, to_json(created_at)#>>'{}' as "createdAt"`;

/**
 * Appends a version by compare-and-set: it becomes `expected + 1`, or nothing is written.
 *
 * @param expected the version the writer has seen; 0 for none
 * @throws OpsError `Conflict` when another version came between
 */
export async function putConfig(
  db: Queryable,
  at: ConfigCoordinates,
  expected: number,
  write: { readonly value: ConfigValue; readonly author: string; readonly reason: string },
): Promise<number> {
  const conflict = () =>
    new OpsError(
      'Conflict',
      `${at.scope}/${at.service}/${at.key} is not at version ${expected} any more`,
      'read it again, then write',
    );
  try {
    const { rowCount } = await db.query(
      `insert into config_versions (incarnation, scope, service, key, version, value, author, reason)
       select $1, $2, $3, $4, $5, $6, $7, $8
       where (select coalesce(max(version), 0) from config_versions where incarnation = $1 and scope = $2 and service = $3 and key = $4) = $5 - 1`,
      [
        at.incarnation,
        at.scope,
        at.service,
        at.key,
        expected + 1,
        JSON.stringify(write.value),
        write.author,
        write.reason,
      ],
    );
    if (rowCount !== 1) throw conflict();
  } catch (error) {
    throw uniqueViolation(error) === undefined ? error : conflict();
  }
  return expected + 1;
}

/** Every key of one life, latest version each. */
export async function currentConfig(db: Queryable, incarnation: Incarnation): Promise<ConfigVersion[]> {
  const { rows } = await db.query<ConfigVersion>(
    `select distinct on (scope, service, key) ${COLUMNS} from config_versions where incarnation = $1
     order by scope, service, key, version desc`,
    [incarnation],
  );
  return rows;
}

/** Latest version, or the one asked for. */
export async function getConfig(
  db: Queryable,
  at: ConfigCoordinates,
  version?: number,
): Promise<ConfigVersion | undefined> {
  const { rows } = await db.query<ConfigVersion>(
    `select ${COLUMNS} from config_versions where incarnation = $1 and scope = $2 and service = $3 and key = $4
     and ($5::int is null or version = $5) order by version desc limit 1`,
    [at.incarnation, at.scope, at.service, at.key, version ?? null],
  );
  return rows[0];
}

export async function deleteConfig(db: Queryable, incarnation: Incarnation): Promise<void> {
  await db.query('delete from config_versions where incarnation = $1', [incarnation]);
}
