import type { KeyObject } from 'node:crypto';
import { loadSigningKey, loadTrustedKeys, publicOf } from '../certificates/keys.js';
import { parseStoreLocation, storeLocationText } from '../domain/backupStores.js';
import { type BackupRow, folderOf } from '../registry/backups.js';
import type { Settings } from '../settings.js';
import { type DataKey, type KeyEncryptionKey, loadKeyEncryptionKey, openDataKey } from './format/keys.js';
import type { BackupPlace } from './format/place.js';
import { openStore } from './store/open.js';
import type { BackupStore } from './store/store.js';
import type { VerifyOptions } from './verify.js';

export type ShelfSettings = Pick<
  Settings,
  'backupStore' | 'backupKey' | 'backupTrustedKeys' | 'certificateKey' | 's3Endpoint'
>;

/** The stores that backups lie in, and the keys to them. Keys are read at each use: a rotated one is taken without a restart. */
export class Shelf {
  private readonly stores = new Map<string, Promise<BackupStore>>();

  constructor(private readonly settings: ShelfSettings) {}

  /** Where a backup that begins now is put. @throws OpsError `InvalidInput` */
  get location(): string {
    return storeLocationText(parseStoreLocation(this.settings.backupStore));
  }

  /** Where a backup lies, whatever the setting is by now. */
  async placeOf(row: Pick<BackupRow, 'tenant' | 'backup' | 'store'>): Promise<BackupPlace> {
    return { store: await this.store(row.store), folder: folderOf(row) };
  }

  /** Stays open until {@link close}. */
  store(location: string): Promise<BackupStore> {
    const known = this.stores.get(location);
    if (known) return known;
    const opening = openStore(location, this.settings);
    this.stores.set(location, opening);
    opening.catch(() => this.stores.delete(location));
    return opening;
  }

  /** Signs manifests: the key that signs erasure certificates. */
  signingKey(): Promise<KeyObject> {
    return loadSigningKey(this.settings.certificateKey);
  }

  /** Whose manifests are believed: this installation's own, and those it was told of. */
  async trustedKeys(): Promise<readonly KeyObject[]> {
    const { backupTrustedKeys } = this.settings;
    const others = backupTrustedKeys === '' ? [] : await loadTrustedKeys(backupTrustedKeys);
    return [publicOf(await this.signingKey()), ...others];
  }

  /** What new backups are encrypted under; undefined: they are not. */
  async keyEncryptionKey(): Promise<KeyEncryptionKey | undefined> {
    const { backupKey } = this.settings;
    return backupKey === '' ? undefined : loadKeyEncryptionKey(backupKey);
  }

  /** Of an encrypted backup. @throws OpsError `InvalidInput` when the key is another one */
  async dataKey(of: Pick<BackupRow, 'encryption' | 'tenant' | 'backup'>): Promise<DataKey | undefined> {
    return of.encryption ? openDataKey(await this.keyEncryptionKey(), of.encryption, of) : undefined;
  }

  /** What a backup is verified with. */
  async verifyKeys({
    encryption,
  }: Pick<BackupRow, 'encryption'>): Promise<Pick<VerifyOptions, 'trustedKeys' | 'key'>> {
    return {
      trustedKeys: await this.trustedKeys(),
      key: encryption ? await this.keyEncryptionKey() : undefined,
    };
  }

  async close(): Promise<void> {
    for (const store of this.stores.values()) await (await store.catch(() => undefined))?.close();
  }
}
