import { configProblems, refuseProblems } from '../domain/config/check.js';
import { type ConfigChange, diffConfig } from '../domain/config/diff.js';
import { type ConfigEdits, applyEdits } from '../domain/config/edits.js';
import { type ConfigPlace, configKey, placeName } from '../domain/config/keys.js';
import { type ReferenceWriter, vouchedAfter } from '../domain/config/references.js';
import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { appendAudit } from '../registry/audit.js';
import {
  type ConfigValue,
  type ConfigVersion,
  configHistory,
  currentConfig,
  getConfig,
  lockConfig,
  putConfig,
} from '../registry/config.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import { type TenantRow, getTenant, requireTenant } from '../registry/tenants.js';

export interface ConfigTarget extends ConfigPlace {
  readonly tenant: TenantId;
}

/** What to write: edits of the latest version, a whole value, or a former version's value. */
export type ConfigWriteWhat =
  | { readonly kind: 'edits'; readonly edits: ConfigEdits }
  | { readonly kind: 'value'; readonly value: ConfigValue }
  | { readonly kind: 'rollback'; readonly to: number };

export interface ConfigWrite {
  readonly at: ConfigTarget;
  readonly what: ConfigWriteWhat;
  /** The version the writer has seen; absent: whichever is the latest. */
  readonly expectVersion?: number | undefined;
  readonly principal: string;
  readonly reason: string;
  /** As the URL guard's. */
  readonly allowedPrivate: readonly string[];
  /** Who may refer to which secrets; absent: no reference is changed, nor where one is sent. */
  readonly references?: ReferenceWriter;
  /** Everything but the writing. */
  readonly dryRun?: boolean | undefined;
}

export interface ConfigWritten {
  /** The version that was changed. */
  readonly from: number;
  readonly version: number;
  readonly value: ConfigValue;
  readonly changes: readonly ConfigChange[];
}

/**
 * One new version, checked by the rules of its key, in one transaction with its audit row. Writers of one tenant take
 * turns, and a change of the tenant's state waits for them: nothing is written into a life that is being purged.
 *
 * @throws OpsError `InvalidInput` naming each field; `NotFound`; `WrongState`; `Conflict` when `expectVersion` is not the
 *   latest version; `PermissionDenied` when the writer may not refer to a secret, or have it sent elsewhere
 */
export async function writeConfig(pool: Pool, write: ConfigWrite): Promise<ConfigWritten> {
  return transaction(pool, (tx) => writeConfigIn(tx, write));
}

/** The same within a transaction of more. */
export async function writeConfigIn(tx: Queryable, write: ConfigWrite): Promise<ConfigWritten> {
  const { at, what, expectVersion, principal } = write;
  const key = configKey(at);
  const row = await lockedTenant(tx, at.tenant);
  const where = { ...key, incarnation: row.incarnation };
  const latest = await getConfig(tx, where);
  const from = latest?.version ?? 0;
  if (expectVersion !== undefined && expectVersion !== from) throw overtaken(at, from, expectVersion);

  const before = latest?.value ?? {};
  const value = await newValue(tx, write, before, row);
  const { memoryEnabled } = row;
  const problems = configProblems(key, value, { ...write, tenant: at.tenant, memoryEnabled });
  refuseProblems(problems, what.kind === 'rollback' ? `version ${what.to} does not fit today's rules: ` : '');
  const vouched = vouchedAfter(key, [{ value: before, vouched: latest?.vouched ?? [] }, value], {
    ...{ tenant: at.tenant, writer: write.references, names: namedBy(what) },
  });

  const written = { from, version: from + 1, value, changes: diffConfig(before, value) };
  if (write.dryRun) return written;
  const reason = what.kind === 'rollback' ? rollbackReason(what.to, write.reason) : write.reason;
  await putConfig(tx, where, from, { value, vouched, author: principal, reason });
  await appendAudit(tx, {
    principal,
    verb: what.kind === 'rollback' ? 'rollbackConfig' : 'configure',
    tenant: at.tenant,
    outcome: 'completed',
    reason,
    // Names only: a value may be nobody else's business.
    detail: {
      config: placeName(at),
      version: written.version,
      fields: written.changes.map(({ path }) => path),
      ...(what.kind === 'rollback' ? { to: what.to } : {}),
    },
  });
  return written;
}

