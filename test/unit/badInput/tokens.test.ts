import { createHmac, randomUUID, sign } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { issueCredential, parseCredential } from '../../../src/access/credential.js';
import { newSigningJwk, publicOf } from '../../../src/access/keys.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import { NO_TEXTS, badTenant, expectRefusal, share } from '../../support/badInput/texts.js';

type Part = Readonly<Record<string, unknown>>;

const [key, strangers] = [newSigningJwk(), newSigningJwk()];
const verification = { keys: { keys: [publicOf(key)] }, audience: 'cvops', at: new Date() };
const { text } = await issueCredential(key, {
  ...{ subject: 'ann', role: 'reader', tenant: parseTenantId('acme_corp'), audience: 'cvops' },
  expiresAt: new Date(verification.at.getTime() + 3_600_000),
});
const [, ...parts] = text.split('.') as [string, string, string, string, string];
const [head, claims, signature, seed] = parts;
const read = (part: string): Part => JSON.parse(Buffer.from(part, 'base64url').toString()) as Part;
const write = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const [header, payload] = [read(head), read(claims)];
const now = Math.floor(verification.at.getTime() / 1000);

/** A credential with these parts; signed as it should be, but for `by`. */
const made = (of: Part, as: Part = header, by = key): string => {
  const input = `${write(as)}.${write(of)}`;
  return `cvops1.${input}.${sign(null, Buffer.from(input), { key: by, format: 'jwk' }).toString('base64url')}.${seed}`;
};
const without = (of: Part, name: string): Part =>
  Object.fromEntries(Object.entries(of).filter(([each]) => each !== name));

/** No signature, in the spellings that some library took for it. */
const unsigned = fc
  .tuple(
    fc.constantFrom('none', 'None', 'NONE', 'nOnE', 'none ', '', null),
    fc.constantFrom('', signature, 'e30'),
  )
  .map(([alg, tail]) => `cvops1.${write({ ...header, alg })}.${claims}.${tail}.${seed}`);
/** Signed with what everybody may read, as if it were a shared secret. */
const confused = fc
  .tuple(
    fc.constantFrom(['HS256', 'sha256'], ['HS384', 'sha384'], ['HS512', 'sha512']),
    fc.constantFrom(Buffer.from(key.x, 'base64url'), Buffer.from(key.x), JSON.stringify(publicOf(key)), ''),
  )
  .map(([[alg, hash], secret]) => {
    const input = `${write({ ...header, alg })}.${claims}`;
    return `cvops1.${input}.${createHmac(hash, secret).update(input).digest('base64url')}.${seed}`;
  });
const strangersKey = publicOf(strangers);
const ofAnotherKey = fc
  .constantFrom<Part>(
    header,
    { ...header, kid: strangers.kid },
    { ...header, jwk: strangersKey },
    { ...header, jku: 'https://example.com/keys.json', kid: strangers.kid },
    without(header, 'kid'),
    { ...header, kid: '' },
    { ...header, kid: '../keys' },
  )
  .map((as) => made(payload, as, strangers));
const expired = fc.integer({ min: 0, max: 10 ** 9 }).map((ago) => made({ ...payload, exp: now - ago }));
const ofElsewhere = fc
  .oneof(
    fc.constantFrom<unknown>('', 'CVOPS', 'cvops ', 'cvops/other', [], ['other'], null, 1, {}),
    fc.string({ maxLength: 20 }).filter((audience) => audience !== 'cvops'),
  )
  .chain((aud) =>
    fc.constantFrom(made({ ...payload, aud }), made({ ...payload, iss: aud }), made(without(payload, 'aud'))),
  );
const misshapen = fc
  .oneof(
    fc
      .constantFrom('exp', 'iat', 'jti', 'sub', 'role', 'tenant', 'cnf', 'iss', 'aud')
      .map((n) => without(payload, n)),
    badTenant.map((tenant) => ({ ...payload, tenant })),
    fc
      .constantFrom(
        ...NO_TEXTS.filter((value) => !['bigint', 'symbol', 'undefined', 'function'].includes(typeof value)),
      )
      .filter((value) => !(value instanceof String))
      .map((tenant) => ({ ...payload, tenant })),
    fc.constantFrom<Part>(
      ...['root', 'Admin', 'reader ', '', null, 1, ['admin'], 'constructor'].map((role) => ({
        ...payload,
        role,
      })),
      // One of a tenant's roles without a tenant would be one of all.
      ...['admin', 'system'].map((role) => ({ ...payload, role })),
      ...['reader', 'operator'].map((role) => ({ ...without(payload, 'tenant'), role })),
      ...['', 1, null, 'x'.repeat(151)].map((sub) => ({ ...payload, sub })),
      ...['', 'x', 1, null, `${randomUUID()}x`].map((jti) => ({ ...payload, jti })),
      ...['never', null, -1, String(now + 60), now + 0.5].map((exp) => ({ ...payload, exp })),
      ...[null, {}, { jwk: strangersKey }, { jwk: {} }, { kid: key.kid }].map((cnf) => ({ ...payload, cnf })),
    ),
  )
  .map((of) => made(of));
const ofAnotherKind = fc
  .constantFrom<Part>(
    ...['JWT', '', null, 'cvops', 'at+jwt'].map((typ) => ({ ...header, typ })),
    ...['ES256', 'RS256', 'PS256', 'EdDSA2', 'ED25519'].map((alg) => ({ ...header, alg })),
    { ...header, crit: ['exp'] },
    { ...header, b64: false, crit: ['b64'] },
  )
  .map((as) => made(payload, as));
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const damaged = fc
  .tuple(fc.nat(text.length - 1), fc.constantFrom(...LETTERS, '.', ' ', '\n', '\0', '='))
  .map(([at, letter]) => {
    // The last letter of a part has bits that stand for nothing.
    const isLast = text[at + 1] === undefined || text[at + 1] === '.';
    const put = isLast || text[at] === letter ? '!' : letter;
    return text.slice(0, at) + put + text.slice(at + 1);
  });
const cut = fc.nat(text.length - 1).map((length) => text.slice(0, length));
const halves = fc.constantFrom(
  ...[`cvops1.${head}.${claims}.${signature}.${strangers.d}`, `cvops2${text.slice(6)}`, `Bearer ${text}`],
  ...[`${text}\n`, ` ${text}`, `${text}.${seed}`, `${head}.${claims}.${signature}`, '', 'null', 'undefined'],
);

it('a good token is taken, whosever it is', async () => {
  expect(await parseCredential(text, verification)).toMatchObject({ subject: 'ann', tenant: 'acme_corp' });
  expect(made(payload)).toBe(text);
});

it('a bad token is refused: unsigned, expired, of another key, audience or shape, damaged, cut', async () => {
  const any = fc.oneof(
    unsigned,
    confused,
    ofAnotherKey,
    expired,
    ofElsewhere,
    misshapen,
    ofAnotherKind,
    damaged,
    cut,
    halves,
  );
  await fc.assert(
    fc.asyncProperty(any, async (bad) => {
      const taken = await parseCredential(bad, verification).catch((error: unknown) => {
        expectRefusal(error, 'PermissionDenied');
        // What of it is right must not stand in a log.
        expect((error as Error).message).not.toContain(signature.slice(0, 20));
        return undefined;
      });
      expect(taken, bad).toBeUndefined();
    }),
    share(12),
  );
});
