import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { createWhole, replaceWhole } from '../files.js';
import { keyId, parseSigningKey, parseTrustedKeys, publicOf, spkiOf } from './keys.js';

export const PRIVATE_KEY_FILE = 'certificate-key.pem';
export const PUBLIC_KEY_FILE = 'certificate-key.pub.pem';

export interface KeyPairFiles {
  /** Reference for `loadSigningKey`. */
  readonly signingKey: string;
  /** Reference for `loadTrustedKeys`: this key and its predecessors. */
  readonly trustedKeys: string;
  readonly keyId: string;
}

/**
 * Makes a folder's signing key unless it has one. Of two callers at once one makes it, and both return it.
 *
 * The public file is what certificates are verified with, so it keeps what it holds: the present key is added when it is
 * missing. Removing the private file is therefore a rotation.
 *
 * @throws OpsError `InvalidInput` when a file that is there holds something else
 */
export async function ensureKeyPair(folder: string): Promise<KeyPairFiles> {
  const privateFile = path.resolve(folder, PRIVATE_KEY_FILE);
  const publicFile = path.resolve(folder, PUBLIC_KEY_FILE);
  await mkdir(folder, { recursive: true, mode: 0o700 });

  let pem = await readIfThere(privateFile);
  if (pem === undefined) {
    const { privateKey } = generateKeyPairSync('ed25519');
    await createWhole(privateFile, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600);
    pem = await readFile(privateFile, 'utf8');
  }
  const key = parseSigningKey(pem, privateFile);

  const trusted = (await readIfThere(publicFile)) ?? '';
  const known = trusted.trim() === '' ? [] : parseTrustedKeys(trusted, publicFile);
  if (!known.some((other) => spkiOf(other).equals(spkiOf(key)))) {
    const added = publicOf(key).export({ type: 'spki', format: 'pem' }).toString();
    await replaceWhole(publicFile, trusted.trim() === '' ? added : `${trusted.trimEnd()}\n${added}`, 0o644);
  }
  return { signingKey: `file:${privateFile}`, trustedKeys: `file:${publicFile}`, keyId: keyId(key) };
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
