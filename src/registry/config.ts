import { CANARY_SCOPE } from '../domain/canaries.js';
import type { ConfigPlace } from '../domain/config/keys.js';
import { OpsError } from '../domain/errors.js';
import type { Incarnation } from '../domain/ids.js';
import type { Queryable } from './database.js';
import { storableJson, storableText } from './storable.js';

export interface ConfigCoordinates extends ConfigPlace {
  readonly incarnation: Incarnation;
}

export type ConfigValue = Readonly<Record<string, unknown>>;

export interface ConfigVersion extends ConfigPlace {
  readonly version: number;
  readonly value: ConfigValue;
  /** Paths of the secret references in it that an administrator answers for, each as it is and where it is sent. */
  readonly vouched: readonly string[];
  readonly author: string;
  readonly reason: string;
  readonly createdAt: string;
}

const COLUMNS = `scope, service, key, version, value, vouched, author, reason, to_json(created_at)#>>'{}' as "createdAt"`;

/**
 * Appends a version by compare-and-set: it becomes `expected + 1`, or nothing is written. The same write again (same
 * value, author and reason at the same version) finds the version it made.
 *
 * @param write.vouched absent: no reference is vouched for
 * @param expected the version the writer has seen; 0 for none
 * @throws OpsError `Conflict` when another version came between
 */
export async function putConfig(
  db: Queryable,
  at: ConfigCoordinates,
  expected: number,
  write: Pick<ConfigVersion, 'value' | 'author' | 'reason'> & Partial<Pick<ConfigVersion, 'vouched'>>,
): Promise<number> {
  const { incarnation, scope, service, key } = at;
  const version = expected + 1;
  const row = [
    incarnation,
    scope,
    service,
    key,
    version,
    JSON.stringify(storableJson(write.value)),
    storableText(write.author),
    storableText(write.reason),
    write.vouched ?? [],
  ];
  // No violation may be raised: the caller's transaction would be lost with it.
  const { rowCount } = await db.query(
    `insert into config_versions (incarnation, scope, service, key, version, value, author, reason, vouched)
     select $1, $2, $3, $4, $5, $6, $7, $8, $9
     where $5::int = 1 + (select coalesce(max(version), 0) from config_versions
       where incarnation = $1 and scope = $2 and service = $3 and key = $4)
     on conflict do nothing`,
    row,
  );
  if (rowCount === 1) return version;
  const { rowCount: mine } = await db.query(
    `select 1 from config_versions where incarnation = $1 and scope = $2 and service = $3 and key = $4
     and version = $5 and value = $6::jsonb and author = $7 and reason = $8 and vouched = $9`,
    row,
  );
  if (mine === 1) return version;
  const latest = (await getConfig(db, at))?.version ?? 0;
  throw new OpsError(
    'Conflict',
    `${scope}/${service}/${key} is at version ${latest}, not ${expected}`,
    'read it again, then write',
  );
}

/**
 * Until the transaction ends nobody else writes this life's configuration by this lock, nor changes its state. Other rows
 * that point at the life can still be made.
 */
export async function lockConfig(tx: Queryable, incarnation: Incarnation): Promise<void> {
  await tx.query('select 1 from tenants where incarnation = $1 for no key update', [incarnation]);
}

/** Every key of one life, latest version each. */
export async function currentConfig(db: Queryable, incarnation: Incarnation): Promise<ConfigVersion[]> {
  const { rows } = await db.query<ConfigVersion>(
    `select distinct on (scope, service, key) ${COLUMNS} from config_versions
     where incarnation = $1 and scope <> $2 order by scope, service, key, version desc`,
    [incarnation, CANARY_SCOPE],
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

/** Newest first, all there ever were; `before` is the last version of the page before. */
export async function configHistory(
  db: Queryable,
  at: ConfigCoordinates,
  options: { readonly before?: number; readonly limit: number },
): Promise<ConfigVersion[]> {
  const { rows } = await db.query<ConfigVersion>(
    `select ${COLUMNS} from config_versions where incarnation = $1 and scope = $2 and service = $3 and key = $4
     and ($5::int is null or version < $5) order by version desc limit $6`,
    [at.incarnation, at.scope, at.service, at.key, options.before ?? null, options.limit],
  );
  return rows;
}

/** Every version of every key of one life, by place and version. */
export async function allConfigVersions(db: Queryable, incarnation: Incarnation): Promise<ConfigVersion[]> {
  const { rows } = await db.query<ConfigVersion>(
    `select ${COLUMNS} from config_versions where incarnation = $1 and scope <> $2
     order by scope collate "C", service collate "C", key collate "C", version`,
    [incarnation, CANARY_SCOPE],
  );
  return rows;
}

/** Another life's history becomes that of a life which has just been made, and has nobody who reads it yet. */
export async function replaceConfigHistory(
  tx: Queryable,
  incarnation: Incarnation,
  versions: readonly ConfigVersion[],
): Promise<void> {
  await deleteConfig(tx, incarnation);
  for (const { scope, service, key, version, value, vouched, author, reason, createdAt } of versions)
    await tx.query(
      `insert into config_versions (incarnation, scope, service, key, version, value, vouched, author, reason, created_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [incarnation, scope, service, key, version, JSON.stringify(value), vouched, author, reason, createdAt],
    );
}

/** Every version of every key of one life goes: only for a life that ends. */
export async function deleteConfig(db: Queryable, incarnation: Incarnation): Promise<void> {
  await db.query('delete from config_versions where incarnation = $1', [incarnation]);
}
