import { type KeyObject, createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { OpsError } from '../domain/errors.js';
import { readReference } from '../secrets.js';

/**
 * The key that signs certificates: one Ed25519 private key as PKCS#8 PEM, not encrypted, behind `env:NAME` or
 * `file:PATH`.
 *
 * @throws OpsError `InvalidInput` naming the reference, never the key
 */
export async function loadSigningKey(
  reference: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<KeyObject> {
  const pem = await readReference(reference, 'the signing key', env);
  return parseSigningKey(pem, reference);
}

/**
 * The keys whose certificates are believed: one or more Ed25519 public keys as SPKI PEM in one text; lines between them
 * are comments.
 *
 * @throws OpsError `InvalidInput` naming the reference
 */
export async function loadTrustedKeys(
  reference: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<readonly KeyObject[]> {
  const pem = await readReference(reference, 'the trusted keys', env);
  return parseTrustedKeys(pem, reference);
}

/** First 16 hex digits of the SHA-256 of the public key's SPKI DER; of a private key, its public half's. */
export function keyId(key: KeyObject): string {
  return createHash('sha256').update(spkiOf(key)).digest('hex').slice(0, 16);
}

/** The public key's SPKI DER: 44 bytes. */
export function spkiOf(key: KeyObject): Buffer {
  return publicOf(key).export({ type: 'spki', format: 'der' });
}

export function publicOf(key: KeyObject): KeyObject {
  return key.type === 'private' ? createPublicKey(key) : key;
}

export function parseSigningKey(pem: string, where: string): KeyObject {
  const key = labelsOf(pem).join() === 'PRIVATE KEY' ? parse(() => createPrivateKey(pem)) : undefined;
  if (key) return key;
  throw new OpsError(
    'InvalidInput',
    `${where} holds no signing key`,
    'it must be one Ed25519 key in PKCS#8 PEM, as of: openssl genpkey -algorithm ed25519',
  );
}

export function parseTrustedKeys(pem: string, where: string): readonly KeyObject[] {
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----/g) ?? [];
  const keys = blocks.map((block) => parse(() => createPublicKey(block)));
  // A key that is not understood is an error, not one key fewer: its certificates would be refused without a word.
  if (blocks.length > 0 && blocks.length === labelsOf(pem).length && keys.every((key) => key !== undefined))
    return keys;
  throw new OpsError(
    'InvalidInput',
    `${where} holds something else than trusted keys`,
    'it must hold Ed25519 public keys in SPKI PEM and nothing else, as of: openssl pkey -in KEY.pem -pubout',
  );
}

function labelsOf(pem: string): string[] {
  return Array.from(pem.matchAll(/-----BEGIN ([^-\n]*)-----/g), ([, label]) => label!);
}

function parse(make: () => KeyObject): KeyObject | undefined {
  try {
    const key = make();
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}
