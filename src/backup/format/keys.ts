import {
  type KeyObject,
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  randomBytes,
} from 'node:crypto';
import { CIPHER, KEY_BYTES, NONCE_BYTES, TAG_BYTES, keyBytesOf } from '../../cipher.js';
import type { Encryption } from '../../contracts/backup.js';
import type { BackupId } from '../../domain/backups.js';
import { OpsError } from '../../domain/errors.js';
import type { TenantId } from '../../domain/ids.js';
import { readReference } from '../../secrets.js';

/** What the keys of backups are kept under; an operator's. */
export interface KeyEncryptionKey {
  readonly secret: KeyObject;
  readonly id: string;
}

/** What one backup's parts are encrypted with. */
export interface DataKey {
  readonly secret: KeyObject;
  /** `<tenant>/<backup>`: of whatever place the backup was copied to. */
  readonly of: string;
}

interface BackupName {
  readonly tenant: TenantId;
  readonly backup: BackupId;
}

/**
 * @param reference `env:NAME` or `file:PATH` of 32 bytes in hex or base64, as of: openssl rand -hex 32
 * @throws OpsError `InvalidInput` naming the reference, never the key
 */
export async function loadKeyEncryptionKey(
  reference: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<KeyEncryptionKey> {
  const text = await readReference(reference, 'the backup key', env);
  const bytes = keyBytesOf(text);
  if (bytes !== undefined) return keyEncryptionKey(bytes);
  throw new OpsError(
    'InvalidInput',
    `${reference} holds no backup key`,
    'it must be 32 random bytes in hex or base64, as of: openssl rand -hex 32',
  );
}

export function keyEncryptionKey(bytes: Buffer): KeyEncryptionKey {
  const id = createHash('sha256').update('cogniverse-ops/backup-key-id/v1\n').update(bytes).digest('hex');
  return { secret: createSecretKey(bytes), id: id.slice(0, 16) };
}

/** A backup's new data key, and how its manifest names it. The latter holds no secret and outlives a killed run. */
export function newDataKey(key: KeyEncryptionKey, of: BackupName): { key: DataKey; encryption: Encryption } {
  const dataKey = randomBytes(KEY_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key.secret, nonce).setAAD(wrapContext(of));
  const wrapped = Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
  return {
    key: { secret: createSecretKey(dataKey), of: nameOf(of) },
    encryption: { algorithm: 'AES-256-GCM', keyId: key.id, wrappedKey: wrapped.toString('base64') },
  };
}

/** @throws OpsError `InvalidInput` when the key is another one, `VerificationFailed` when the wrapped key was changed */
export function openDataKey(
  key: KeyEncryptionKey | undefined,
  encryption: Encryption,
  of: BackupName,
): DataKey {
  if (key?.id !== encryption.keyId)
    throw new OpsError(
      'InvalidInput',
      `backup ${nameOf(of)} is encrypted with key ${encryption.keyId}, ` +
        (key ? `not with the given ${key.id}` : 'and none was given'),
      'give the reference of that key',
    );
  const wrapped = Buffer.from(encryption.wrappedKey, 'base64');
  const decipher = createDecipheriv(CIPHER, key.secret, wrapped.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
    .setAAD(wrapContext(of))
    .setAuthTag(wrapped.subarray(-TAG_BYTES));
  try {
    const dataKey = Buffer.concat([
      decipher.update(wrapped.subarray(NONCE_BYTES, -TAG_BYTES)),
      decipher.final(),
    ]);
    return { secret: createSecretKey(dataKey), of: nameOf(of) };
  } catch {
    throw new OpsError(
      'VerificationFailed',
      `the wrapped key of backup ${nameOf(of)} is not what was written`,
    );
  }
}

function nameOf({ tenant, backup }: BackupName): string {
  return `${tenant}/${backup}`;
}

function wrapContext(of: BackupName): Buffer {
  return Buffer.from(`cogniverse-ops/backup-key/v1\n${nameOf(of)}`);
}
