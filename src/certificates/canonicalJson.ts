import { OpsError, assertNever } from '../domain/errors.js';

declare global {
  /** Of the JSON.parse source text access proposal, in V8 since 11.4 and not yet in TypeScript's own library. */
  interface JSON {
    /** A JSON scalar whose text is written as it is. */
    rawJSON(text: string): RawJson;
    isRawJSON(value: unknown): value is RawJson;
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
    ): unknown;
  }
  interface RawJson {
    readonly rawJSON: string;
  }
}

/** Deeper is a circle, or no document of ours. */
const MAX_DEPTH = 256;

/**
 * The one JSON text of a value, as RFC 8785 (JCS) has it: no white space, keys in the order of their UTF-16 units,
 * numbers as ECMAScript prints them (so `-0` is `0`), strings with the shortest escapes.
 *
 * What JSON cannot say is refused, never left out or changed as `JSON.stringify` does: `undefined`, NaN, infinities,
 * bigints, halves of surrogate pairs, objects of a class (a `Date`), holes in lists. A `JSON.rawJSON` is written as its
 * text: RFC 8785 has no place for a number that a double cannot hold.
 *
 * @throws OpsError `InvalidInput` naming the place
 */
export function canonicalJson(value: unknown): string {
  return write(value, []);
}

function write(value: unknown, path: readonly (string | number)[]): string {
  if (path.length > MAX_DEPTH) throw refused(path.slice(0, 3), 'it is nested too deep, or in a circle');
  switch (typeof value) {
    case 'boolean':
      return String(value);
    case 'number':
      if (!Number.isFinite(value)) throw refused(path, `${value} is no JSON number`);
      return JSON.stringify(value);
    case 'string':
      return text(value, path);
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return list(value, path);
      if (JSON.isRawJSON(value)) return value.rawJSON;
      return record(value, path);
    case 'undefined':
    case 'bigint':
    case 'symbol':
    case 'function':
      throw refused(path, `JSON has no ${typeof value}`);
    default:
      return assertNever(value as never);
  }
}

function text(value: string, path: readonly (string | number)[]): string {
  if (!value.isWellFormed()) throw refused(path, 'it holds half of a surrogate pair');
  // JSON.stringify escapes a well-formed string exactly as RFC 8785 3.2.2.2 wants.
  return JSON.stringify(value);
}

function list(value: readonly unknown[], path: readonly (string | number)[]): string {
  return `[${Array.from(value, (item, i) => write(item, [...path, i])).join(',')}]`;
}

function record(value: object, path: readonly (string | number)[]): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw refused(path, 'it is no plain object');
  const members = Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${text(key, path)}:${write(inner, [...path, key])}`);
  return `{${members.join(',')}}`;
}

function refused(path: readonly (string | number)[], why: string): OpsError {
  return new OpsError('InvalidInput', `no canonical JSON of ${path.join('.') || 'the value'}: ${why}`);
}