/** @throws OpsError `NotFound` for the tenant, the key or the version; `WrongState` */
export async function readConfig(db: Queryable, at: ConfigTarget, version?: number): Promise<ConfigVersion> {
  const { incarnation } = await requireTenant(db, at.tenant, 'readConfig');
  const found = await getConfig(db, { ...at, incarnation }, version);
  if (found) return found;
  throw await missing(db, at, incarnation, version);
}

/**
 * Newest first; `before` is the last version of the page before.
 *
 * @throws OpsError `NotFound` when the tenant never had this key; `WrongState`
 */
export async function readHistory(
  db: Queryable,
  at: ConfigTarget,
  page: { readonly before?: number | undefined; readonly limit: number },
): Promise<ConfigVersion[]> {
  const { incarnation } = await requireTenant(db, at.tenant, 'readConfig');
  const { before, limit } = page;
  const versions = await configHistory(
    db,
    { ...at, incarnation },
    { limit, ...(before === undefined ? {} : { before }) },
  );
  if (versions.length === 0 && before === undefined) throw await missing(db, at, incarnation);
  return versions;
}

/** What a write says outright, and does not only leave as it is. */
function namedBy(what: ConfigWriteWhat): (path: string) => boolean {
  if (what.kind === 'value') return () => true;
  if (what.kind === 'rollback') return () => false;
  return (path) =>
    Object.keys(what.edits.set).some((edited) => path === edited || path.startsWith(`${edited}.`));
}

async function newValue(
  tx: Queryable,
  { at, what }: ConfigWrite,
  before: ConfigValue,
  { incarnation }: TenantRow,
): Promise<ConfigValue> {
  switch (what.kind) {
    case 'edits':
      return applyEdits(configKey(at), before, what.edits);
    case 'value':
      return what.value;
    case 'rollback': {
      const former = await getConfig(tx, { ...at, incarnation }, what.to);
      if (former) return former.value;
      throw await missing(tx, at, incarnation, what.to);
    }
  }
}

/** The present life in a state that lets it be configured, locked before it is looked at. */
async function lockedTenant(tx: Queryable, tenant: TenantId): Promise<TenantRow> {
  const { incarnation } = await getTenant(tx, tenant);
  await lockConfig(tx, incarnation);
  const row = await requireTenant(tx, tenant, 'configure');
  if (row.incarnation === incarnation) return row;
  throw new OpsError(
    'Conflict',
    `tenant ${tenant} was created anew just now`,
    'look at it, then write again',
  );
}

function rollbackReason(to: number, given: string): string {
  return given === '' ? `rollback to ${to}` : `rollback to ${to}: ${given}`;
}

function overtaken(at: ConfigTarget, latest: number, expected: number): OpsError {
  return new OpsError(
    'Conflict',
    `${placeName(at)} of ${at.tenant} is at version ${latest}, not ${expected}`,
    'see what changed with cvops config diff, then write against that version',
  );
}

async function missing(
  db: Queryable,
  at: ConfigTarget,
  incarnation: TenantRow['incarnation'],
  version?: number,
): Promise<OpsError> {
  const name = placeName(at);
  const there = await currentConfig(db, incarnation);
  const latest = there.find((found) => placeName(found) === name);
  if (latest !== undefined && version !== undefined)
    return new OpsError(
      'NotFound',
      `${name} of ${at.tenant} has no version ${version}`,
      `its latest version is ${latest.version}`,
    );
  const names = there.map(placeName).join(', ') || 'none';
  return new OpsError('NotFound', `tenant ${at.tenant} has no configuration ${name}`, `it has: ${names}`);
}
