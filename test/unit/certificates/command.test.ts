import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MAX_CERTIFICATE_BYTES, signCertificate } from '../../../src/certificates/certificate.js';
import { ensureKeyPair } from '../../../src/certificates/keyPair.js';
import { keyId } from '../../../src/certificates/keys.js';
import { main } from '../../../src/cli/main.js';
import { BODY, changed, privateKey, publicKey, stranger } from './fixtures.js';

let folder: string;
let good: string;
let trusted: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-certificate-'));
  good = await put('good.json', signCertificate(BODY, privateKey));
  trusted = await put('trusted.pem', publicKey.export({ type: 'spki', format: 'pem' }).toString());
  vi.stubEnv('CVOPS_HOME', path.join(folder, 'home'));
  vi.stubEnv('CVOPS_CERTIFICATE_PUBLIC_KEY', '');
  // Nobody listens there: the command needs neither.
  vi.stubEnv('TEMPORAL_ADDRESS', '127.0.0.1:1');
  vi.stubEnv('DATABASE_URL', 'postgresql://127.0.0.1:1/none');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

async function put(name: string, content: string | Buffer): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, content);
  return file;
}

async function verify(...args: string[]) {
  let [stdout, stderr] = ['', ''];
  const out = vi
    .spyOn(process.stdout, 'write')
    .mockImplementation((text) => ((stdout += String(text)), true));
  const err = vi
    .spyOn(process.stderr, 'write')
    .mockImplementation((text) => ((stderr += String(text)), true));
  process.exitCode = undefined;
  try {
    await main(['node', 'cvops', 'certificate', 'verify', ...args]);
    return { code: process.exitCode ?? 0, stdout, stderr };
  } finally {
    out.mockRestore();
    err.mockRestore();
    process.exitCode = undefined;
  }
}

async function verifyJson(...args: string[]) {
  const { code, stdout } = await verify(...args, '-o', 'json');
  return { code, answer: JSON.parse(stdout) as Record<string, unknown> };
}

describe('cvops certificate verify', () => {
  it('says in JSON whose erasure it is, and what was erased', async () => {
    expect(await verifyJson(good, '--public-key', trusted)).toEqual({
      code: 0,
      answer: {
        ok: true,
        tenant: BODY.tenant,
        incarnation: BODY.incarnation,
        issuedAt: BODY.issuedAt,
        keyId: keyId(publicKey),
        stores: BODY.stores,
        unlisted: ['memory', 'schedules', 'ledger', 'configuration'],
        errors: [],
      },
    });
  });

  it('shows a table, what was retained, and the key', async () => {
    const { code, stdout } = await verify(good, '--public-key', trusted);
    expect(code).toBe(0);
    expect(stdout).toMatch(/documents +video_colpali_smol500_mv_frame_acme_corp +1234 +0 +visit with remove/);
    expect(stdout).toMatch(/audit rows +accountability +without end/);
    expect(stdout).toMatch(/acme_corp-20261124 +deleted/);
    expect(stdout).toContain('says nothing of: memory, schedules, ledger, configuration');
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(`signature good, key ${keyId(publicKey)}`);
  });

  it('lets nobody write to the terminal', async () => {
    const reason = 'done\u001b[2Jsignature good, key 0\u202e\nsignature good';
    const file = await put('escape.json', signCertificate(changed({ reason }), privateKey));
    const { stdout } = await verify(file, '--public-key', trusted);
    expect(stdout).toContain('done\\u{1b}[2Jsignature good, key 0\\u{202e}\\u{a}signature good');
  });

  it('exits 8 and repeats nothing of a file that was edited or signed by somebody else', async () => {
    const edited = await put('edited.json', signCertificate(BODY, privateKey).replace('1234', '1235'));
    const theirs = await put('theirs.json', signCertificate(BODY, stranger.privateKey));
    const large = await put('large.json', Buffer.alloc(MAX_CERTIFICATE_BYTES + 10, 0x20));
    for (const file of [edited, theirs, large]) {
      const { code, answer } = await verifyJson(file, '--public-key', trusted);
      expect(code).toBe(8);
      expect(answer).toMatchObject({ ok: false, tenant: null, stores: [], errors: [expect.any(String)] });
      expect((await verify(file, '--public-key', trusted)).stdout).toMatch(/^refused:\n {2}\S/);
    }
  });

  it('trusts --public-key, else the variable, else the key of the home', async () => {
    const others = await put(
      'others.pem',
      stranger.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    );
    const pair = await ensureKeyPair(path.join(folder, 'home', 'keys'));
    const { loadSigningKey } = await import('../../../src/certificates/keys.js');
    const own = await put('own.json', signCertificate(BODY, await loadSigningKey(pair.signingKey)));
    expect((await verify(own)).code).toBe(0);
    expect((await verify(good)).code).toBe(8);
    vi.stubEnv('CVOPS_CERTIFICATE_PUBLIC_KEY', `file:${trusted}`);
    expect((await verify(good)).code).toBe(0);
    expect((await verify(own)).code).toBe(8);
    expect((await verify(good, '--public-key', others)).code).toBe(8);
  });

  it('exits 2 without a trusted key, naming the three places, and with one that cannot be used', async () => {
    const { code, stdout, stderr } = await verify(good, '-o', 'json');
    const { error } = JSON.parse(stderr) as { error: { code: string; hint: string } };
    expect({ code, stdout, error: error.code }).toEqual({ code: 2, stdout: '', error: 'InvalidInput' });
    expect(error.hint).toMatch(
      /--public-key.*CVOPS_CERTIFICATE_PUBLIC_KEY.*home\/keys\/certificate-key\.pub\.pem/,
    );
    expect((await verify(good, '--public-key', path.join(folder, 'none.pem'))).code).toBe(2);
    expect((await verify(good, '--public-key', good)).code).toBe(2);
  });

  it('exits 5 when there is no such file, 2 when it is a folder', async () => {
    expect((await verify(path.join(folder, 'none.json'), '--public-key', trusted)).code).toBe(5);
    expect((await verify(folder, '--public-key', trusted)).code).toBe(2);
  });
});
