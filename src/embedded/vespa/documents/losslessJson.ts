/**
 * JSON in and out without losing a 64-bit integer: whole numbers beyond 2^53 are bigint in memory and digits in text.
 */

type Reviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

/** @throws SyntaxError */
export function parseJson(text: string): unknown {
  // The slow way only where a number could need it.
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const reviver: Reviver = (_key, value, { source }) =>
    typeof value === 'number' &&
    source !== undefined &&
    /^-?\d+$/.test(source) &&
    !Number.isSafeInteger(value)
      ? BigInt(source)
      : value;
  return JSON.parse(text, reviver as (this: unknown, key: string, value: unknown) => unknown);
}

export function printJson(value: unknown): string {
  if (typeof value === 'bigint') return value.toString();
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(printJson).join(',')}]`;
  return `{${Object.entries(value)
    .map(([key, inner]) => `${JSON.stringify(key)}:${printJson(inner)}`)
    .join(',')}}`;
}
