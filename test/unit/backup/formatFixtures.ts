import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { addDigests, noLines } from '../../../src/domain/lineDigests.js';
import { type BackupId, backupFolder, parseBackupId } from '../../../src/domain/backups.js';
import type { LinePartKind, PartName } from '../../../src/domain/backupParts.js';
import { type TenantId, parseIncarnation, parseTenantId } from '../../../src/domain/ids.js';
import type { BaseSchema } from '../../../src/domain/profiles.js';
import { tenantSchemaName } from '../../../src/domain/naming.js';
import { canonicalJson } from '../../../src/certificates/canonicalJson.js';
import {
  BACKUP_FORMAT,
  type BackupManifest,
  type BackupVideo,
  type Encryption,
  type ManifestPart,
} from '../../../src/contracts/backup.js';
import type { DataKey } from '../../../src/backup/format/keys.js';
import { writeManifest } from '../../../src/backup/format/manifest.js';
import type { BackupPlace } from '../../../src/backup/format/place.js';
import { writePart, writeTextPart } from '../../../src/backup/format/writePart.js';
import type { BackupStore } from '../../../src/backup/store/store.js';

/** A key of the tests, the same each time: golden files are signed with it. */
export const signingKey = createPrivateKey({
  key: Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    createHash('sha256').update('tests of backups').digest(),
  ]),
  format: 'der',
  type: 'pkcs8',
});
export const trustedKeys = [createPublicKey(signingKey)];

export const TENANT = parseTenantId('acme_corp');
export const INCARNATION = parseIncarnation('0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b');
export const BACKUP = parseBackupId('20261128T154500Z-3f9a1c2b');
export const FRAMES = 'video_colpali_smol500_mv_frame';
const BASES = ['agent_memories', FRAMES] as const;

export function linesOf(...lines: (string | Buffer)[]): AsyncIterable<Buffer> {
  return (async function* () {
    for (const line of lines) yield Buffer.from(line as string);
  })();
}

/** A document with what a parser would change: 64-bit numbers, -0, exponents, a name twice, hex, escapes. */
export function document(schema: string, namespace: string, id: string, tenant: string = TENANT): string {
  return (
    `{"put":"id:${namespace}:${schema}::${id}","fields":{"tenant_id":"${tenant}","incarnation":"${INCARNATION}",` +
    `"creation_timestamp":9223372036854775807,"start_time":-0.0,"end_time":1e400,"note":"\\u00e9 \\"tenant_id\\": é",` +
    `"embedding":{"type":"tensor<int8>(v[4])","values":"deadbeef"},"of":{"tenant_id":"inner"},"of":{}}}`
  );
}

export interface WriteOptions {
  readonly store: BackupStore;
  readonly tenant?: TenantId;
  readonly backup?: BackupId;
  readonly encryption?: { readonly key: DataKey; readonly encryption: Encryption };
  /** Of each schema. */
  readonly documents?: number;
}

/** A whole small backup, written as an operation writes one. */
export async function writeBackup(
  options: WriteOptions,
): Promise<{ place: BackupPlace; manifest: BackupManifest }> {
  const { store, tenant = TENANT, backup = BACKUP, documents = 6 } = options;
  const place = { store, folder: backupFolder(tenant, backup) };
  const key = options.encryption?.key;
  const parts: ManifestPart[] = [];
  const write = async (name: PartName & { kind: LinePartKind }, lines: string[]) =>
    parts.push(await writePart(place, name, linesOf(...lines), { key }));
  const writeText = async (name: PartName & { kind: 'config' | 'schema' }, text: string) =>
    parts.push(await writeTextPart(place, name, { text: Buffer.from(text), count: 1 }, { key }));

  await writeText({ kind: 'config' }, canonicalJson({ versions: [configVersion()] }));
  for (const base of BASES) {
    const schema = tenantSchemaName(base, tenant);
    await writeText({ kind: 'schema', base }, `schema ${schema} {}\n`);
    const all = Array.from({ length: documents }, (_, i) =>
      document(schema, namespaceOf(base), `v_seg_${i}`, tenant),
    );
    const half = Math.ceil(documents / 2);
    for (const [index, lines] of [all.slice(0, half), all.slice(half)].entries())
      await write(base === FRAMES ? { kind: 'documents', base, index } : { kind: 'memory', index }, lines);
  }
  await write({ kind: 'videos' }, [canonicalJson(video())]);
  for (const kind of ['spans', 'annotations', 'notes'] as const)
    await write({ kind, index: 0 }, [`{"kind":"${kind}","n":1}`, `{"kind":"${kind}","n":2}`]);

  const manifest = manifestOf(parts, { tenant, backup, encryption: options.encryption?.encryption ?? null });
  await writeManifest(place, manifest, signingKey);
  return { place, manifest };
}

/** A manifest that agrees with its parts. */
export function manifestOf(
  parts: readonly ManifestPart[],
  of: { readonly tenant: TenantId; readonly backup: BackupId; readonly encryption: Encryption | null },
): BackupManifest {
  const sums = (kind: string, base?: string) => {
    const own = parts.filter((part) => part.kind === kind && part.base === base);
    return {
      count: own.reduce((sum, part) => sum + part.count, 0),
      digest: own.reduce((sum, part) => addDigests(sum, part.digest), noLines),
    };
  };
  return {
    format: BACKUP_FORMAT,
    version: 1,
    tool: '0.1.0',
    ...of,
    incarnation: INCARNATION,
    startedAt: '2026-11-28T15:45:00.000Z',
    endedAt: '2026-11-28T15:46:00.000Z',
    consistency: { asked: 'settled', achieved: 'settled', passes: 2, fence: null },
    template: 'startup',
    config: { versions: sums('config').count },
    schemas: BASES.map((base) => {
      const { count: documents, digest } = base === FRAMES ? sums('documents', base) : sums('memory');
      const schema = tenantSchemaName(base, of.tenant);
      const { digest: sha256 } = sums('schema', base);
      return { base, schema, namespace: namespaceOf(base), documents, digest, sha256 };
    }),
    traces: {
      project: `${of.tenant}_project`,
      spans: sums('spans'),
      annotations: sums('annotations'),
      notes: sums('notes'),
    },
    videos: sums('videos'),
    parts: parts.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
  };
}

function namespaceOf(base: BaseSchema): string {
  return base === 'agent_memories' ? 'memory_content' : 'content';
}

function configVersion() {
  return {
    scope: 'system',
    service: 'system',
    key: 'system_config',
    version: 1,
    value: { llm: 'env:LLM_TOKEN' },
    author: 'zoë@example.com',
    reason: 'made',
    createdAt: '2026-11-28T15:00:00.123456+00:00',
  };
}

function video(): BackupVideo {
  return {
    base: FRAMES,
    video: 'v',
    path: '/videos/v.mp4',
    sha256: 'ab'.repeat(32),
    profileVersion: 1,
    encoder: 'embedded',
    documents: 6,
    complete: true,
    fingerprint: null,
    refusedAs: null,
  };
}
