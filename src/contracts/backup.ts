import { z } from 'zod';
import { BACKUP_LIMITS } from '../domain/backupLimits.js';
import { isPartPath, isTextPart } from '../domain/backupParts.js';
import { type BackupId, CONSISTENCIES, PART_KINDS, type PartKind, parseBackupId } from '../domain/backups.js';
import { sumOf } from '../domain/lineDigests.js';
import { MEMORY_SCHEMA } from '../domain/profiles.js';
import { accepts, baseSchema, incarnation, tenantId } from './common.js';
import { instant, signature, statementText as text } from './signature.js';

export const BACKUP_FORMAT = 'cogniverse-ops/backup';
export const BACKUP_VERSION = 1;

const count = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'not 64 hex digits');
/** A name of Vespa's: of a schema, of a namespace. */
const name = z
  .string()
  .max(251)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/);
const backup = z.custom<BackupId>((value) => accepts(parseBackupId, value), 'not a backup id');

/** How many lines there are, and the sum of their SHA-256 (docs/backup-format.md, Digests). */
const lines = z.strictObject({ count, digest: sha256 });

const schema = z.strictObject({
  base: baseSchema,
  /** As the tenant's schema was called, and the namespace of its documents. */
  schema: name,
  namespace: name,
  documents: count,
  digest: sha256,
  /** Of the schema's text. */
  sha256,
});

const part = z.strictObject({
  path: z.string().max(200),
  kind: z.enum(PART_KINDS),
  base: z.exactOptional(baseSchema),
  /** Bytes as stored, and their SHA-256. */
  size: count.max(BACKUP_LIMITS.partBytes),
  sha256,
  /** Lines; versions of the configuration; 1 of a schema. */
  count,
  /** Bytes before compression and encryption. */
  plainSize: count.max(BACKUP_LIMITS.partBytes),
  /** Of the lines; of a whole text that text's SHA-256. */
  digest: sha256,
});
export type ManifestPart = z.infer<typeof part>;

const encryption = z.strictObject({
  algorithm: z.literal('AES-256-GCM'),
  /** Of the key encryption key. */
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  /** Nonce, encrypted data key and tag: 60 bytes, base64. */
  wrappedKey: z.string().regex(/^[A-Za-z0-9+/]{80}$/),
});
export type Encryption = z.infer<typeof encryption>;

const body = z.strictObject({
  format: z.literal(BACKUP_FORMAT),
  version: z.literal(BACKUP_VERSION),
  /** The version of the software that wrote it. */
  tool: text,
  tenant: tenantId,
  incarnation,
  backup,
  startedAt: instant,
  endedAt: instant,
  consistency: z.strictObject({
    asked: z.enum(CONSISTENCIES),
    achieved: z.enum(CONSISTENCIES),
    /** How often the documents were gone through; of `settled` the last two agreed. */
    passes: z.int().min(1),
    /** When writes began to be refused, and were allowed again; null when they never were. */
    fence: z.strictObject({ from: instant, until: instant }).nullable(),
  }),
  /** The template the tenant was made with. */
  template: text,
  config: z.strictObject({ versions: count }),
  schemas: z.array(schema),
  /** Null when the tenant had no project. */
  traces: z.strictObject({ project: text, spans: lines, annotations: lines, notes: lines }).nullable(),
  videos: lines,
  parts: z.array(part),
  /** Null when the parts are not encrypted. */
  encryption: encryption.nullable(),
});

/** The sums below are of what has the right form alone: a refinement of `body` would also run on what has not. */
const wellFormedBody = z.custom<z.infer<typeof body>>();

