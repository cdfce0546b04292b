import { open } from 'node:fs/promises';
import { OpsError } from '../domain/errors.js';

const MAX_BYTES = 16 * 1024;

/**
 * The value a secret reference stands for: `env:NAME` an environment variable, `file:PATH` a file's content without
 * white space around it. Read anew at each call, so that a rotated secret is picked up; the value goes nowhere else.
 *
 * @returns undefined for an empty reference: no secret is wanted
 * @throws OpsError `InvalidInput`, naming the reference and never a value, when it is malformed or leads to nothing
 */
export async function resolveSecret(
  reference: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string | undefined> {
  if (reference === '') return undefined;
  checkReference(reference);
  const name = reference.slice(reference.indexOf(':') + 1);
  const value = reference.startsWith('env:') ? env[name] : await readSecret(name, reference);
  const secret = value?.trim() ?? '';
  if (secret === '') throw nothing(reference, 'it is not set, or empty');
  if (!/^[\x21-\x7e]+$/.test(secret))
    throw nothing(reference, 'it holds spaces or characters that no token has');
  return secret;
}

/** @throws OpsError `InvalidInput` when the text is no reference; a secret itself, given by mistake, is not repeated */
export function checkReference(reference: string): void {
  if (reference === '' || /^env:[A-Za-z_][A-Za-z0-9_]*$/.test(reference) || /^file:[^\0]+$/.test(reference))
    return;
  throw new OpsError(
    'InvalidInput',
    'the encoder token is no secret reference',
    'give env:NAME or file:PATH, not the token itself',
  );
}

async function readSecret(file: string, reference: string): Promise<string> {
  try {
    const handle = await open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_BYTES + 1), 0, MAX_BYTES + 1, 0);
      if (bytesRead > MAX_BYTES) throw nothing(reference, 'the file is too large for a token');
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === undefined ? error : nothing(reference, `the file cannot be read (${code})`);
  }
}

function nothing(reference: string, why: string): OpsError {
  return new OpsError('InvalidInput', `the secret ${reference} cannot be used: ${why}`);
}
