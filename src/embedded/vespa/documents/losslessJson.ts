/**
 * JSON in and out without losing what a number said: whole numbers beyond 2^53 are bigint, and a number whose text is not
 * how JavaScript would print it (`1.50`, `1e3`, `1.0`) keeps its text, which decides whether an int field takes it.
 */
export class NumberText {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

type Reviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

/** @throws SyntaxError */
export function parseJson(text: string): unknown {
  // The slow way only where a number could need it; one follows a bracket, a colon, a comma or space, so hex has none.
  if (!/(?:^|[[:,\s])(?:-?\d+[.eE]|-?\d{16}|-0)/.test(text)) return JSON.parse(text);
  const reviver: Reviver = (_key, value, { source }) => {
    if (typeof value !== 'number' || source === undefined || source === String(value)) return value;
    return /^-?\d+$/.test(source) && source !== '-0' ? BigInt(source) : new NumberText(source);
  };
  return JSON.parse(text, reviver as (this: unknown, key: string, value: unknown) => unknown);
}

/** What the log on disk holds: numbers as they are, longs as digits. */
export function parseStored(text: string): unknown {
  if (!/(?:^|[[:,])-?\d{16}/.test(text)) return JSON.parse(text);
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
  if (typeof value === 'number')
    return Number.isFinite(value) ? (Object.is(value, -0) ? '-0' : String(value)) : `"${value}"`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(printJson).join(',')}]`;
  return `{${Object.entries(value)
    .map(([key, inner]) => `${JSON.stringify(key)}:${printJson(inner)}`)
    .join(',')}}`;
}
