import { createHash, randomUUID } from 'node:crypto';
import { CompactSign, compactVerify, importJWK } from 'jose';
import { z } from 'zod';
import type { Credential } from './credential.js';
import { signingKeyOf } from './keys.js';
import { ALGORITHM, type Confirmation, refused } from './tokens.js';

const text = z.string().min(1).max(1000);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const common = { v: z.literal(1), jti: z.uuid(), iat: z.int().min(0), token: z.uuid(), args: digest };

/** What a proof is about: it fits nothing else, whoever copies it. */
const proof = z.discriminatedUnion('for', [
  z.strictObject({ ...common, for: z.literal('start'), workflow: text, type: text }),
  /** The runs of one schedule: each has the action's workflow id and its time. */
  z.strictObject({ ...common, for: z.literal('schedule'), schedule: text, workflow: text, type: text }),
  z.strictObject({ ...common, for: z.literal('message'), workflow: text, name: text }),
]);
export type Proof = z.infer<typeof proof>;

type About<P extends Proof = Proof> = P extends Proof
  ? Omit<P, 'v' | 'jti' | 'iat' | 'token' | 'args'>
  : never;

/** Header payload. */
export const presented = z.strictObject({
  v: z.literal(1),
  token: z.string().max(4000),
  proof: z.string().max(4000),
});
export type Presented = z.infer<typeof presented>;

/** SHA-256, in hex, of the arguments as JSON: what Temporal carries of them. */
export function digestOf(args: readonly unknown[]): string {
  return createHash('sha256')
    .update(JSON.stringify(args ?? []))
    .digest('hex');
}

export async function present(
  credential: Credential,
  about: About,
  args: readonly unknown[],
): Promise<Presented> {
  const payload = {
    ...about,
    v: 1,
    jti: randomUUID(),
    iat: Math.floor(Date.now() / 1000),
    token: credential.token,
    args: digestOf(args),
  };
  const signed = await new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg: ALGORITHM, typ: 'cvops-proof' })
    .sign(await signingKeyOf(credential.key));
  return { v: 1, token: credential.jwt, proof: signed };
}

/**
 * Reads a proof that was signed by the key which the token names, and belongs to that token.
 *
 * @throws OpsError `PermissionDenied`
 */
export async function verifyProof(
  jws: string,
  { token, confirmation }: { readonly token: string; readonly confirmation: Confirmation },
): Promise<Proof> {
  let payload: unknown;
  try {
    const verified = await compactVerify(jws, await importJWK({ ...confirmation }, ALGORITHM), {
      algorithms: [ALGORITHM],
    });
    if (verified.protectedHeader.typ !== 'cvops-proof') throw new Error('no proof');
    payload = JSON.parse(Buffer.from(verified.payload).toString('utf8'));
  } catch {
    throw refused('its proof was not signed by its bearer');
  }
  const parsed = proof.safeParse(payload);
  if (parsed.success && parsed.data.token === token) return parsed.data;
  throw refused('its proof is of another token');
}
