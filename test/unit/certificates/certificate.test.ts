import { generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../src/certificates/canonicalJson.js';
import {
  MAX_CERTIFICATE_BYTES,
  SIGNATURE_PREFIX,
  signCertificate,
  verifyCertificate,
} from '../../../src/certificates/certificate.js';
import { keyId, spkiOf } from '../../../src/certificates/keys.js';
import { CERTIFICATE_STORES } from '../../../src/contracts/certificate.js';
import { BODY, accepted, changed, privateKey, publicKey, store, stranger } from './fixtures.js';

const GOOD = Buffer.from(signCertificate(BODY, privateKey));
const check = (file: Buffer | string, trusted = [publicKey]) => verifyCertificate(Buffer.from(file), trusted);
const errorsOf = (file: Buffer | string, trusted = [publicKey]) => {
  const verdict = check(file, trusted);
  return verdict.ok ? [] : verdict.errors;
};

/** A file signed as it should not be: by somebody who has the key and does not ask the contract. */
function forged(
  certificate: unknown,
  members: Record<string, unknown> = {},
  prefix = SIGNATURE_PREFIX,
): string {
  const value = sign(null, Buffer.from(prefix + canonicalJson(certificate)), privateKey).toString('base64');
  const signature = {
    algorithm: 'Ed25519',
    keyId: keyId(publicKey),
    publicKey: spkiOf(publicKey).toString('base64'),
    value,
  };
  return `${canonicalJson({ certificate, signature, ...members })}\n`;
}

describe('a signed certificate', () => {
  it('verifies with the trusted key among others, and says what was signed', () => {
    const verdict = check(GOOD, [stranger.publicKey, publicKey]);
    expect(verdict).toEqual({ ok: true, certificate: BODY, keyId: keyId(publicKey) });
  });

  it('is the same bytes each time', () => {
    expect(signCertificate(BODY, privateKey)).toBe(GOOD.toString());
    expect(forged(BODY)).toBe(GOOD.toString());
  });

  it('is refused after any one-byte edit', () => {
    const believed: string[] = [];
    const attempt = (what: string, file: Buffer) => {
      if (check(file).ok) believed.push(what);
    };
    for (let at = 0; at <= GOOD.length; at++) {
      const [head, tail] = [GOOD.subarray(0, at), GOOD.subarray(at)];
      for (const byte of [...Buffer.from(' \n\t0"},\0'), tail[0] ?? 10])
        attempt(`insert ${byte} at ${at}`, Buffer.concat([head, Buffer.of(byte), tail]));
      if (at === GOOD.length) break;
      attempt(`delete at ${at}`, Buffer.concat([head, tail.subarray(1)]));
      attempt(`cut at ${at}`, Buffer.from(head));
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(GOOD);
        flipped[at]! ^= 1 << bit;
        attempt(`flip bit ${bit} at ${at}`, flipped);
      }
      const other = Buffer.from(GOOD);
      other[at]! ^= 0xff;
      attempt(`flip all at ${at}`, other);
    }
    expect(believed).toEqual([]);
    expect(check(GOOD).ok).toBe(true);
  }, 120_000);

  it('is refused in any other form that means the same', () => {
    const value = JSON.parse(GOOD.toString()) as { certificate: object; signature: object };
    const { certificate, signature } = value;
    const others = [
      JSON.stringify(value, null, 2),
      `${JSON.stringify({ signature, certificate })}\n`,
      `${JSON.stringify(value)}\r\n`,
      `\ufeff${GOOD.toString()}`,
      GOOD.toString().replace('zoë', 'zo\\u00eb'),
      GOOD.toString().replace('"version":1', '"version":1.0'),
      GOOD.toString().replace('"residuals":[]', '"residuals":[],"residuals":[]'),
      GOOD.toString().replace('"signature":{', '"signature":{"__proto__":{},'),
      GOOD.toString().replace('{"certificate"', '{"__proto__":1,"certificate"'),
    ];
    for (const other of others) {
      expect(other).not.toBe(GOOD.toString());
      expect(errorsOf(other)).not.toEqual([]);
    }
  });

  it('is refused when its key is not trusted, and names the key', () => {
    expect(errorsOf(GOOD, [stranger.publicKey])).toEqual([expect.stringContaining(keyId(publicKey))]);
    expect(errorsOf(GOOD, [])).toHaveLength(1);
    // The stranger's key and a trusted one's signature, and the other way round.
    const theirs = signCertificate(BODY, stranger.privateKey);
    const spki = (key: typeof publicKey) => spkiOf(key).toString('base64');
    const posing = theirs
      .replace(spki(stranger.publicKey), spki(publicKey))
      .replace(keyId(stranger.publicKey), keyId(publicKey));
    expect(errorsOf(posing)).toEqual(['the signature is wrong']);
    expect(errorsOf(theirs.replace(keyId(stranger.publicKey), keyId(publicKey)))).not.toEqual([]);
  });

  it('is refused when the key id, or the purpose of the signature, is another', () => {
    expect(errorsOf(GOOD.toString().replace(keyId(publicKey), '0'.repeat(16)))).toEqual([
      'the key id is not that of the key',
    ]);
    expect(errorsOf(forged(BODY, {}, ''))).toEqual(['the signature is wrong']);
    expect(errorsOf(forged(BODY, {}, 'cogniverse-ops/backup-manifest/v1\n'))).toEqual([
      'the signature is wrong',
    ]);
    expect(errorsOf(forged(BODY, { note: 'x' }))).not.toEqual([]);
  });

  it('round-trips for every body the contract accepts', () => {
    fc.assert(
      fc.property(bodies, (body) => {
        const text = signCertificate(body, privateKey);
        expect(check(text)).toEqual({ ok: true, certificate: body, keyId: keyId(publicKey) });
        expect(text.endsWith('}\n')).toBe(true);
      }),
    );
  });
});

