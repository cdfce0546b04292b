import { randomBytes, randomUUID } from 'node:crypto';
import type { TenantId } from '../domain/ids.js';
import { rememberSecret } from '../domain/redaction.js';
import { readReference } from '../secrets.js';
import { type SigningJwk, pairOfSeed } from './keys.js';
import type { Principal } from './principal.js';
import { type Verification, type VerifiedToken, refused, signToken, verifyToken } from './tokens.js';

/**
 * What its holder has, and nobody else: the token and the seed of the key that the token names. Only the token and
 * signatures by the key ever leave the process, so that what lies in a history is worth nothing to whoever reads it.
 */
export interface Credential extends VerifiedToken {
  readonly jwt: string;
  readonly key: { readonly d: string; readonly x: string };
}

const FORM = /^cvops1\.([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/;

export interface CredentialRequest {
  readonly subject: string;
  readonly role: Principal['role'];
  readonly tenant: TenantId | undefined;
  readonly audience: string;
  readonly expiresAt: Date;
}

/** @returns the text for `CVOPS_TOKEN`, and what it holds. @throws OpsError `InvalidInput` as `signToken` */
export async function issueCredential(
  signingKey: SigningJwk,
  request: CredentialRequest,
): Promise<{ readonly text: string; readonly id: string; readonly issuedAt: Date }> {
  const seed = randomBytes(32).toString('base64url');
  const [id, issuedAt] = [randomUUID(), new Date()];
  const confirmation = { kty: 'OKP', crv: 'Ed25519', x: pairOfSeed(seed).x } as const;
  const jwt = await signToken(signingKey, { ...request, id, issuedAt, confirmation });
  return { text: `cvops1.${jwt}.${seed}`, id, issuedAt };
}

/** @throws OpsError `PermissionDenied` with nothing of the text in it */
export async function parseCredential(text: string, verification: Verification): Promise<Credential> {
  const [, jwt, seed] = FORM.exec(text) ?? [];
  if (jwt === undefined || seed === undefined) throw refused('it is not of the form cvops1.….…');
  // The whole text is known where it was read: this is the part of it that is secret.
  rememberSecret(seed);
  const token = await verifyToken(jwt, verification);
  const key = pairOfSeed(seed);
  if (key.x !== token.confirmation.x) throw refused('its two parts do not belong together');
  return { ...token, jwt, key };
}

/** @throws OpsError `InvalidInput` for a reference that leads to nothing, `PermissionDenied` */
export async function loadCredential(
  reference: string,
  what: string,
  verification: Verification,
): Promise<Credential> {
  return parseCredential(await readReference(reference, what), verification);
}
