import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { issueCredential, parseCredential } from '../../../src/access/credential.js';
import { type SigningJwk, newSigningJwk, publicOf } from '../../../src/access/keys.js';
import { digestOf, present, verifyProof } from '../../../src/access/proofs.js';
import { verifyToken } from '../../../src/access/tokens.js';
import { redact } from '../../../src/domain/redaction.js';
import { parseTenantId } from '../../../src/domain/ids.js';

const key = newSigningJwk();
const keys = { keys: [publicOf(key)] };
const [audience, at] = ['cvops', new Date()];
const verification = { keys, audience, at };
const denied = expect.objectContaining({ type: 'PermissionDenied' });
const acme = parseTenantId('acme');

const issue = (with_: SigningJwk = key, more: object = {}) =>
  issueCredential(with_, {
    ...{ subject: 'ann', role: 'operator' as const, tenant: acme, audience },
    expiresAt: new Date(at.getTime() + 60_000),
    ...more,
  });
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part: string) =>
  JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;

let text: string;
let jwt: string;
let header: Record<string, unknown>;
let payload: Record<string, unknown>;
beforeAll(async () => {
  ({ text } = await issue());
  jwt = text.split('.').slice(1, 4).join('.');
  [header, payload] = jwt.split('.').slice(0, 2).map(decode) as [typeof header, typeof payload];
});

/** Signed as it should be, by whatever key, whatever it says. */
const signed = (claims: object, head: object = header, with_: SigningJwk = key) => {
  const input = `${encode(head)}.${encode(claims)}`;
  return `${input}.${sign(null, Buffer.from(input), { key: with_, format: 'jwk' }).toString('base64url')}`;
};

describe('a token', () => {
  it('says who bears it', async () => {
    expect(await parseCredential(text, verification)).toMatchObject({
      ...{ subject: 'ann', role: 'operator', tenant: 'acme', jwt },
    });
  });

  it('has a part that is shown nowhere, whatever it stands in', async () => {
    const { key: own } = await parseCredential((await issue()).text, verification);
    expect(redact(`the key {"d":"${own.d}"}`)).toBe('the key {"d":"***"}');
  });

  it('goes on being believed when another key signs, as long as its own is among the keys', async () => {
    const next = newSigningJwk();
    const both = { ...verification, keys: { keys: [publicOf(next), publicOf(key)] } };
    expect(await verifyToken(jwt, both)).toMatchObject({ subject: 'ann' });
    expect(await verifyToken(signed(payload, { ...header, kid: next.kid }, next), both)).toMatchObject({
      subject: 'ann',
    });
    await expect(verifyToken(jwt, { ...both, keys: { keys: [publicOf(next)] } })).rejects.toEqual(denied);
  });

  it('of a schedule is believed after its time, and no other', async () => {
    const later = new Date(at.getTime() + 3_600_000);
    await expect(verifyToken(jwt, { ...verification, at: later })).rejects.toEqual(denied);
    expect(await verifyToken(jwt, { ...verification, at: null })).toMatchObject({ subject: 'ann' });
  });

  const forged: readonly (readonly [string, () => string])[] = [
    ['without a signature (alg none)', () => `${encode({ ...header, alg: 'none' })}.${encode(payload)}.`],
    [
      'alg none with the old signature',
      () => `${encode({ ...header, alg: 'none' })}.${jwt.split('.')[1]}.${jwt.split('.')[2]}`,
    ],
    [
      'signed HS256 with the public key',
      () => {
        const input = `${encode({ ...header, alg: 'HS256' })}.${encode(payload)}`;
        const mac = createHmac('sha256', Buffer.from(key.x, 'base64url')).update(input);
        return `${input}.${mac.digest('base64url')}`;
      },
    ],
    ['signed by another key under our kid', () => signed(payload, header, newSigningJwk())],
    ['of an unknown kid', () => signed(payload, { ...header, kid: 'other' })],
    ['without a kid', () => signed(payload, { ...header, kid: undefined })],
    ['of another type', () => signed(payload, { ...header, typ: 'JWT' })],
    [
      'with a key of its own in its header',
      () => {
        const own = newSigningJwk();
        return signed(payload, { ...header, jwk: publicOf(own) }, own);
      },
    ],
    ['with a critical header nobody knows', () => signed(payload, { ...header, crit: ['x'], x: 1 })],
    ['of another audience', () => signed({ ...payload, aud: 'other' })],
    ['of another issuer', () => signed({ ...payload, iss: 'other' })],
    ['that has expired', () => signed({ ...payload, exp: 1 })],
    ['that never expires', () => signed({ ...payload, exp: undefined })],
    ['that is not in force yet', () => signed({ ...payload, nbf: Math.floor(at.getTime() / 1000) + 600 })],
    ['of an operator without a tenant', () => signed({ ...payload, tenant: undefined })],
    ['of an administrator with a tenant', () => signed({ ...payload, role: 'admin' })],
    ['of a role that is none', () => signed({ ...payload, role: 'root' })],
    ['of a tenant that is none', () => signed({ ...payload, tenant: '*' })],
    ['that nobody can revoke', () => signed({ ...payload, jti: undefined })],
    ['without a key to prove', () => signed({ ...payload, cnf: undefined })],
  ];
  it.each(forged)('%s is refused, with nothing of it in the error', async (_, make) => {
    const token = make();
    const error: unknown = await verifyToken(token, verification).catch((thrown: unknown) => thrown);
    expect(error).toEqual(denied);
    for (const part of token.split('.').filter((each) => each.length > 8))
      expect((error as Error).message).not.toContain(part);
    // Nor where no time matters.
    if (!/expired|not in force/.test(_))
      await expect(verifyToken(token, { ...verification, at: null })).rejects.toEqual(denied);
  });

  it('whose parts are of two is refused', async () => {
    const other = (await issue()).text;
    const swapped = [...text.split('.').slice(0, 4), other.split('.')[4]].join('.');
    await expect(parseCredential(swapped, verification)).rejects.toEqual(denied);
  });

  it('that was changed anywhere is refused, and nothing crashes', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= \n\0é';
    const char = fc.constantFrom(...alphabet);
    const edit = fc.record({ at: fc.nat(), cut: fc.nat({ max: 3 }), put: fc.array(char, { maxLength: 3 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
        let changed = text;
        for (const { at: where, cut, put } of edits) {
          const from = where % (changed.length + 1);
          changed = changed.slice(0, from) + put.join('') + changed.slice(from + cut);
        }
        fc.pre(!sameBits(changed, text));
        await expect(parseCredential(changed, verification)).rejects.toEqual(denied);
      }),
      { numRuns: 2000 },
    );
  });

  it.each(['', 'cvops1', 'cvops1...', 'x'.repeat(100_000), '{}'])('is not %.20j', async (junk) => {
    await expect(parseCredential(junk, verification)).rejects.toEqual(denied);
  });
});

