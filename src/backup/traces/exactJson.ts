import { canonicalJson } from '../../certificates/canonicalJson.js';

/**
 * `JSON.parse` that loses nothing of a number: one that JavaScript would print otherwise (`1.0`, `-0`, a 64-bit integer)
 * becomes a `JSON.rawJSON` with its text, which `JSON.stringify` and `canonicalJson` write as it was.
 *
 * @throws SyntaxError
 */
export function parseExact(text: string): unknown {
  return JSON.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && source !== String(value)
      ? JSON.rawJSON(source)
      : value,
  );
}

/** One line of a backup: canonical JSON but for the numbers, which keep their text; without a newline. */
export function exactLine(value: unknown): Buffer {
  return Buffer.from(canonicalJson(value), 'utf8');
}

/** A plain object, and no list or number. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value);
}
