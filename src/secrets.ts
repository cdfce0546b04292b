import { open } from 'node:fs/promises';
import { OpsError } from './domain/errors.js';
import { rememberSecret } from './domain/redaction.js';
import { type Pin, unpinned } from './pinned.js';

const MAX_BYTES = 64 * 1024;

/**
 * The text a reference stands for: `env:NAME` an environment variable, `file:PATH` a file's content; without white
 * space around it, at most 64 KiB. Read anew at each call, so that what was rotated is picked up.
 *
 * @param what names the thing in messages: "the encoder token"
 * @param pin holds the file while it is read; whoever asks for a tenant says which may be
 * @throws OpsError `InvalidInput`, naming the reference and never the text, when it is malformed or leads to nothing
 */
export async function readReference(
  reference: string,
  what: string,
  env: NodeJS.ProcessEnv = process.env,
  pin: Pin = unpinned,
): Promise<string> {
  checkReference(reference, what);
  const name = reference.slice(reference.indexOf(':') + 1);
  const text = reference.startsWith('env:') ? env[name] : await readSmall(name, reference, pin);
  const trimmed = text?.trim() ?? '';
  if (trimmed === '') throw unusable(reference, 'it is not set, or empty');
  rememberSecret(trimmed);
  return trimmed;
}

/** @throws OpsError `InvalidInput` when the text is no reference; a secret itself, given by mistake, is not repeated */
export function checkReference(reference: string, what: string): void {
  if (/^env:[A-Za-z_][A-Za-z0-9_]*$/.test(reference) || /^file:[^\0]+$/.test(reference)) return;
  throw new OpsError(
    'InvalidInput',
    `${what} is no secret reference`,
    `give env:NAME or file:PATH, not ${what} itself`,
  );
}

export function unusable(reference: string, why: string): OpsError {
  return new OpsError('InvalidInput', `the secret ${reference} cannot be used: ${why}`);
}

async function readSmall(name: string, reference: string, pin: Pin): Promise<string> {
  try {
    await using held = await pin(name);
    const handle = await open(held.file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_BYTES + 1), 0, MAX_BYTES + 1, 0);
      if (bytesRead > MAX_BYTES) throw unusable(reference, 'the file is too large for a secret');
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === undefined ? error : unusable(reference, `the file cannot be read (${code})`);
  }
}

/** The file that a reference names; undefined for one that names no file. */
export function fileOf(reference: string): string | undefined {
  return reference.startsWith('file:') ? reference.slice('file:'.length) : undefined;
}
