import type { BackupManifest, ManifestPart } from '../contracts/backup.js';
import type { Consistency } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import { type CountedDigest, sumOf } from '../domain/lineDigests.js';
import { type BaseSchema, MEMORY_SCHEMA } from '../domain/profiles.js';
import type { SliceRow } from '../registry/backupProgress.js';
import type { BackupRow, BackupTotals } from '../registry/backups.js';
import { BACKUP_FORMAT, BACKUP_VERSION } from '../contracts/backup.js';
import { type BackupPlace, placeOf } from './format/place.js';

export interface Ending {
  readonly template: string;
  /** Null when the tenant has no project. */
  readonly project: string | null;
  readonly consistency: {
    readonly achieved: Consistency;
    readonly passes: number;
    readonly fence: { readonly from: string; readonly until: string } | null;
  };
  readonly endedAt: Date;
}

/** What a backup says of itself, from what was stored of it. */
export function manifestOf(
  row: BackupRow,
  slices: readonly SliceRow[],
  parts: readonly ManifestPart[],
  tool: string,
  { template, project, consistency, endedAt }: Ending,
): BackupManifest {
  const of = (kind: ManifestPart['kind'], base?: BaseSchema) =>
    sumOf(parts.filter((part) => part.kind === kind && part.base === base));
  const schemas = Map.groupBy(slices, ({ base }) => base);
  return {
    format: BACKUP_FORMAT,
    version: BACKUP_VERSION,
    tool,
    tenant: row.tenant,
    incarnation: row.incarnation,
    backup: row.backup,
    startedAt: new Date(row.startedAt).toISOString(),
    endedAt: endedAt.toISOString(),
    consistency: { asked: row.consistencyAsked, ...consistency },
    template,
    config: { versions: of('config').count },
    schemas: [...schemas.values()]
      .map(([slice]) => schemaOf(slice!, parts, of))
      .toSorted((a, b) => (a.base < b.base ? -1 : 1)),
    traces:
      project === null
        ? null
        : { project, spans: of('spans'), annotations: of('annotations'), notes: of('notes') },
    videos: of('videos'),
    parts: [...parts],
    encryption: row.encryption,
  };
}

/** What the registry keeps of it, for lists. */
export function totalsOf({ schemas, traces, parts }: BackupManifest): BackupTotals {
  const sum = (of: typeof schemas) => of.reduce((total, { documents }) => total + documents, 0);
  return {
    documents: sum(schemas.filter(({ base }) => base !== MEMORY_SCHEMA)),
    memories: sum(schemas.filter(({ base }) => base === MEMORY_SCHEMA)),
    spans: traces?.spans.count ?? 0,
    bytes: parts.reduce((total, { size }) => total + size, 0),
  };
}

/**
 * Takes away what killed attempts left in the folder, and looks that every part lies there in its size.
 *
 * @throws OpsError `Unavailable` naming the part that does not
 */
export async function tidyFolder(
  place: BackupPlace,
  parts: readonly ManifestPart[],
  signal: AbortSignal,
): Promise<void> {
  if (place.folder) await place.store.sweep(place.folder, 0, { signal });
  const expected = new Map(parts.map((part) => [placeOf(place, part.path) as string, part]));
  for await (const { path, size } of place.store.list(place.folder, { signal })) {
    const part = expected.get(path);
    if (part === undefined) await place.store.remove(path, { signal });
    else if (part.size === size) expected.delete(path);
  }
  const [lost] = expected.values();
  if (lost !== undefined)
    throw new OpsError(
      'Unavailable',
      `part ${lost.path} is not in ${place.store.location} as it was stored`,
      'see who else writes there, and back up again',
    );
}

function schemaOf(
  { base, schema, namespace }: SliceRow,
  parts: readonly ManifestPart[],
  of: (kind: ManifestPart['kind'], base?: BaseSchema) => CountedDigest,
): BackupManifest['schemas'][number] {
  const { count, digest } = base === MEMORY_SCHEMA ? of('memory') : of('documents', base);
  const text = parts.find((part) => part.kind === 'schema' && part.base === base);
  return { base, schema, namespace, documents: count, digest, sha256: text?.digest ?? '' };
}
