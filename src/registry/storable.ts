/**
 * Text from outside (a file name, an error of a tool, a server's answer) as Postgres can hold it: no NUL, which `text`
 * and `jsonb` refuse, and no half of a surrogate pair, which `jsonb` refuses and `text` would change. Each becomes
 * U+FFFD, so that a failure is never lost because its message cannot be written.
 */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}

/** A value as `jsonb` gives it back: only what JSON has, all of its texts and keys storable. */
export function storableJson(value: unknown): unknown {
  const json = JSON.stringify(value) as string | undefined;
  return json === undefined ? null : clean(JSON.parse(json));
}

function clean(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value);
  if (Array.isArray(value)) return value.map(clean);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [storableText(key), clean(inner)]));
}
