import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import {
  type CertificateVerdict,
  MAX_CERTIFICATE_BYTES,
  verifyCertificate,
} from '../certificates/certificate.js';
import { PUBLIC_KEY_FILE } from '../certificates/keyPair.js';
import { loadTrustedKeys } from '../certificates/keys.js';
import { CERTIFICATE_STORES, type CertificateBody } from '../contracts/certificate.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { loadSettings } from '../settings.js';
import { type CommonOptions, withClient, withOutput } from './context.js';
import { EXIT, ExitWith, answer, table } from './output.js';
import { localPath } from './localPath.js';

export function addCertificateCommands(program: Command): void {
  const certificate = program.command('certificate').description('get and verify erasure certificates');

  withOutput(
    certificate
      .command('verify')
      .description('verify an erasure certificate, offline; exits 8 when it is refused')
      .argument('<file>', 'the certificate')
      .option('--public-key <file>', 'the trusted keys (SPKI PEM); else CVOPS_CERTIFICATE_PUBLIC_KEY'),
  ).action(async (file: string, options: CommonOptions & { publicKey?: string }) => {
    const trusted = await trustedKeys(options.publicKey);
    const verdict = verifyCertificate(await readCertificate(localPath(file)), trusted);
    answer(options.output, asJson(verdict), () => asText(verdict));
    if (!verdict.ok) throw new ExitWith(EXIT.verification);
  });

  withOutput(
    certificate
      .command('get <tenant>')
      .description('the certificate of a tenant that was purged, as it is in the registry')
      .option('--file <file>', 'write it there; one that exists is not replaced'),
  ).action((tenant: string, options: CommonOptions & { file?: string }) =>
    getCertificate(parseTenantId(tenant), options),
  );
}

async function getCertificate(
  tenant: TenantId,
  options: CommonOptions & { readonly file?: string },
): Promise<void> {
  const document = await withClient((client) => client.life.certificate(tenant));
  if (options.file === undefined) {
    // The very bytes that were signed: with either format the answer is the document and nothing else.
    process.stdout.write(document);
    return;
  }
  await writeFile(localPath(options.file), document, { flag: 'wx' });
  answer(
    options.output,
    { tenant, certificate: path.resolve(options.file) },
    () => `written to ${options.file}`,
  );
}

async function trustedKeys(file: string | undefined): Promise<readonly KeyObject[]> {
  if (file !== undefined) return loadTrustedKeys(`file:${localPath(file)}`);
  const reference = process.env['CVOPS_CERTIFICATE_PUBLIC_KEY'];
  if (reference) return loadTrustedKeys(reference);
  const own = path.join(loadSettings().home, 'keys', PUBLIC_KEY_FILE);
  if (existsSync(own)) return loadTrustedKeys(`file:${own}`);
  throw new OpsError(
    'InvalidInput',
    'no trusted key to verify with',
    `give --public-key FILE, or set CVOPS_CERTIFICATE_PUBLIC_KEY to env:NAME or file:PATH, or put the keys in ${own}`,
  );
}

/** At most one byte more than a certificate may have: that is refused, whatever else is in the file. */
async function readCertificate(file: string): Promise<Buffer> {
  try {
    const handle = await open(file, 'r');
    try {
      const chunks: Buffer[] = [];
      const stream = handle.createReadStream({ end: MAX_CERTIFICATE_BYTES, autoClose: false });
      for await (const chunk of stream) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new OpsError('NotFound', `no such file: ${file}`);
    if (code !== undefined) throw new OpsError('InvalidInput', `${file} cannot be read (${code})`);
    throw error;
  }
}

/** Of a file that is refused nothing is repeated as if it were so. */
function asJson(verdict: CertificateVerdict): Record<string, unknown> {
  if (!verdict.ok)
    return {
      ok: false,
      tenant: null,
      incarnation: null,
      issuedAt: null,
      keyId: null,
      stores: [],
      unlisted: [],
      errors: verdict.errors,
    };
  const { tenant, incarnation, issuedAt, stores } = verdict.certificate;
  return {
    ok: true,
    tenant,
    incarnation,
    issuedAt,
    keyId: verdict.keyId,
    stores,
    unlisted: unlisted(verdict.certificate),
    errors: [],
  };
}

function asText(verdict: CertificateVerdict): string {
  if (!verdict.ok) return ['refused:', ...verdict.errors.map((error) => `  ${printable(error)}`)].join('\n');
  const { certificate, keyId } = verdict;
  const { rehearsal } = certificate;
  const missing = unlisted(certificate);
  return [
    `${certificate.tenant} (${certificate.incarnation}) was erased; issued ${certificate.issuedAt}`,
    printable(
      `asked for by ${certificate.requestedBy} (${certificate.trigger}): ${certificate.reason || '-'}`,
    ),
    section(
      ['STORE', 'NAME', 'BEFORE', 'AFTER', 'METHOD'],
      certificate.stores.map((s) => [s.store, s.name, s.before, s.afterDelay, s.method]),
    ),
    section(
      ['RETAINED', 'WHY', 'UNTIL'],
      certificate.retained.map((r) => [r.what, r.why, r.until ?? 'without end']),
    ),
    section(
      ['BACKUP', 'FATE', 'WHY', 'UNTIL'],
      certificate.backups.map((b) => [
        b.backup,
        b.fate,
        b.why,
        b.until ?? (b.fate === 'retained' ? 'without end' : '-'),
      ]),
    ),
    rehearsal && `the rehearsal of ${rehearsal.at} ${rehearsal.matches ? 'matches' : 'counted otherwise'}`,
    missing.length > 0 && `says nothing of: ${missing.join(', ')}`,
    `signature good, key ${keyId}`,
  ]
    .filter((part) => part)
    .join('\n');
}

function section(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return rows.length === 0
    ? ''
    : table(
        head,
        rows.map((row) => row.map((cell) => printable(String(cell)))),
      );
}

function unlisted(certificate: CertificateBody): readonly string[] {
  return CERTIFICATE_STORES.filter((store) => !certificate.stores.some((entry) => entry.store === store));
}

/** Somebody else's words on a terminal: control and direction characters become visible. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}
