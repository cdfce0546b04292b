import {
  type KeyObject,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  randomBytes,
} from 'node:crypto';
import { METADATA_ENCODING_KEY, type Payload, type PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { CIPHER, KEY_BYTES, NONCE_BYTES, TAG_BYTES } from '../cipher.js';
import { OpsError } from '../domain/errors.js';
import type { PayloadKeys } from './keys.js';

const ENCODING = 'binary/encrypted';
const KEY_ID = 'encryption-key-id';
const SALT_BYTES = 32;
const { Payload: PayloadMessage } = proto.temporal.api.common.v1;

export interface CodecOptions {
  /** Whether payloads that are not encrypted are taken as they are: those of before the keys. */
  readonly acceptPlain: boolean;
}

/**
 * Encrypts whole payloads, the name of their encoding with them: `salt | ciphertext | tag`, AES-256-GCM. Key and nonce of
 * each are made (HKDF-SHA-256) of the key and 32 random bytes, so that no number of payloads under one key brings a nonce
 * twice. The tag binds encoding and key id; not the workflow, which the UI's codec server is not told.
 */
export class EncryptionCodec implements PayloadCodec {
  constructor(
    private readonly keys: PayloadKeys,
    private readonly options: CodecOptions,
  ) {}

  async encode(payloads: Payload[]): Promise<Payload[]> {
    const { current, byId } = this.keys;
    const key = byId.get(current)!;
    return payloads.map((payload) => {
      const salt = randomBytes(SALT_BYTES);
      const cipher = createCipheriv(CIPHER, ...keyAndNonce(key, salt)).setAAD(context(current));
      const plain = PayloadMessage.encode(payload).finish();
      const data = Buffer.concat([salt, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
      return {
        metadata: { [METADATA_ENCODING_KEY]: Buffer.from(ENCODING), [KEY_ID]: Buffer.from(current) },
        data,
      };
    });
  }

  /** @throws OpsError `InvalidInput` when the key is not there, `VerificationFailed` for what was changed, or is refused */
  async decode(payloads: Payload[]): Promise<Payload[]> {
    return payloads.map((payload) => {
      if (textOf(payload, METADATA_ENCODING_KEY) === ENCODING) return this.decrypt(payload);
      if (this.options.acceptPlain) return payload;
      throw new OpsError(
        'VerificationFailed',
        'a payload is not encrypted, and CVOPS_PLAIN_PAYLOADS refuses those',
        'unset it until the workflows of before the keys have ended',
      );
    });
  }

  private decrypt(payload: Payload): Payload {
    const id = textOf(payload, KEY_ID) ?? '';
    const key = this.keys.byId.get(id);
    if (key === undefined)
      throw new OpsError(
        'InvalidInput',
        `a payload is encrypted with the key ${JSON.stringify(id.slice(0, 40))}, which is not given`,
        'add it to those of CVOPS_PAYLOAD_KEYS, after the first',
      );
    const bytes = Buffer.from(payload.data ?? []);
    if (bytes.length < SALT_BYTES + TAG_BYTES) throw changed();
    const decipher = createDecipheriv(CIPHER, ...keyAndNonce(key, bytes.subarray(0, SALT_BYTES)), {
      authTagLength: TAG_BYTES,
    })
      .setAAD(context(id))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    const head = decipher.update(bytes.subarray(SALT_BYTES, -TAG_BYTES));
    try {
      return PayloadMessage.decode(Buffer.concat([head, decipher.final()]));
    } catch {
      throw changed();
    }
  }
}

function keyAndNonce(key: KeyObject, salt: Buffer): [KeyObject, Buffer] {
  const made = Buffer.from(
    hkdfSync('sha256', key, salt, 'cogniverse-ops/payload-key/v1', KEY_BYTES + NONCE_BYTES),
  );
  return [createSecretKey(made.subarray(0, KEY_BYTES)), made.subarray(KEY_BYTES)];
}

function context(keyId: string): Buffer {
  return Buffer.from(`cogniverse-ops/payload/v1\n${ENCODING}\n${keyId}`);
}

function textOf({ metadata }: Payload, name: string): string | undefined {
  const value = metadata?.[name];
  return value ? Buffer.from(value).toString('utf8') : undefined;
}

function changed(): OpsError {
  return new OpsError('VerificationFailed', 'a payload is not what was encrypted, or not with this key');
}
