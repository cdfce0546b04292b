/**
 * The one place that says how a secret is kept out of what others read: messages of errors, logs, output, histories, spans.
 * What was read by reference is known, and goes wherever it stands; what nobody told us of is found by its looks.
 */
const MASK = '***';
/** A shorter text stands in too many places by chance. */
const MIN_LENGTH = 6;
/** Secrets are rotated; what a process has read lately is what may still be repeated to it. */
const MAX_KNOWN = 500;

const known = new Set<string>();

/** From now on the text, also percent-encoded, in base64 or within JSON, is shown by {@link redact} as `***`. */
export function rememberSecret(text: string): void {
  // Of a key of several lines each may be shown by itself; its first and last line are no secret.
  for (const line of text.split(/\r?\n/).map((each) => each.trim())) {
    if (line.length < MIN_LENGTH || line.startsWith('-----')) continue;
    const forms = [line, encodeURIComponent(line.toWellFormed()), JSON.stringify(line).slice(1, -1)];
    for (const form of forms) {
      // Read again is read last.
      known.delete(form);
      known.add(form);
    }
  }
  while (known.size > MAX_KNOWN) known.delete(known.values().next().value!);
}

type Rule = readonly [pattern: RegExp, by: string];

/** By their looks alone; the group before a secret stays. */
const SHAPES: readonly Rule[] = [
  [/(\b[a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@"'<>]+@/gi, `$1${MASK}@`],
  [/\b(bearer|basic)\s+(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}/gi, `$1 ${MASK}`],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, MASK],
  [/\b(?:sk|pk|rk|ghp|gho|xox[abps])[-_][A-Za-z0-9_-]{16,}/g, MASK],
  [/\bAKIA[0-9A-Z]{16}\b/g, MASK],
  [/\b(X-Amz-(?:Signature|Credential|Security-Token)=)[^\s&"']+/gi, `$1${MASK}`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, MASK],
];

/** By what stands before them: too eager for words of our own. */
const LABELLED: readonly Rule[] = [
  [/\b(bearer|basic)\s+[\w.~+/=-]{4,}/gi, `$1 ${MASK}`],
  [
    /\b((?:[\w-]*[_-])?(?:api[_-]?key|access[_-]?key|token|secret|password|passwd|pwd|authorization|signature|credential)s?\\?["']?\s*[=:]\s*\\?["']?)[^\s"',;&)}\]\\]+/gi,
    `$1${MASK}`,
  ],
];

/** A text of ours that may repeat somebody else's: without the secrets that are known, and what looks like one. */
export function redact(text: string): string {
  return applied(SHAPES, withoutKnown(text));
}

/** A text of a driver, a server or a tool: also without what is called a secret there. */
export function redactForeign(text: string): string {
  return applied(LABELLED, redact(text));
}

/**
 * An error of a driver or a library, and all its causes, with {@link redactForeign} messages and stacks. In place: its class
 * says what is to become of it.
 */
export function redactError<T>(error: T): T {
  const seen = new Set<unknown>();
  const visit = (each: unknown): void => {
    if (!(each instanceof Error) || seen.has(each)) return;
    seen.add(each);
    for (const name of ['message', 'stack'] as const) {
      const text = each[name];
      const masked = text === undefined ? text : redactForeign(text);
      if (masked !== text)
        Object.defineProperty(each, name, { value: masked, configurable: true, writable: true });
    }
    visit(each.cause);
    if (each instanceof AggregateError) each.errors.forEach(visit);
  };
  visit(error);
  return error;
}

function withoutKnown(text: string): string {
  let masked = text;
  for (const secret of known) if (masked.includes(secret)) masked = masked.replaceAll(secret, MASK);
  return masked;
}

function applied(rules: readonly Rule[], text: string): string {
  return rules.reduce((masked, [pattern, by]) => masked.replace(pattern, by), text);
}
