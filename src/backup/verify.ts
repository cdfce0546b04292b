import type { KeyObject } from 'node:crypto';
import type { BackupManifest, ManifestPart } from '../contracts/backup.js';
import { MANIFEST_NAME } from '../domain/backups.js';
import { type FailureType, OpsError } from '../domain/errors.js';
import { type DataKey, type KeyEncryptionKey, openDataKey } from './format/keys.js';
import { readManifest } from './format/manifest.js';
import { type BackupPlace, placeOf } from './format/place.js';
import { IdsOnce } from './verify/idsOnce.js';
import { checkPart, documentIds, holdsDocuments } from './verify/checkPart.js';

const MAX_ERRORS = 20;
const NOTHING: VerifyCounts = { parts: 0, documents: 0, bytes: 0 };

export interface VerifyOptions {
  /** Whose manifests are believed. */
  readonly trustedKeys: readonly KeyObject[];
  /** Of an encrypted backup. */
  readonly key?: KeyEncryptionKey | undefined;
  /** The n-th of t samples, from 1: all of them together are every part. */
  readonly sample?: { readonly n: number; readonly t: number } | undefined;
  readonly signal?: AbortSignal | undefined;
  /** After each part. */
  readonly onProgress?: (done: VerifyCounts & { readonly ofParts: number }) => void;
}

export interface VerifyCounts {
  readonly parts: number;
  /** Documents of all schemas, those of memory among them. */
  readonly documents: number;
  /** As stored. */
  readonly bytes: number;
}

/** What was read and found good, when `ok`; else why it is no backup to restore from, at most 20 reasons. */
export interface BackupVerdict extends VerifyCounts {
  readonly ok: boolean;
  readonly errors: readonly string[];
  /** Once its signature is known to be good. */
  readonly manifest?: BackupManifest;
  /** Who signed it. */
  readonly keyId?: string;
}

/**
 * Reads a backup and compares all of it with its manifest, in the order of docs/backup-format.md: the manifest's signature
 * and form, which objects there are and how large, then each part's bytes, lines and ids. Nothing is written. Memory is
 * bounded whatever the backup holds.
 *
 * @throws OpsError `NotFound` when there is no manifest, `InvalidInput` when the key is not that of the backup; when the
 *   store does not answer, what it throws: that says nothing of the backup
 */
export async function verifyBackup(place: BackupPlace, options: VerifyOptions): Promise<BackupVerdict> {
  checkSample(options.sample);
  const { trustedKeys, signal } = options;
  const read = await orFault(() => readManifest(place, trustedKeys, signal), ['NotFound']);
  const verdict = typeof read === 'string' ? { ok: false as const, errors: [read] } : read;
  if (!verdict.ok)
    return { ok: false, errors: verdict.errors.map((error) => `${MANIFEST_NAME}: ${error}`), ...NOTHING };
  const { manifest, keyId } = verdict;

  const key = manifest.encryption ? openDataKey(options.key, manifest.encryption, manifest) : undefined;
  const listed = await listingFaults(place, manifest, signal);
  // What is not there, or has another size, need not be read to be refused.
  if (listed.length > 0) return { ok: false, errors: listed, ...NOTHING, manifest, keyId };
  return { ...(await verifyParts(place, manifest, key, options)), manifest, keyId };
}

async function verifyParts(
  place: BackupPlace,
  manifest: BackupManifest,
  key: DataKey | undefined,
  { sample, signal, onProgress }: VerifyOptions,
): Promise<BackupVerdict> {
  const parts = manifest.parts.filter((part) => isSampled(part, sample));
  const errors: string[] = [];
  const counts = { parts: 0, documents: 0, bytes: 0 };
  for (const group of Map.groupBy(parts, ({ kind, base }) => base ?? kind).values()) {
    const documents = group.filter(holdsDocuments);
    const ids = new IdsOnce(documents.reduce((sum, part) => sum + part.count, 0));
    const onId = (id: string) => ids.add(id);
    const before = errors.length;
    for (const part of group) {
      signal?.throwIfAborted();
      const fault = await orFault(() => checkPart(place, manifest, part, { key, signal, onId }));
      if (fault === undefined) {
        counts.parts++;
        counts.bytes += part.size;
        if (holdsDocuments(part)) counts.documents += part.count;
      } else if (errors.push(fault) >= MAX_ERRORS) return { ok: false, errors, ...counts };
      onProgress?.({ ...counts, ofParts: parts.length });
    }
    // Of documents that could not all be read nothing is said.
    if (errors.length > before) continue;
    let { twice, again } = ids.endPass();
    for (; again && twice === 0; { twice, again } = ids.endPass())
      for (const part of documents)
        for await (const id of documentIds(place, manifest, part, { key, signal })) ids.add(id);
    if (twice > 0) errors.push(`${group[0]!.path} and those beside it: documents that occur twice: ${twice}`);
  }
  return { ok: errors.length === 0, errors, ...counts };
}

/** What lies in the folder and should not, is missing, or has another size. */
async function listingFaults(
  place: BackupPlace,
  { parts }: BackupManifest,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const expected = new Map(parts.map((part) => [placeOf(place, part.path) as string, part]));
  const faults: string[] = [];
  const manifestAt = placeOf(place, MANIFEST_NAME);
  const fault = await orFault(async () => {
    for await (const { path, size } of place.store.list(place.folder, { signal })) {
      const part = expected.get(path);
      if (part === undefined && path !== manifestAt) faults.push(`${path} is no part of the backup`);
      if (part !== undefined && part.size !== size)
        faults.push(`part ${part.path} has ${size} bytes, not ${part.size}`);
      expected.delete(path);
      if (faults.length >= MAX_ERRORS) break;
    }
  });
  if (fault !== undefined) return [fault];
  const missing = Array.from(expected.values(), ({ path }) => `part ${path} is missing`);
  return [...faults, ...missing].slice(0, MAX_ERRORS);
}

/** By the bytes' own hash: which sample a part is in does not depend on the others. */
function isSampled(part: ManifestPart, sample: VerifyOptions['sample']): boolean {
  return sample === undefined || Number.parseInt(part.sha256.slice(0, 12), 16) % sample.t === sample.n - 1;
}

function checkSample(sample: VerifyOptions['sample']): void {
  if (sample === undefined) return;
  const { n, t } = sample;
  if (Number.isSafeInteger(n) && Number.isSafeInteger(t) && n >= 1 && n <= t) return;
  throw new OpsError('InvalidInput', `no sample: ${n}/${t}`, 'the third of seven is 3/7');
}

/** Failures of these types say nothing of the backup. */
const NOT_ITS_FAULT: readonly FailureType[] = ['Unavailable', 'PermissionDenied'];

/** @returns the message when the failure is the backup's fault; others are thrown */
async function orFault<T>(run: () => Promise<T>, others: readonly FailureType[] = []): Promise<T | string> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof OpsError) || [...NOT_ITS_FAULT, ...others].includes(error.type)) throw error;
    return error.message;
  }
}
