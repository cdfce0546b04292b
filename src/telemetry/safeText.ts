import { redactForeign } from '../domain/redaction.js';

/** Characters of an error's message in a span. */
const MAX_MESSAGE = 1_000;

/**
 * An error's message as it may leave the process: without what looks like a secret, and not long. Expected failures have
 * none to begin with; the messages of drivers may quote a URL with its password.
 */
export function safeMessage(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  // Cut first: the patterns run over text from outside.
  return redactForeign(cleanText(text, MAX_MESSAGE * 4)).slice(0, MAX_MESSAGE);
}

/**
 * Phoenix on Postgres silently drops a span with a NUL in any attribute; half of a surrogate pair would be invalid
 * UTF-8, for which it refuses the whole batch.
 */
export function cleanText(text: string, limit: number): string {
  return text.slice(0, limit).toWellFormed().replaceAll('\0', '');
}
