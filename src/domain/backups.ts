import { OpsError } from './errors.js';
import { type OperationId, type TenantId, parseTenantId, quoteForMessage } from './ids.js';

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** `20261128T154500Z-3f9a1c2b`: the time it was asked for, in UTC, and eight random hex digits. Sorts by time. */
export type BackupId = Brand<string, 'BackupId'>;
/** A place within a backup store: names joined by `/`, relative, none of them `.` or `..`. */
export type StorePath = Brand<string, 'StorePath'>;

const BACKUP_ID = /^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$/;
const STORE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
const MAX_PATH = 512;

/** `fenced`: the tenant's writes were refused meanwhile. `settled`: passes until nothing changed. `fuzzy`: neither. */
export const CONSISTENCIES = ['fenced', 'settled', 'fuzzy'] as const;
export type Consistency = (typeof CONSISTENCIES)[number];

/** What the parts of a backup hold. */
export const PART_KINDS = [
  'config',
  'schema',
  'videos',
  'documents',
  'memory',
  'spans',
  'annotations',
  'notes',
] as const;
export type PartKind = (typeof PART_KINDS)[number];

/** Written last: a folder without it is no backup. */
export const MANIFEST_NAME = 'manifest.json';

/** @param random eight hex digits */
export function backupId(at: Date, random: string): BackupId {
  return parseBackupId(`${at.toISOString().replace(/[-:]|\.[0-9]+/g, '')}-${random}`);
}

/** The one parser of backup ids. @throws OpsError `InvalidInput` */
export function parseBackupId(text: unknown): BackupId {
  if (typeof text === 'string' && BACKUP_ID.test(text)) return text as BackupId;
  throw new OpsError(
    'InvalidInput',
    `not a backup id: ${quoteForMessage(text)}`,
    'see them with: cvops backup list',
  );
}

/** The one parser of places in a store: a text that could lead out of it is refused. @throws OpsError `InvalidInput` */
export function parseStorePath(text: unknown): StorePath {
  if (isStorePath(text)) return text;
  throw new OpsError('InvalidInput', `not a place in a backup store: ${quoteForMessage(text)}`);
}

export function isStorePath(text: unknown): text is StorePath {
  return (
    typeof text === 'string' &&
    text.length <= MAX_PATH &&
    text.split('/').every((name) => STORE_NAME.test(name))
  );
}

/** `<tenant>/<backup>`, relative to the store. */
export function backupFolder(tenant: TenantId, backup: BackupId): StorePath {
  return parseStorePath(`${parseTenantId(tenant)}/${parseBackupId(backup)}`);
}

/** A place within a folder. @throws OpsError `InvalidInput` when a name is none */
export function within(folder: StorePath, ...names: readonly string[]): StorePath {
  return parseStorePath([folder, ...names].join('/'));
}

/** The throw-away tenant of a restore drill: of a name of its own, so that no two drills meet. */
export function drillTenant(operation: OperationId): TenantId {
  return parseTenantId(`drill_${operation.replaceAll('-', '').slice(0, 16)}`);
}
