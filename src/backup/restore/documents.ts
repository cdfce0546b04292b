import type { ManifestPart } from '../../contracts/backup.js';
import { OpsError } from '../../domain/errors.js';
import type { OperationId } from '../../domain/ids.js';
import { sumOf } from '../../domain/lineDigests.js';
import { type BaseSchema, MEMORY_SCHEMA } from '../../domain/profiles.js';
import { noteRestored, restoredParts } from '../../registry/backupProgress.js';
import { deployed, schemasOf } from '../../registry/schemas.js';
import type { TenantLife } from '../../registry/tenants.js';
import { readPackage } from '../../vespa/activePackage.js';
import { LineDigest } from '../digest.js';
import { digestSchema } from '../documents/digestSlice.js';
import { type PartLines, putOf, restoreParts } from '../documents/restoreParts.js';
import { slicesFor } from '../documents/slices.js';
import { type DocumentRename, type DocumentsOf, lineRenamer } from '../format/documentLine.js';
import { readPart } from '../format/readPart.js';
import { namespaceOf } from '../namespaces.js';
import type { BackupResources } from '../writer.js';
import type { RestoreSource } from './source.js';

/** Documents of one schema, into one life, by one operation. */
export interface DocumentsTarget {
  readonly base: BaseSchema;
  readonly to: TenantLife;
  readonly operation: OperationId;
}

export interface Watch {
  readonly signal: AbortSignal;
  readonly heartbeat: () => void;
}

/**
 * Feeds the parts of a schema that are not done yet.
 *
 * @returns how many documents its parts have, those of former attempts among them
 * @throws OpsError `NotFound` when the tenant has no such schema, `Rejected` naming a document that Vespa refuses
 */
export async function restoreDocuments(
  { pool, documents }: BackupResources,
  source: RestoreSource,
  { base, to, operation }: DocumentsTarget,
  { signal, heartbeat }: Watch,
): Promise<{ documents: number }> {
  const of = await schemaOf(pool, to, base);
  const renames = renameOf(source, base, to, of);
  const rename = renames && lineRenamer(renames);
  const done = await restoredParts(pool, operation);
  const parts = partsOf(source, base);

  interface Restoring {
    readonly part: ManifestPart;
    readonly digest: LineDigest;
  }
  function* lines(): Generator<PartLines<Restoring>> {
    for (const part of parts) {
      if (done.has(part.path)) continue;
      const digest = new LineDigest();
      yield { part: { part, digest }, lines: as(part, digest) };
    }
  }
  async function* as(part: ManifestPart, digest: LineDigest): AsyncGenerator<Buffer> {
    for await (const line of readPart(source.place, part, { key: source.key, signal })) {
      const renamed = rename ? rename(line) : line;
      // Before it is fed: the put takes the line's bytes over.
      digest.add(renamed);
      yield renamed;
    }
  }
  await restoreParts(documents, lines(), {
    put: (line) => putOf(line, of),
    onPart: ({ part, digest }) => noteRestored(pool, operation, part.path, digest),
    onProgress: heartbeat,
    signal,
  });
  return { documents: parts.reduce((sum, { count }) => sum + count, 0) };
}

/**
 * Reads a schema back. It must hold what was fed, no more and no less, and where nothing was renamed that must be what the
 * manifest says.
 *
 * @throws OpsError `VerificationFailed`
 */
export async function compareDocuments(
  { pool, documents, configServer }: BackupResources,
  source: RestoreSource,
  { base, to, operation }: DocumentsTarget,
  watch: Watch,
): Promise<{ documents: number }> {
  const of = await schemaOf(pool, to, base);
  const done = await restoredParts(pool, operation);
  const parts = partsOf(source, base);
  const fed = sumOf(parts.map(({ path }) => done.get(path) ?? missing(path)));
  const said = source.manifest.schemas.find((schema) => schema.base === base)!;
  const renamed = renameOf(source, base, to, of) !== undefined;
  if (fed.count !== said.documents || (!renamed && fed.digest !== said.digest))
    throw wrong(of, 'what was fed is not what the manifest says');
  const { contentCluster: cluster } = await readPackage(configServer);
  const read = await digestSchema(documents, { cluster, ...of }, slicesFor(said.documents), watch);
  if (read.count !== fed.count) throw wrong(of, `it holds ${read.count} documents, ${fed.count} were fed`);
  if (read.digest !== fed.digest) throw wrong(of, 'documents came back other than they were fed');
  return { documents: read.count };
}

export async function schemaOf(
  pool: BackupResources['pool'],
  { tenant, incarnation }: TenantLife,
  base: BaseSchema,
): Promise<DocumentsOf> {
  const row = deployed(await schemasOf(pool, incarnation), base);
  if (row) return { namespace: namespaceOf(base), schema: row.schemaName };
  throw new OpsError('NotFound', `tenant ${tenant} does not have the schema ${base}`);
}

function partsOf({ manifest }: RestoreSource, base: BaseSchema): ManifestPart[] {
  return manifest.parts.filter((part) =>
    base === MEMORY_SCHEMA ? part.kind === 'memory' : part.kind === 'documents' && part.base === base,
  );
}

/** @returns undefined into the very life that was backed up: every byte stays */
function renameOf(
  { manifest }: RestoreSource,
  base: BaseSchema,
  { tenant, incarnation }: TenantLife,
  to: DocumentsOf,
): DocumentRename | undefined {
  const from = manifest.schemas.find((schema) => schema.base === base)!;
  if (manifest.incarnation === incarnation && from.schema === to.schema && from.namespace === to.namespace)
    return undefined;
  return {
    from: { namespace: from.namespace, schema: from.schema },
    to,
    fields: { tenant_id: tenant, incarnation },
  };
}

function missing(path: string): never {
  throw new Error(`part ${path} was not restored`);
}

function wrong({ schema }: DocumentsOf, why: string): OpsError {
  return new OpsError(
    'VerificationFailed',
    `schema ${schema} after the restore: ${why}`,
    'see that nothing else writes to it, then restore again',
  );
}
