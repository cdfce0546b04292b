import type * as Crypto from 'node:crypto';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { signCertificate, verifyCertificate } from '../../../src/certificates/certificate.js';
import { PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, ensureKeyPair } from '../../../src/certificates/keyPair.js';
import { keyId, loadSigningKey, loadTrustedKeys } from '../../../src/certificates/keys.js';
import { BODY, privateKey, publicKey, stranger } from './fixtures.js';

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof Crypto>();
  return { ...crypto, generateKeyPairSync: vi.fn(crypto.generateKeyPairSync) };
});

const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const spki = publicKey.export({ type: 'spki', format: 'pem' }).toString();
const otherSpki = stranger.publicKey.export({ type: 'spki', format: 'pem' }).toString();

let folder: string;
beforeEach(async () => (folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-keys-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('keys', () => {
  it('come from the environment or a file; the id is that of the public half', async () => {
    const file = path.join(folder, 'key.pem');
    await writeFile(file, `\n${pkcs8}\n`);
    const fromFile = await loadSigningKey(`file:${file}`);
    const fromEnv = await loadSigningKey('env:KEY', { KEY: pkcs8 });
    const id = createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex')
      .slice(0, 16);
    expect([fromFile, fromEnv, publicKey].map(keyId)).toEqual([id, id, id]);
  });

  it('that are trusted may be several, with comments between them', async () => {
    const KEYS = `since 2026:\n${spki}\nuntil 2026:\r\n${otherSpki.replaceAll('\n', '\r\n')}`;
    const keys = await loadTrustedKeys('env:KEYS', { KEYS });
    expect(keys.map(keyId)).toEqual([keyId(publicKey), keyId(stranger.publicKey)]);
  });

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const encrypted = privateKey
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
    .toString();
  it.each([
    ['a public key', spki],
    ['two keys', pkcs8 + pkcs8],
    ['an RSA key', rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ['an encrypted key', encrypted],
    ['a torn key', pkcs8.replace(/..\n-----END/, '\n-----END')],
    ['no PEM', Buffer.from(pkcs8).toString('base64')],
  ])('to sign with are refused, unseen: %s', async (_, KEY) => {
    const refusal = loadSigningKey('env:KEY', { KEY });
    await expect(refusal).rejects.toMatchObject({ type: 'InvalidInput', exitCode: 2 });
    await expect(refusal).rejects.toThrow(/^env:KEY holds no signing key$/);
  });

  it.each([
    ['a private key', pkcs8],
    ['a private key beside a public one', spki + pkcs8],
    [
      'an RSA key beside an Ed25519 one',
      spki + rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    ],
    ['a torn key', otherSpki + spki.replace('MCow', 'MCox')],
    ['a key without its end', otherSpki + spki.replace(/-----END[^]*/, '')],
    ['none', 'see the wiki'],
  ])('to trust are refused as a whole: %s', async (_, KEYS) => {
    await expect(loadTrustedKeys('env:KEYS', { KEYS })).rejects.toMatchObject({ type: 'InvalidInput' });
  });

  it('given in place of a reference are not repeated', async () => {
    const refusal = loadSigningKey(pkcs8);
    await expect(refusal).rejects.toThrow(/^the signing key is no secret reference$/);
    await expect(loadTrustedKeys(`file:${folder}/none`)).rejects.toThrow('cannot be read (ENOENT)');
  });
});

describe('the key pair of a folder', () => {
  it('signs what its public file verifies, and is made once', async () => {
    const inside = path.join(folder, 'new', 'keys');
    const made = await ensureKeyPair(inside);
    const text = signCertificate(BODY, await loadSigningKey(made.signingKey));
    const trusted = await loadTrustedKeys(made.trustedKeys);
    expect(verifyCertificate(Buffer.from(text), trusted)).toMatchObject({ ok: true, keyId: made.keyId });
    expect(await ensureKeyPair(inside)).toEqual(made);
    expect((await readdir(inside)).sort()).toEqual([PRIVATE_KEY_FILE, PUBLIC_KEY_FILE]);
    expect((await stat(path.join(inside, PRIVATE_KEY_FILE))).mode & 0o777).toBe(0o600);
  });

  it('is one, however many make it at once', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => ensureKeyPair(folder)));
    expect(new Set(made.map((pair) => pair.keyId)).size).toBe(1);
    expect(await loadTrustedKeys(made[0]!.trustedKeys)).toHaveLength(1);
    expect(keyId(await loadSigningKey(made[0]!.signingKey))).toBe(made[0]!.keyId);
    expect((await readdir(folder)).sort()).toEqual([PRIVATE_KEY_FILE, PUBLIC_KEY_FILE]);
  });

  it('is the one that another made between the look and the writing', async () => {
    const made = vi.mocked(generateKeyPairSync).getMockImplementation()!;
    vi.mocked(generateKeyPairSync).mockImplementationOnce((...args) => {
      writeFileSync(path.join(folder, PRIVATE_KEY_FILE), pkcs8);
      return made(...args);
    });
    const pair = await ensureKeyPair(folder);
    expect(pair.keyId).toBe(keyId(publicKey));
    expect(await readFile(path.join(folder, PRIVATE_KEY_FILE), 'utf8')).toBe(pkcs8);
  });

  it('is rotated by removing the private file: older certificates still verify', async () => {
    const first = await ensureKeyPair(folder);
    const old = signCertificate(BODY, await loadSigningKey(first.signingKey));
    await rm(path.join(folder, PRIVATE_KEY_FILE));
    const second = await ensureKeyPair(folder);
    expect(second.keyId).not.toBe(first.keyId);
    const trusted = await loadTrustedKeys(second.trustedKeys);
    expect(trusted.map(keyId)).toEqual([first.keyId, second.keyId]);
    expect(verifyCertificate(Buffer.from(old), trusted)).toMatchObject({ ok: true, keyId: first.keyId });
  });

  it('gets its public file again when that is lost, and nothing is overwritten that is not understood', async () => {
    const made = await ensureKeyPair(folder);
    const publicFile = path.join(folder, PUBLIC_KEY_FILE);
    await rm(publicFile);
    expect(await ensureKeyPair(folder)).toEqual(made);
    await writeFile(publicFile, 'not a key');
    await expect(ensureKeyPair(folder)).rejects.toThrow(/something else than trusted keys/);
    expect(await readFile(publicFile, 'utf8')).toBe('not a key');
    await writeFile(path.join(folder, PRIVATE_KEY_FILE), '');
    await expect(ensureKeyPair(folder)).rejects.toThrow(/no signing key/);
  });
});