describe('a certificate of an erasure that is unproven or contradicts itself', () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    ['something left', { 'stores.0.after': 3 }, /documents video_\S+: 3 left at the first read-back/],
    [
      'something that came back',
      { 'stores.2.afterDelay': 1 },
      /traces acme_corp_project: 1 left at the second/,
    ],
    ['residuals', { residuals: [{ store: 'memory', name: 'm', count: 1 }] }, /residuals: something is left/],
    ['no store', { stores: [], rehearsal: null }, /stores/],
    ['a store twice', { stores: [BODY.stores[0], BODY.stores[0]], rehearsal: null }, /named twice/],
    [
      'a read-back before the deletion',
      { 'stores.0.readBackAt': '2026-11-24T12:00:00.500Z' },
      /before it was/,
    ],
    ['no delay', { 'stores.0.secondReadBackAt': BODY.stores[0]!.readBackAt }, /not later than the first/],
    ['an issue before the last read-back', { issuedAt: '2026-11-24T12:00:30.000Z' }, /after the issue/],
    ['a deletion before the start', { startedAt: '2026-11-24T12:00:01.001Z' }, /before the start/],
    ['a rehearsal that does not match', { 'rehearsal.stores.0.count': 1233 }, /not what the counts say/],
    [
      'a rehearsal with two counts of one store',
      { 'rehearsal.stores': [{ ...BODY.rehearsal!.stores[0], count: 5 }, ...BODY.rehearsal!.stores] },
      /rehearsal.stores: one is named twice/,
    ],
    ['a match denied', { 'rehearsal.matches': false }, /not what the counts say/],
    ['a time in another form', { issuedAt: '2026-11-24T12:02:00Z' }, /issuedAt: not a time/],
    ['a day that is none', { issuedAt: '2026-02-30T12:02:00.000Z' }, /issuedAt: not a time/],
    ['a count that is no whole number', { 'stores.0.before': 0.5 }, /before/],
    ['a count beyond exactness', { 'stores.0.before': 2 ** 53 }, /before/],
    ['another tenant id', { tenant: 'Acme' }, /tenant: not a tenant id/],
    ['a later version', { version: 2 }, /version/],
    ['a member nobody knows', { 'audit.note': 'x' }, /note/],
    ['half a character', { reason: '\ud83d' }, /reason: half/],
  ])('is neither signed nor believed: %s', (_, changes, message) => {
    const body = changed(changes);
    expect(() => signCertificate(body, privateKey)).toThrow(message);
    expect(() => signCertificate(body, privateKey)).toThrow(
      expect.objectContaining({ type: 'VerificationFailed', exitCode: 8 }),
    );
    if (changes['reason'] === undefined) expect(errorsOf(forged(body)).join()).toMatch(message);
  });

  it('is not signed when it is too large to be verified, or by a key of another kind', () => {
    const retained = Array.from({ length: 3000 }, () => ({
      what: 'x'.repeat(1000),
      why: 'y'.repeat(1000),
      until: null,
    }));
    expect(() => signCertificate(changed({ retained }), privateKey)).toThrow(/larger than 4194304 bytes/);
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    expect(() => signCertificate(BODY, rsa)).toThrow(/no Ed25519/);
    expect(() => signCertificate(BODY, publicKey)).toThrow(/no Ed25519/);
  });
});

