import { type BackupConfig, type BackupManifest, backupConfig } from '../../contracts/backup.js';
import type { BackupId } from '../../domain/backups.js';
import { OpsError } from '../../domain/errors.js';
import { type BackupRow, getBackup } from '../../registry/backups.js';
import type { DataKey } from '../format/keys.js';
import { readManifest } from '../format/manifest.js';
import type { BackupPlace } from '../format/place.js';
import { readTextPart } from '../format/readPart.js';
import type { BackupResources } from '../writer.js';

/** A backup to restore from: its manifest is one that a trusted key signed, its parts are read against it. */
export interface RestoreSource {
  readonly row: BackupRow;
  readonly place: BackupPlace;
  readonly manifest: BackupManifest;
  readonly key: DataKey | undefined;
}

/** @throws OpsError `NotFound`, `WrongState`, `VerificationFailed` */
export async function openSource(
  { pool, shelf }: Pick<BackupResources, 'pool' | 'shelf'>,
  backup: BackupId,
): Promise<RestoreSource> {
  const row = await getBackup(pool, backup);
  if (row.state !== 'complete')
    throw new OpsError('WrongState', `backup ${backup} is ${row.state}`, `cvops backup list ${row.tenant}`);
  const place = await shelf.placeOf(row);
  const read = await readManifest(place, await shelf.trustedKeys());
  const { tenant, incarnation } = row;
  if (!read.ok)
    throw new OpsError('VerificationFailed', `backup ${backup}: manifest.json: ${read.errors.join('; ')}`);
  const { manifest } = read;
  if (manifest.tenant !== tenant || manifest.incarnation !== incarnation || manifest.backup !== backup)
    throw new OpsError('VerificationFailed', `backup ${backup}: the manifest in its place is another's`);
  // As the signed manifest says, not as the registry does.
  return { row, place, manifest, key: await shelf.dataKey(manifest) };
}

/** Every version of the configuration. @throws OpsError `VerificationFailed` */
export async function readConfig(
  { place, manifest, key }: RestoreSource,
  signal?: AbortSignal,
): Promise<BackupConfig['versions']> {
  const part = manifest.parts.find(({ kind }) => kind === 'config')!;
  const text = await readTextPart(place, part, { key, signal });
  let json: unknown;
  try {
    json = JSON.parse(text.toString('utf8'));
  } catch {
    throw new OpsError('VerificationFailed', `part ${part.path}: it is no JSON`);
  }
  const parsed = backupConfig.safeParse(json);
  if (parsed.success) return parsed.data.versions;
  throw new OpsError('VerificationFailed', `part ${part.path}: it is no configuration`);
}
