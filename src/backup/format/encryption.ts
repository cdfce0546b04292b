import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes } from 'node:crypto';
import { CIPHER, KEY_BYTES, NONCE_BYTES, TAG_BYTES } from '../../cipher.js';
import { OpsError } from '../../domain/errors.js';
import type { DataKey } from './keys.js';

/** In front of an encrypted part: says what the bytes are when the manifest is not at hand. */
const MAGIC = Buffer.from('CVB1');
const SALT_BYTES = 32;
const HEAD_BYTES = MAGIC.length + SALT_BYTES;
/** Bytes of plain text that one tag covers. */
export const CHUNK_BYTES = 64 * 1024;

/**
 * Encrypts a part in chunks. Its key is made of the data key and a random salt, so a part that is written again, with
 * other content, never meets a nonce twice; the nonces count the chunks, and the last one is marked.
 *
 * @param path within the backup
 */
export async function* encrypted(
  plain: AsyncIterable<Uint8Array>,
  key: DataKey,
  path: string,
): AsyncGenerator<Buffer> {
  const salt = randomBytes(SALT_BYTES);
  yield Buffer.concat([MAGIC, salt]);
  const partKey = derive(key, salt, path);
  let index = 0;
  for await (const { bytes, last } of chunks(plain, CHUNK_BYTES)) {
    const cipher = createCipheriv(CIPHER, partKey, nonce(index++, last)).setAAD(context(key, path));
    yield cipher.update(bytes);
    cipher.final();
    yield cipher.getAuthTag();
  }
}

/**
 * Every piece that comes out was written so, by a holder of the key, at this place of this part of this backup; when it
 * ends without an error nothing is missing.
 *
 * @throws OpsError `VerificationFailed`
 */
export async function* decrypted(
  stored: AsyncIterable<Uint8Array>,
  key: DataKey,
  path: string,
): AsyncGenerator<Buffer> {
  let partKey: ReturnType<typeof derive> | undefined;
  let index = 0;
  for await (const { bytes, last } of chunks(withoutHead(stored, path, setKey), CHUNK_BYTES + TAG_BYTES)) {
    if (partKey === undefined || bytes.length < TAG_BYTES) throw refused(path, 'it is cut off');
    const decipher = createDecipheriv(CIPHER, partKey, nonce(index++, last), { authTagLength: TAG_BYTES })
      .setAAD(context(key, path))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    const plain = decipher.update(bytes.subarray(0, -TAG_BYTES));
    try {
      decipher.final();
    } catch {
      throw refused(path, `chunk ${index} is not what was written there`);
    }
    yield plain;
  }

  function setKey(salt: Buffer): void {
    partKey = derive(key, salt, path);
  }
}

async function* withoutHead(
  stored: AsyncIterable<Uint8Array>,
  path: string,
  onSalt: (salt: Buffer) => void,
): AsyncGenerator<Uint8Array> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const piece of stored) {
    if (head === undefined) {
      yield piece;
      continue;
    }
    head = Buffer.concat([head, piece]);
    if (head.length < HEAD_BYTES) continue;
    if (!head.subarray(0, MAGIC.length).equals(MAGIC)) throw refused(path, 'it is no encrypted part');
    onSalt(head.subarray(MAGIC.length, HEAD_BYTES));
    yield head.subarray(HEAD_BYTES);
    head = undefined;
  }
}

/** Cut anew: all of one length but the last, which is shorter or not; there is always a last one, be it empty. */
async function* chunks(
  source: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<{ bytes: Buffer; last: boolean }> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (const piece of source) {
    held.push(piece);
    size += piece.length;
    // Not the last before something follows it.
    if (size <= length) continue;
    const all = Buffer.concat(held);
    let from = 0;
    for (; all.length - from > length; from += length)
      yield { bytes: all.subarray(from, from + length), last: false };
    held = [all.subarray(from)];
    size = all.length - from;
  }
  yield { bytes: Buffer.concat(held), last: true };
}

function derive(key: DataKey, salt: Buffer, path: string) {
  return createSecretKey(Buffer.from(hkdfSync('sha256', key.secret, salt, context(key, path), KEY_BYTES)));
}

function nonce(index: number, last: boolean): Buffer {
  const bytes = Buffer.alloc(NONCE_BYTES);
  bytes.writeUIntBE(index, NONCE_BYTES - 7, 6);
  bytes[NONCE_BYTES - 1] = last ? 1 : 0;
  return bytes;
}

function context(key: DataKey, path: string): Buffer {
  return Buffer.from(`cogniverse-ops/backup-part/v1\n${key.of}/${path}`);
}

function refused(path: string, why: string): OpsError {
  return new OpsError('VerificationFailed', `part ${path} cannot be decrypted: ${why}`);
}
