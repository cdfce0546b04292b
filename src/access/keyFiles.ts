import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import { DAY_MS } from '../domain/retention.js';
import { createWhole, replaceWhole } from '../files.js';
import { ACCESS_FILES } from '../settings.js';
import { issueCredential } from './credential.js';
import {
  MAX_VERIFYING_KEYS,
  type SigningJwk,
  type VerifyingKeys,
  loadSigningJwk,
  loadVerifyingKeys,
  newSigningJwk,
  publicOf,
} from './keys.js';

/** The embedded stack's own credentials are its files: who reads them is who runs it. */
const LIFE_MS = 10 * 365 * DAY_MS;

/**
 * Makes the embedded stack's signing key, its public keys, and the credentials of its administrator and its workers, unless
 * they are there. Removing a credential's file has a new one made; removing the signing key is a rotation.
 *
 * @throws OpsError `InvalidInput` when a file that is there holds something else
 */
export async function ensureAccessFiles(folder: string, audience: string): Promise<void> {
  const file = (name: keyof typeof ACCESS_FILES) => path.join(folder, ACCESS_FILES[name]);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (!existsSync(file('signingKey'))) await createWhole(file('signingKey'), json(newSigningJwk()), 0o600);
  const key = await loadSigningJwk(`file:${file('signingKey')}`);
  await addPublicKey(file('keys'), key);
  const expiresAt = new Date(Date.now() + LIFE_MS);
  for (const role of ['admin', 'system'] as const) {
    if (existsSync(file(role))) continue;
    const subject = role === 'system' ? 'system' : userName();
    const { text } = await issueCredential(key, { subject, role, tenant: undefined, audience, expiresAt });
    await createWhole(file(role), `${text}\n`, 0o600);
  }
}

async function publicKeysIn(file: string): Promise<VerifyingKeys['keys']> {
  return existsSync(file) ? (await loadVerifyingKeys(`file:${file}`)).keys : [];
}

/**
 * Those that are believed, none while there is no file, when one more would be as well.
 *
 * @throws OpsError `InvalidInput` when the file holds something else, `WrongState` when it is full
 */
export async function keysBesideNew(file: string): Promise<VerifyingKeys['keys']> {
  const keys = await publicKeysIn(file);
  if (keys.length < MAX_VERIFYING_KEYS) return keys;
  throw new OpsError(
    'WrongState',
    `${file} holds ${keys.length} keys, and one more would have all of them refused`,
    'take out of it those whose tokens have expired, the oldest of which come first',
  );
}

/** Believed from now on, beside those that were. @returns all of them. @throws OpsError as {@link keysBesideNew} */
export async function addPublicKey(file: string, key: SigningJwk): Promise<readonly string[]> {
  const there = (await publicKeysIn(file)).map(({ kid }) => kid);
  if (there.includes(key.kid)) return there;
  const keys = await keysBesideNew(file);
  await replaceWhole(file, json({ keys: [...keys, publicOf(key)] }), 0o644);
  return [...keys.map(({ kid }) => kid), key.kid];
}

/** Signs from now on, in the place of the one that did. */
export async function replaceSigningKey(file: string, key: SigningJwk): Promise<void> {
  await replaceWhole(file, json(key), 0o600);
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    // No entry in the password file, as in many containers.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