/** What a backup says of itself. One that contradicts itself is refused. */
export const backupManifest = body.pipe(
  wellFormedBody.superRefine((manifest, context) => {
    const refuse = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    const { parts, schemas, traces, consistency, startedAt, endedAt } = manifest;

    if (endedAt < startedAt) refuse(['endedAt'], 'it ended before it started');
    const { achieved, passes, fence } = consistency;
    if (achieved === 'fenced' && fence === null) refuse(['consistency', 'fence'], 'fenced without a fence');
    if (achieved === 'settled' && passes < 2) refuse(['consistency', 'passes'], 'settled by one pass');
    if (fence !== null && fence.until < fence.from)
      refuse(['consistency', 'fence'], 'it ended before it began');

    parts.forEach((entry, i) => {
      if (!isPartPath(entry.path, entry.kind, entry.base))
        refuse(['parts', i, 'path'], `no path of ${entry.kind}`);
      if (i > 0 && entry.path <= parts[i - 1]!.path) refuse(['parts', i, 'path'], 'not in ascending order');
      if (entry.plainSize > plainLimit(entry.kind)) refuse(['parts', i, 'plainSize'], 'above the limit');
      if (!isTextPart(entry.kind) && entry.count > entry.plainSize)
        refuse(['parts', i, 'count'], 'more lines than bytes');
    });
    schemas.forEach((entry, i) => {
      if (i > 0 && entry.base <= schemas[i - 1]!.base)
        refuse(['schemas', i, 'base'], 'not in ascending order');
    });
    if (new Set(schemas.map((entry) => entry.schema)).size < schemas.length)
      refuse(['schemas'], 'one name of two schemas');

    const groups = Map.groupBy(parts, groupOf);
    const agree = (group: string, path: string[], said: { count: number; digest: string }) => {
      const sum = sumOf(groups.get(group) ?? []);
      if (sum.count !== said.count || sum.digest !== said.digest) refuse(path, 'not the sum of its parts');
      groups.delete(group);
    };
    const config = groups.get('config') ?? [];
    if (config.length !== 1 || config[0]!.count !== manifest.config.versions)
      refuse(['config'], 'not what its part says');
    groups.delete('config');
    for (const { base, documents, digest, sha256: text } of schemas) {
      const at = `schema ${base}`;
      const [sd] = groups.get(at) ?? [];
      if (sd?.count !== 1 || sd.digest !== text)
        refuse(['schemas', base], 'its text is not what its part says');
      groups.delete(at);
      agree(base === MEMORY_SCHEMA ? 'memory' : `documents ${base}`, ['schemas', base], {
        count: documents,
        digest,
      });
    }
    agree('videos', ['videos'], manifest.videos);
    if (traces !== null)
      for (const kind of ['spans', 'annotations', 'notes'] as const)
        agree(kind, ['traces', kind], traces[kind]);
    for (const group of groups.keys()) refuse(['parts'], `parts that belong to nothing: ${group}`);
  }),
);
export type BackupManifest = z.infer<typeof backupManifest>;
export type ManifestSchema = BackupManifest['schemas'][number];

/** The file, which is this and nothing else, as canonical JSON. */
export const manifestFile = z.strictObject({ manifest: backupManifest, signature });

/** One version of one key, as the registry has it. */
const configVersion = z.strictObject({
  scope: z.string(),
  service: z.string(),
  key: z.string(),
  version: z.int().min(1),
  value: z.record(z.string(), z.unknown()),
  /** Paths of the references in it that an administrator answered for; absent: none. */
  vouched: z.exactOptional(z.array(z.string()).min(1)),
  author: z.string(),
  reason: z.string(),
  /** ISO 8601 with the registry's own precision. */
  createdAt: z.string(),
});

/** `config.json`: every version of every key, by place and version. */
export const backupConfig = z
  .strictObject({ versions: z.array(configVersion) })
  .superRefine(({ versions }, context) => {
    const seen = new Map<string, number>();
    versions.forEach((entry, i) => {
      const place = JSON.stringify([entry.scope, entry.service, entry.key]);
      if (entry.version !== (seen.get(place) ?? 0) + 1)
        context.addIssue({
          code: 'custom',
          path: ['versions', i, 'version'],
          message: 'not the next version',
        });
      seen.set(place, entry.version);
    });
  });
export type BackupConfig = z.infer<typeof backupConfig>;

/** One line of `videos.jsonl.zst`: a row of the registry without its incarnation. */
export const backupVideo = z.strictObject({
  base: baseSchema,
  video: z.string().min(1),
  path: z.string(),
  sha256: z.string(),
  profileVersion: count,
  encoder: z.string(),
  documents: count,
  complete: z.boolean(),
  fingerprint: z.string().nullable(),
  /** How it looked when it was last refused; null when it was not. */
  refusedAs: z.string().nullable(),
  /** Of its documents as they were sent; absent in backups from before it was noted. */
  bytes: count.optional(),
});
export type BackupVideo = z.infer<typeof backupVideo>;

function groupOf({ kind, base }: { readonly kind: PartKind; readonly base?: string }): string {
  return base === undefined ? kind : `${kind} ${base}`;
}

function plainLimit(kind: PartKind): number {
  switch (kind) {
    case 'config':
      return BACKUP_LIMITS.configBytes;
    case 'schema':
      return BACKUP_LIMITS.schemaBytes;
    default:
      return BACKUP_LIMITS.partBytes;
  }
}
