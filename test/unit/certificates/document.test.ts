import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signCertificate } from '../../../src/certificates/certificate.js';
import { keyId } from '../../../src/certificates/keys.js';
import { projectRoot } from '../../../src/projectRoot.js';
import { BODY, privateKey, publicKey, stranger } from './fixtures.js';

const versions = ['openssl version', 'jq --version'].map(
  (command) => spawnSync('sh', ['-c', command], { encoding: 'utf8' }).stdout,
);
const haveTools = /^OpenSSL 3/.test(versions[0] ?? '') && /^jq-1\.([6-9]|\d\d)/.test(versions[1] ?? '');

let folder: string;
beforeEach(async () => (folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-document-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

describe.skipIf(!haveTools)('the commands of docs/erasure-certificate.md', () => {
  it('verify a certificate with openssl and jq alone, print the key id, and refuse an edit and another key', async () => {
    const text = signCertificate(BODY, privateKey);
    expect(await run(text, publicKey)).toMatchObject({
      code: 0,
      lines: expect.arrayContaining([
        'Signature Verified Successfully',
        'true',
        BODY.incarnation,
        keyId(publicKey),
      ]),
    });
    for (const [file, key] of [
      [text.replace('zoë', 'zoe'), publicKey],
      [text.replace('"afterDelay":0', '"afterDelay":1'), publicKey],
      [text, stranger.publicKey],
    ] as const) {
      const { code, lines } = await run(file, key);
      expect(code).not.toBe(0);
      expect(lines).not.toContain('true');
    }
  });
});

async function run(certificate: string, key: typeof publicKey) {
  const [FILE, TRUSTED] = [path.join(folder, 'certificate.json'), path.join(folder, 'trusted.pem')];
  await writeFile(FILE, certificate);
  await writeFile(TRUSTED, key.export({ type: 'spki', format: 'pem' }));
  const document = await readFile(path.join(projectRoot, 'docs', 'erasure-certificate.md'), 'utf8');
  const blocks = Array.from(document.matchAll(/```sh\n([^]*?)```/g), ([, block]) => block!);
  const [verify, read] = blocks.filter((block) => /\$(FILE|TRUSTED)/.test(block));
  const { status, stdout } = spawnSync('sh', ['-c', `{ ${verify}} || exit 1\n${read}`], {
    cwd: folder,
    env: { PATH: process.env['PATH'], FILE, TRUSTED },
    encoding: 'utf8',
  });
  return { code: status, lines: stdout.split('\n') };
}
