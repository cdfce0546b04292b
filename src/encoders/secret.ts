import * as secrets from '../secrets.js';

const WHAT = 'the encoder token';

/**
 * A model's bearer token, read anew at each call; it goes nowhere else.
 *
 * @returns undefined for an empty reference: no token is wanted
 * @throws OpsError `InvalidInput`, naming the reference and never a value, when it is malformed or leads to no token
 */
export async function resolveSecret(
  reference: string,
  env: NodeJS.ProcessEnv = process.env,
  what = WHAT,
): Promise<string | undefined> {
  if (reference === '') return undefined;
  const token = await secrets.readReference(reference, what, env);
  if (!/^[\x21-\x7e]+$/.test(token))
    throw secrets.unusable(reference, 'it holds spaces or characters that no token has');
  return token;
}

/** @throws OpsError `InvalidInput` when the text is neither empty nor a reference */
export function checkReference(reference: string, what = WHAT): void {
  if (reference !== '') secrets.checkReference(reference, what);
}