describe('what is no certificate', () => {
  it.each<[string, Buffer | string]>([
    ['nothing', ''],
    ['null', 'null\n'],
    ['a list', '[]\n'],
    ['bytes that are no UTF-8', Buffer.of(0xff, 0xfe, 0)],
    ['deep nesting', '['.repeat(2_000_000)],
    ['deep nesting that closes', '['.repeat(1_000_000) + ']'.repeat(1_000_000)],
    ['unknown members of great length', JSON.stringify({ ['k'.repeat(1_000_000)]: 1 })],
    ['many wrong members', JSON.stringify({ certificate: { stores: new Array(10_000).fill({}) } })],
  ])('is refused in a few words: %s', (_, file) => {
    const errors = errorsOf(file);
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.join().length).toBeLessThan(8000);
  });

  it('is not even parsed above 4 MiB', () => {
    expect(errorsOf(Buffer.alloc(MAX_CERTIFICATE_BYTES + 1, 0x20))).toEqual([
      'it is larger than 4194304 bytes',
    ]);
  });

  it('never makes the verifier throw', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          expect(check(Buffer.from(bytes)).ok).toBe(false);
        },
      ),
    );
  });
});

const words = fc.string({ unit: 'binary', minLength: 1, maxLength: 100 });
const until = fc.option(fc.constant('2027-01-01T00:00:00.000Z'));
const bodies = fc
  .record({
    trigger: fc.constantFrom('requested', 'expiry', 'purgeNow'),
    requestedBy: words,
    reason: fc.string({ unit: 'binary', maxLength: 200 }),
    stores: fc.uniqueArray(
      fc
        .tuple(fc.constantFrom(...CERTIFICATE_STORES), words, words, fc.maxSafeNat())
        .map(([kind, name, method, before]) => store(kind, name, method, before)),
      { minLength: 1, maxLength: 10, selector: (s) => `${s.store}/${s.name}` },
    ),
    retained: fc.array(fc.record({ what: words, why: words, until }), { maxLength: 5 }),
    backups: fc.array(
      fc.record({ backup: words, fate: fc.constantFrom('deleted', 'retained'), why: words, until }),
      { maxLength: 5 },
    ),
    audit: fc.record({ seq: fc.maxSafeNat(), head: fc.constant('0'.repeat(64)) }),
    rehearsed: fc.boolean(),
  })
  .map(({ rehearsed, ...parts }) =>
    accepted({
      ...BODY,
      ...parts,
      rehearsal: rehearsed
        ? {
            at: BODY.startedAt,
            stores: parts.stores.map(({ store, name, before }) => ({ store, name, count: before })),
            matches: true,
          }
        : null,
    }),
  );