/** Base64url leaves bits over in its last character: two texts of one content are one token. */
function sameBits(a: string, b: string): boolean {
  const bits = (each: string) =>
    each.split('.').map((part, i) => (i === 0 ? part : Buffer.from(part, 'base64url').toString('hex')));
  return /^[\w.-]*$/.test(a) && bits(a).join('.') === bits(b).join('.');
}

describe('a proof', () => {
  const about = { for: 'start', workflow: 'tenant/acme/ingest/1', type: 'ingestVideos' } as const;

  it('says what its bearer meant, and is nobody else’s', async () => {
    const credential = await parseCredential(text, verification);
    const { proof, token } = await present(credential, about, [{ tenant: 'acme' }]);
    expect(await verifyProof(proof, credential)).toMatchObject({
      ...about,
      args: digestOf([{ tenant: 'acme' }]),
    });
    // All that a history would show of it: the seed is not there.
    const seed = text.split('.')[4]!;
    expect(proof + token).not.toContain(seed);
    const other = await parseCredential((await issue()).text, verification);
    await expect(verifyProof(proof, other)).rejects.toEqual(denied);
    await expect(verifyProof(proof, { ...other, confirmation: credential.confirmation })).rejects.toEqual(
      denied,
    );
  });

  it('is refused when it is a token, unsigned, or by the wrong key', async () => {
    const credential = await parseCredential(text, verification);
    const { proof } = await present(credential, about, []);
    const [head, body] = proof.split('.') as [string, string];
    const { privateKey } = generateKeyPairSync('ed25519');
    const mine = sign(null, Buffer.from(`${head}.${body}`), privateKey).toString('base64url');
    for (const bad of [jwt, `${encode({ alg: 'none' })}.${body}.`, `${head}.${body}.${mine}`, '', 'a.b.c'])
      await expect(verifyProof(bad, credential)).rejects.toEqual(denied);
  });

  it('digests arguments as Temporal carries them', () => {
    const args = [{ b: 1, a: [null, 'é'], left: undefined, id: randomUUID() }];
    expect(digestOf(JSON.parse(JSON.stringify(args)) as unknown[])).toBe(digestOf(args));
    expect(digestOf([{ ...args[0], b: 2 }])).not.toBe(digestOf(args));
  });
});
