import { type KeyObject, createSecretKey } from 'node:crypto';
import { keyBytesOf } from '../cipher.js';
import { OpsError } from '../domain/errors.js';
import { rememberSecret } from '../domain/redaction.js';
import { readReference } from '../secrets.js';

/** The keys that payloads are encrypted with. */
export interface PayloadKeys {
  /** What new payloads are encrypted under. */
  readonly current: string;
  /** By key id; the others only decrypt. */
  readonly byId: ReadonlyMap<string, KeyObject>;
}

const HINT =
  'a line a key, the one for new payloads first: ID:KEY, an id of a-z, 0-9, - and KEY as of: openssl rand -hex 32';

/**
 * Reads `id:key` pairs, parted by white space or commas. To rotate, put a new one first, and take the old one out when the
 * last workflow that it encrypted is gone.
 *
 * @param reference `env:NAME` or `file:PATH`
 * @throws OpsError `InvalidInput` naming the reference, never a key
 */
export async function loadPayloadKeys(
  reference: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<PayloadKeys> {
  return parsePayloadKeys(await readReference(reference, 'the keys of payloads', env), reference);
}

/** @param what names them in messages */
export function parsePayloadKeys(text: string, what: string): PayloadKeys {
  const bad = (why: string) => new OpsError('InvalidInput', `${what} ${why}`, HINT);
  const byId = new Map<string, KeyObject>();
  for (const [index, pair] of text
    .split(/[\s,]+/)
    .filter((each) => each !== '')
    .entries()) {
    const [, id, key] = /^([a-z0-9][a-z0-9-]{0,31}):(.+)$/.exec(pair) ?? [];
    const bytes = key === undefined ? undefined : keyBytesOf(key);
    if (id === undefined || key === undefined || bytes === undefined)
      throw bad(`holds no payload key at place ${index + 1}`);
    if (byId.has(id)) throw bad(`names the key ${id} twice`);
    rememberSecret(key);
    byId.set(id, createSecretKey(bytes));
  }
  const [current] = byId.keys();
  if (current === undefined) throw bad('holds no payload key');
  return { current, byId };
}
