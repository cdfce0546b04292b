import { type KeyObject, sign, verify } from 'node:crypto';
import type { z } from 'zod';
import type { Signature } from '../contracts/signature.js';
import { OpsError } from '../domain/errors.js';
import { canonicalJson } from './canonicalJson.js';
import { keyId, spkiOf } from './keys.js';

const MAX_ERRORS = 20;
const MAX_ERROR_LENGTH = 300;

/** A kind of signed file: one statement and one signature, as canonical JSON and one newline. */
export interface SignedForm<Member extends string, Body> {
  /** The key of the statement in the file. */
  readonly member: Member;
  /** Signed in front of the statement, so that no other thing a key signs can stand for it. */
  readonly prefix: string;
  readonly maxBytes: number;
  /** Of the whole file: the statement and its signature, nothing else. */
  readonly file: z.ZodType<Record<Member, Body> & { readonly signature: Signature }>;
}

export type SignedVerdict<Body> =
  | { readonly ok: true; readonly body: Body; readonly keyId: string }
  | { readonly ok: false; readonly errors: readonly string[] };

/**
 * The exact text of the file. Ed25519 has no randomness: the same statement and key give the same bytes, so a step that
 * signs may run twice.
 *
 * @param body one that the form's contract accepts
 * @param key an Ed25519 private key, see `loadSigningKey`
 * @throws OpsError `InvalidInput` for another kind of key
 */
export function signFile<Member extends string, Body>(
  form: SignedForm<Member, Body>,
  body: Body,
  key: KeyObject,
): string {
  if (key.type !== 'private' || key.asymmetricKeyType !== 'ed25519')
    throw new OpsError('InvalidInput', 'the signing key is no Ed25519 private key', 'see loadSigningKey');
  const signature: Signature = {
    algorithm: 'Ed25519',
    keyId: keyId(key),
    publicKey: spkiOf(key).toString('base64'),
    value: sign(null, signedBytes(form, body), key).toString('base64'),
  };
  return textOf({ [form.member]: body, signature });
}

/**
 * Whether a file is, byte for byte, what a trusted key signed. Needs nothing but its arguments, and never throws,
 * whatever the file holds.
 */
export function verifyFile<Member extends string, Body>(
  form: SignedForm<Member, Body>,
  file: Buffer,
  trusted: readonly KeyObject[],
): SignedVerdict<Body> {
  if (file.length > form.maxBytes) return no(`it is larger than ${form.maxBytes} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file));
  } catch {
    return no('it is not JSON');
  }
  const parsed = form.file.safeParse(value);
  if (!parsed.success) return no(...problemsOf(parsed.error.issues));

  // Of what was parsed, not of what was read: nothing that the schema might pass over can be in the file.
  if (!file.equals(Buffer.from(textOf(parsed.data))))
    return no('its bytes are not the canonical form: it was edited or formatted after it was signed');

  const { [form.member]: body, signature } = parsed.data;
  const key = trusted.find((candidate) => spkiOf(candidate).toString('base64') === signature.publicKey);
  if (key === undefined) return no(`its key, which calls itself ${signature.keyId}, is not a trusted one`);
  if (keyId(key) !== signature.keyId) return no('the key id is not that of the key');

  const value64 = Buffer.from(signature.value, 'base64');
  // Base64 has bits that decoding passes over.
  if (value64.toString('base64') !== signature.value) return no('the signature is no canonical base64');
  if (!verify(null, signedBytes(form, body), key, value64)) return no('the signature is wrong');
  return { ok: true, body, keyId: signature.keyId };
}

/** What a contract found wrong, in a bounded number of short texts. */
export function problemsOf(issues: readonly { path: readonly PropertyKey[]; message: string }[]): string[] {
  const texts = issues
    .slice(0, MAX_ERRORS)
    .map(({ path, message }) => `${path.map(String).join('.') || 'file'}: ${message}`)
    // The file's own words may be in it, at any length.
    .map((text) => (text.length > MAX_ERROR_LENGTH ? `${text.slice(0, MAX_ERROR_LENGTH)}…` : text));
  return issues.length > MAX_ERRORS ? [...texts, `and ${issues.length - MAX_ERRORS} more`] : texts;
}

function textOf(file: object): string {
  return `${canonicalJson(file)}\n`;
}

function signedBytes<Member extends string, Body>(form: SignedForm<Member, Body>, body: Body): Buffer {
  return Buffer.from(form.prefix + canonicalJson(body));
}

function no(...errors: string[]): { readonly ok: false; readonly errors: readonly string[] } {
  return { ok: false, errors };
}
