import {
  type JWTPayload,
  SignJWT,
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  jwtVerify,
} from 'jose';
import { z } from 'zod';
import { accepts } from '../contracts/common.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { type SigningJwk, type VerifyingKeys, signingKeyOf } from './keys.js';
import type { Principal } from './principal.js';
import { ROLES } from '../domain/access.js';

const ISSUER = 'cvops';
const TYPE = 'cvops+jwt';
export const ALGORITHM = 'EdDSA';

/** Of RFC 7800: the public half of the key that the bearer proves to have. */
const confirmation = z.strictObject({
  jwk: z.strictObject({
    kty: z.literal('OKP'),
    crv: z.literal('Ed25519'),
    x: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  }),
});
const bound = new Set<string>(['operator', 'reader']);
const claims = z
  .object({
    sub: z.string().min(1).max(150),
    jti: z.uuid(),
    iat: z.int().min(0),
    exp: z.int().min(0),
    role: z.enum(ROLES),
    tenant: z.custom<TenantId>((value) => accepts(parseTenantId, value)).optional(),
    cnf: confirmation,
  })
  // An operator without a tenant would be one of all.
  .refine(({ role, tenant }) => bound.has(role) === (tenant !== undefined));
type Claims = z.infer<typeof claims>;

export type Confirmation = Claims['cnf']['jwk'];

export interface VerifiedToken extends Principal {
  readonly confirmation: Confirmation;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/** What a token is to say. */
export interface TokenRequest {
  readonly subject: string;
  readonly role: Principal['role'];
  readonly tenant: TenantId | undefined;
  readonly id: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  readonly confirmation: Confirmation;
  readonly audience: string;
}

/** A signed token. @throws OpsError `InvalidInput` for a role that does not go with the tenant */
export async function signToken(key: SigningJwk, request: TokenRequest): Promise<string> {
  const { subject, role, tenant, id, issuedAt, expiresAt, confirmation: jwk, audience } = request;
  const payload: Claims = {
    ...{ sub: subject, jti: id, iat: seconds(issuedAt), exp: seconds(expiresAt), role, cnf: { jwk } },
    ...(tenant === undefined ? {} : { tenant }),
  };
  if (!claims.safeParse(payload).success)
    throw new OpsError(
      'InvalidInput',
      'no token can say this',
      'a reader and an operator have a --tenant, an admin has none; the subject has 1 to 150 characters',
    );
  return new SignJWT({ ...payload, iss: ISSUER, aud: audience })
    .setProtectedHeader({ alg: ALGORITHM, kid: key.kid, typ: TYPE })
    .sign(await signingKeyOf(key));
}

export interface Verification {
  readonly keys: VerifyingKeys;
  readonly audience: string;
  /** When it was used; it must not have expired by then. `null`: whether it has expired does not matter. */
  readonly at: Date | null;
}

/**
 * Reads a token whose signature, issuer, audience, times and shape are right.
 *
 * @throws OpsError `PermissionDenied`, with nothing of the token in it
 */
export async function verifyToken(
  token: string,
  { keys, audience, at }: Verification,
): Promise<VerifiedToken> {
  let payload: JWTPayload;
  try {
    // One that names no key would be tried against the only one there is.
    if (!decodeProtectedHeader(token).kid) throw new Error('no kid');
    const currentDate = at ?? new Date((decodeJwt(token).iat ?? 0) * 1000);
    ({ payload } = await jwtVerify(token, setOf(keys), {
      ...{ algorithms: [ALGORITHM], typ: TYPE, issuer: ISSUER, audience, currentDate },
      requiredClaims: ['exp', 'iat', 'jti', 'sub'],
    }));
  } catch (error) {
    throw refused(codeOf(error));
  }
  const parsed = claims.safeParse(payload);
  if (!parsed.success) throw refused('its claims are not those of a token');
  const { sub, role, tenant, jti, iat, exp, cnf } = parsed.data;
  return {
    ...{ subject: sub, role, tenant, token: jti, confirmation: cnf.jwk },
    issuedAt: new Date(iat * 1000),
    expiresAt: new Date(exp * 1000),
  };
}

type KeySet = ReturnType<typeof createLocalJWKSet>;
/** A set keeps the keys that it has parsed: one for each list of keys that is loaded. */
const sets = new WeakMap<VerifyingKeys, KeySet>();

function setOf(keys: VerifyingKeys): KeySet {
  const known = sets.get(keys) ?? createLocalJWKSet({ keys: [...keys.keys] });
  sets.set(keys, known);
  return known;
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  switch (code) {
    case 'ERR_JWT_EXPIRED':
      return 'it has expired';
    case 'ERR_JWT_CLAIM_VALIDATION_FAILED':
      return 'it is not for this installation, or not in force';
    case 'ERR_JWKS_NO_MATCHING_KEY':
      return 'its key is not among those that are trusted';
    default:
      return 'it is not one of ours';
  }
}

export function refused(why: string): OpsError {
  return new OpsError(
    'PermissionDenied',
    `the token is refused: ${why}`,
    'have a new one issued with: cvops token issue, and set CVOPS_TOKEN',
  );
}

function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
