import { loadKeyEncryptionKey } from '../backup/format/keys.js';
import type { BackupPlace } from '../backup/format/place.js';
import { openStore } from '../backup/store/open.js';
import { verifyBackup } from '../backup/verify.js';
import { loadSigningKey, loadTrustedKeys, publicOf } from '../certificates/keys.js';
import { loadSettings } from '../settings.js';
import type { CommonOptions } from './context.js';
import { EXIT, ExitWith, answer } from './output.js';
import { localPath } from './localPath.js';

/** Verifies a backup where it lies, a copy of it too: without registry, Temporal or Vespa. */
export async function verifyFolder(
  folder: string,
  options: CommonOptions & {
    readonly sample?: { readonly n: number; readonly t: number };
    readonly publicKey?: string;
  },
): Promise<void> {
  const settings = loadSettings();
  const location = /^[a-z0-9]+:/.test(folder) ? folder : localPath(folder);
  const store = await openStore(location, settings);
  try {
    const place: BackupPlace = { store, folder: undefined };
    const trustedKeys =
      options.publicKey === undefined
        ? [publicOf(await loadSigningKey(settings.certificateKey))]
        : await loadTrustedKeys(`file:${localPath(options.publicKey)}`);
    const { ok, errors, parts, documents, bytes, manifest } = await verifyBackup(place, {
      trustedKeys,
      key: settings.backupKey === '' ? undefined : await loadKeyEncryptionKey(settings.backupKey),
      sample: options.sample,
    });
    const { tenant, backup } = manifest ?? {};
    const verdict = { ok, errors, parts, documents, bytes };
    answer(options.output, { ...verdict, tenant, backup }, () => verified(verdict));
    if (!ok) throw new ExitWith(EXIT.verification);
  } finally {
    await store.close();
  }
}

/** What `backup verify` says at a terminal. */
export function verified(result: {
  readonly ok: boolean;
  readonly errors: readonly string[];
  readonly parts: number;
  readonly documents: number;
  readonly bytes: number;
}): string {
  const { ok, errors, parts, documents, bytes } = result;
  if (ok) return `sound: ${parts} parts, ${documents} documents, ${bytes} bytes`;
  return ['not what was written:', ...errors.map((error) => `  ${error}`)].join('\n');
}
