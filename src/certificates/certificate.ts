import { type KeyObject, sign, verify } from 'node:crypto';
import {
  type CertificateBody,
  type CertificateFile,
  certificateBody,
  certificateFile,
} from '../contracts/certificate.js';
import { OpsError } from '../domain/errors.js';
import { canonicalJson } from './canonicalJson.js';
import { keyId, spkiOf } from './keys.js';

/** Signed in front of the body, so that no other thing this key signs can stand for a certificate. */
export const SIGNATURE_PREFIX = 'cogniverse-ops/erasure-certificate/v1\n';

/** Bytes; far above a certificate of thousands of stores. */
export const MAX_CERTIFICATE_BYTES = 4 * 1024 * 1024;

const MAX_ERRORS = 20;
const MAX_ERROR_LENGTH = 300;

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
  if (key.type !== 'private' || key.asymmetricKeyType !== 'ed25519')
    throw new OpsError('InvalidInput', 'the signing key is no Ed25519 private key', 'see loadSigningKey');
  const file: CertificateFile = {
    certificate: parsed.data,
    signature: {
      algorithm: 'Ed25519',
      keyId: keyId(key),
      publicKey: spkiOf(key).toString('base64'),
      value: sign(null, signedBytes(parsed.data), key).toString('base64'),
    },
  };
  const text = textOf(file);
  if (Buffer.byteLength(text) > MAX_CERTIFICATE_BYTES)
    throw refused([`it would be larger than ${MAX_CERTIFICATE_BYTES} bytes`]);
  return text;
}

/**
 * Whether a file is a certificate, byte for byte as it was signed by a trusted key, of a complete erasure. Needs nothing
 * but its arguments, and never throws, whatever the file holds.
 */
export function verifyCertificate(file: Buffer, trusted: readonly KeyObject[]): CertificateVerdict {
  if (file.length > MAX_CERTIFICATE_BYTES) return no(`it is larger than ${MAX_CERTIFICATE_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file));
  } catch {
    return no('it is not JSON');
  }
  const parsed = certificateFile.safeParse(value);
  if (!parsed.success) return no(...problemsOf(parsed.error.issues));

  // Of what was parsed, not of what was read: nothing that the schema might pass over can be in the file.
  if (!file.equals(Buffer.from(textOf(parsed.data))))
    return no('its bytes are not the canonical form: it was edited or formatted after it was signed');

  const { certificate, signature } = parsed.data;
  const key = trusted.find((candidate) => spkiOf(candidate).toString('base64') === signature.publicKey);
  if (key === undefined) return no(`its key, which calls itself ${signature.keyId}, is not a trusted one`);
  if (keyId(key) !== signature.keyId) return no('the key id is not that of the key');

  const value64 = Buffer.from(signature.value, 'base64');
  // Base64 has bits that decoding passes over.
  if (value64.toString('base64') !== signature.value) return no('the signature is no canonical base64');
  if (!verify(null, signedBytes(certificate), key, value64)) return no('the signature is wrong');
  return { ok: true, certificate, keyId: signature.keyId };
}

function textOf(file: CertificateFile): string {
  return `${canonicalJson(file)}\n`;
}

function signedBytes(body: CertificateBody): Buffer {
  return Buffer.from(SIGNATURE_PREFIX + canonicalJson(body));
}

function problemsOf(issues: readonly { path: readonly PropertyKey[]; message: string }[]): string[] {
  const texts = issues
    .slice(0, MAX_ERRORS)
    .map(({ path, message }) => `${path.map(String).join('.') || 'file'}: ${message}`)
    // The file's own words may be in it, at any length.
    .map((text) => (text.length > MAX_ERROR_LENGTH ? `${text.slice(0, MAX_ERROR_LENGTH)}…` : text));
  return issues.length > MAX_ERRORS ? [...texts, `and ${issues.length - MAX_ERRORS} more`] : texts;
}

function no(...errors: string[]): CertificateVerdict {
  return { ok: false, errors };
}

function refused(problems: readonly string[]): OpsError {
  return new OpsError(
    'VerificationFailed',
    `no certificate: ${problems.join('; ')}`,
    'erase what is left and read it back again: run the purge once more',
  );
}
