import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { type CryptoKey, importJWK } from 'jose';
import { z } from 'zod';
import { OpsError } from '../domain/errors.js';
import { readReference } from '../secrets.js';

const part = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const publicJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: part,
  kid: z.string().min(1).max(100),
});
/** So many are believed at once: each is one that may sign an administrator's token. */
export const MAX_VERIFYING_KEYS = 20;
const verifyingKeys = z.object({ keys: z.array(publicJwk).min(1).max(MAX_VERIFYING_KEYS) });
const signingJwk = publicJwk.extend({ d: part });

/** A JWKS of Ed25519 public keys, each with its `kid`: several while one takes over from another. */
export type VerifyingKeys = z.infer<typeof verifyingKeys>;
/** An Ed25519 private key as JWK. */
export type SigningJwk = z.infer<typeof signingJwk>;

/** @throws OpsError `InvalidInput` naming the reference, never a key */
export async function loadVerifyingKeys(reference: string, env?: NodeJS.ProcessEnv): Promise<VerifyingKeys> {
  const parsed = verifyingKeys.safeParse(await readJson(reference, 'the access keys', env));
  if (parsed.success && distinct(parsed.data.keys.map(({ kid }) => kid))) return parsed.data;
  throw new OpsError(
    'InvalidInput',
    `${reference} holds no access keys`,
    'CVOPS_ACCESS_KEYS names a JWKS of Ed25519 public keys, each with a kid; make one with: cvops token rotate-key',
  );
}

/** @throws OpsError `InvalidInput` naming the reference, never the key */
export async function loadSigningJwk(reference: string, env?: NodeJS.ProcessEnv): Promise<SigningJwk> {
  const parsed = signingJwk.safeParse(await readJson(reference, 'the access signing key', env));
  if (parsed.success) return parsed.data;
  throw new OpsError(
    'InvalidInput',
    `${reference} holds no access signing key`,
    'CVOPS_ACCESS_SIGNING_KEY names an Ed25519 private key as JWK with a kid; make one with: cvops token rotate-key',
  );
}

/** Keys that are read again when they change: one that is added, or taken out, is so without a restart. */
export class KeyRing {
  private checked = Date.now();

  private constructor(
    private readonly reference: string,
    private keys: VerifyingKeys,
  ) {}

  /** @throws OpsError as {@link loadVerifyingKeys} */
  static async open(reference: string): Promise<KeyRing> {
    return new KeyRing(reference, await loadVerifyingKeys(reference));
  }

  async current(): Promise<VerifyingKeys> {
    if (Date.now() - this.checked < REREAD_MS) return this.keys;
    this.checked = Date.now();
    // Not there, or half of it, for a moment: what was believed still is.
    const found = await loadVerifyingKeys(this.reference).catch(() => this.keys);
    if (JSON.stringify(found) !== JSON.stringify(this.keys)) this.keys = found;
    return this.keys;
  }
}

const REREAD_MS = 5_000;

export function newSigningJwk(): SigningJwk {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { d, x } = privateKey.export({ format: 'jwk' });
  return signingJwk.parse({ kty: 'OKP', crv: 'Ed25519', d, x, kid: thumbprint(x!) });
}

export function publicOf({ kty, crv, x, kid }: SigningJwk): VerifyingKeys['keys'][number] {
  return { kty, crv, x, kid };
}

/** Of RFC 7638. */
function thumbprint(x: string): string {
  return createHash('sha256').update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest('base64url');
}

/** The key pair that 32 random bytes stand for (RFC 8032, 5.1.5). */
export function pairOfSeed(seed: string): { readonly d: string; readonly x: string } {
  // PKCS#8 of an Ed25519 key is this and the seed (RFC 8410, 7).
  const der = Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    Buffer.from(seed, 'base64url'),
  ]);
  const { x } = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })).export({
    format: 'jwk',
  });
  return { d: seed, x: x! };
}

export async function signingKeyOf({ d, x }: { readonly d: string; readonly x: string }): Promise<CryptoKey> {
  const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', d, x }, 'EdDSA');
  if (key instanceof Uint8Array) throw new Error('not a key pair');
  return key;
}

async function readJson(reference: string, what: string, env?: NodeJS.ProcessEnv): Promise<unknown> {
  const text = await readReference(reference, what, env);
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function distinct(names: readonly string[]): boolean {
  return new Set(names).size === names.length;
}
