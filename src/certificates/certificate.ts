import type { KeyObject } from 'node:crypto';
import { type CertificateBody, certificateBody, certificateFile } from '../contracts/certificate.js';
import { OpsError } from '../domain/errors.js';
import { type SignedForm, problemsOf, signFile, verifyFile } from './signedFile.js';

/** Signed in front of the body, so that no other thing this key signs can stand for a certificate. */
export const SIGNATURE_PREFIX = 'cogniverse-ops/erasure-certificate/v1\n';

/** Bytes; far above a certificate of thousands of stores. */
export const MAX_CERTIFICATE_BYTES = 4 * 1024 * 1024;

const FORM: SignedForm<'certificate', CertificateBody> = {
  member: 'certificate',
  prefix: SIGNATURE_PREFIX,
  maxBytes: MAX_CERTIFICATE_BYTES,
  file: certificateFile,
};

export type CertificateVerdict =
  | { readonly ok: true; readonly certificate: CertificateBody; readonly keyId: string }
  | { readonly ok: false; readonly errors: readonly string[] };

/**
 * The exact text of the certificate's file: canonical JSON and one newline. Ed25519 has no randomness: the same body and
 * key give the same bytes, so a step that signs may run twice.
 *
 * @param key an Ed25519 private key, see `loadSigningKey`
 * @throws OpsError `VerificationFailed` naming what is unproven or malformed: there is no certificate of that
 */
export function signCertificate(body: CertificateBody, key: KeyObject): string {
  const parsed = certificateBody.safeParse(body);
  if (!parsed.success) throw refused(problemsOf(parsed.error.issues));
  const text = signFile(FORM, parsed.data, key);
  if (Buffer.byteLength(text) > MAX_CERTIFICATE_BYTES)
    throw refused([`it would be larger than ${MAX_CERTIFICATE_BYTES} bytes`]);
  return text;
}

/**
 * Whether a file is a certificate, byte for byte as it was signed by a trusted key, of a complete erasure. Needs nothing
 * but its arguments, and never throws, whatever the file holds.
 */
export function verifyCertificate(file: Buffer, trusted: readonly KeyObject[]): CertificateVerdict {
  const verdict = verifyFile(FORM, file, trusted);
  return verdict.ok ? { ok: true, certificate: verdict.body, keyId: verdict.keyId } : verdict;
}

function refused(problems: readonly string[]): OpsError {
  return new OpsError(
    'VerificationFailed',
    `no certificate: ${problems.join('; ')}`,
    'erase what is left and read it back again: run the purge once more',
  );
}
