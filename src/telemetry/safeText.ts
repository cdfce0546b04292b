/** Characters of an error's message in a span. */
const MAX_MESSAGE = 1_000;
const MASK = '***';

/** What secrets look like in messages of drivers, HTTP clients and SDKs; the group before a secret stays. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/(\b[a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@]+@/gi, `$1${MASK}@`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{4,}/gi, `$1 ${MASK}`],
  [
    /\b((?:[\w-]*[_-])?(?:api[_-]?key|access[_-]?key|token|secret|password|passwd|pwd|authorization|signature|credential)s?["']?\s*[=:]\s*["']?)[^\s"',;&)}\]]+/gi,
    `$1${MASK}`,
  ],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, MASK],
  [/\b(?:sk|pk|rk|ghp|gho|xox[abps])[-_][A-Za-z0-9_-]{16,}/g, MASK],
  [/\bAKIA[0-9A-Z]{16}\b/g, MASK],
];

/**
 * An error's message as it may leave the process: without what looks like a secret, and not long. Expected failures have
 * none to begin with; the messages of drivers may quote a URL with its password.
 */
export function safeMessage(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  // Cut first: the patterns run over text from outside.
  return SECRETS.reduce(
    (masked, [pattern, by]) => masked.replace(pattern, by),
    cleanText(text, MAX_MESSAGE * 4),
  ).slice(0, MAX_MESSAGE);
}

/**
 * Phoenix on Postgres silently drops a span with a NUL in any attribute; half of a surrogate pair would be invalid
 * UTF-8, for which it refuses the whole batch.
 */
export function cleanText(text: string, limit: number): string {
  return text.slice(0, limit).toWellFormed().replaceAll('\0', '');
}
