import type { KeyObject } from 'node:crypto';
import { type SignedForm, problemsOf, signFile, verifyFile } from '../../certificates/signedFile.js';
import { type BackupManifest, backupManifest, manifestFile } from '../../contracts/backup.js';
import { BACKUP_LIMITS } from '../../domain/backupLimits.js';
import { MANIFEST_NAME } from '../../domain/backups.js';
import { OpsError } from '../../domain/errors.js';
import { type BackupPlace, placeOf } from './place.js';

const FORM: SignedForm<'manifest', BackupManifest> = {
  member: 'manifest',
  prefix: 'cogniverse-ops/backup/v1\n',
  maxBytes: BACKUP_LIMITS.manifestBytes,
  file: manifestFile,
};

export type ManifestVerdict =
  | { readonly ok: true; readonly manifest: BackupManifest; readonly keyId: string }
  | { readonly ok: false; readonly errors: readonly string[] };

/**
 * The exact text of `manifest.json`: the same manifest and key give the same bytes.
 *
 * @param key an Ed25519 private key, see `loadSigningKey`
 * @throws OpsError `VerificationFailed` naming what contradicts itself: there is no backup of that
 */
export function signManifest(manifest: BackupManifest, key: KeyObject): string {
  const parsed = backupManifest.safeParse(manifest);
  if (!parsed.success) throw refused(problemsOf(parsed.error.issues));
  const text = signFile(FORM, parsed.data, key);
  if (Buffer.byteLength(text) > BACKUP_LIMITS.manifestBytes)
    throw refused([`it would be above ${BACKUP_LIMITS.manifestBytes} bytes`]);
  return text;
}

/** Whether a file is a manifest, byte for byte as a trusted key signed it. Never throws, whatever the file holds. */
export function verifyManifest(file: Buffer, trusted: readonly KeyObject[]): ManifestVerdict {
  const verdict = verifyFile(FORM, file, trusted);
  return verdict.ok ? { ok: true, manifest: verdict.body, keyId: verdict.keyId } : verdict;
}

/** Writes the manifest, and with it makes the backup one: call it last. */
export async function writeManifest(
  place: BackupPlace,
  manifest: BackupManifest,
  key: KeyObject,
  signal?: AbortSignal,
): Promise<void> {
  const text = signManifest(manifest, key);
  await place.store.put(placeOf(place, MANIFEST_NAME), Buffer.from(text), { signal });
}

/**
 * @throws OpsError `NotFound` when there is no manifest, and so no backup; what the store throws
 */
export async function readManifest(
  place: BackupPlace,
  trusted: readonly KeyObject[],
  signal?: AbortSignal,
): Promise<ManifestVerdict> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of place.store.get(placeOf(place, MANIFEST_NAME), { signal })) {
    pieces.push(piece);
    size += piece.length;
    if (size > BACKUP_LIMITS.manifestBytes) break;
  }
  const verdict = verifyManifest(Buffer.concat(pieces), trusted);
  if (!verdict.ok || place.folder === undefined) return verdict;
  const { tenant, backup } = verdict.manifest;
  return place.folder === `${tenant}/${backup}`
    ? verdict
    : { ok: false, errors: [`it is that of another backup, ${tenant}/${backup}`] };
}

function refused(problems: readonly string[]): OpsError {
  return new OpsError('VerificationFailed', `no manifest: ${problems.join('; ')}`);
}
