import type { Field, FieldType, Schema } from '../model.js';
import type { FieldValue } from '../store.js';
import {
  type TensorFormat,
  type TensorHex,
  TensorError,
  readTensor,
  shortestFloat,
  toValue,
  writeTensor,
} from '../tensors/codec.js';
import { printJson } from './losslessJson.js';

/** A document that does not fit its schema; the message goes into the 400. */
export class ValueError extends Error {}

/** A field as it is stored and kept in the log: plain JSON with bigint, tensors as hex. */
export type Stored =
  string | number | bigint | boolean | TensorHex | readonly Stored[] | { readonly [key: string]: Stored };
export type StoredFields = Readonly<Record<string, Stored>>;

const INT_MIN = -(2n ** 31n);
const INT_MAX = 2n ** 31n - 1n;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

/** Reads one field's JSON; undefined for what counts as unset (null, "", [], {}). @throws ValueError */
export function readField(field: Field, value: unknown): Stored | undefined {
  if (value === null) return undefined;
  try {
    const stored = readValue(field.type, value);
    return isEmpty(stored) ? undefined : stored;
  } catch (error) {
    if (error instanceof ValueError || error instanceof TensorError) {
      throw new ValueError(
        `Could not parse field '${field.name}' of type ${javaTypeName(field.type)}: ${error.message}`,
      );
    }
    throw error;
  }
}

export function isEmpty(value: Stored): boolean {
  if (typeof value === 'string' || Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

export function readValue(type: FieldType, value: unknown): Stored {
  switch (type.kind) {
    case 'tensor':
      return readTensor(value, type.tensor);
    case 'array': {
      const items = Array.isArray(value) ? (value as unknown[]) : undefined;
      if (items === undefined) throw new ValueError(`Expected an array, got ${kindOf(value)}`);
      return items.map((item) => readValue(type.element, item));
    }
    case 'weightedset':
    case 'map': {
      const elementType: FieldType = type.kind === 'map' ? type.value : { kind: 'int' };
      const keyType = type.kind === 'map' ? type.key : type.element;
      return Object.fromEntries(
        entries(type.kind, value).map(([key, item]) => [
          String(readValue(keyType, key) as string),
          readValue(elementType, item),
        ]),
      );
    }
    default:
      return readScalar(type.kind, value);
  }
}

function entries(kind: 'map' | 'weightedset', value: unknown): [string, unknown][] {
  if (Array.isArray(value) && kind === 'map') {
    return (value as { key: unknown; value: unknown }[]).map((entry) => [
      String(entry.key as string),
      entry.value,
    ]);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new ValueError(`Expected an object, got ${kindOf(value)}`);
  return Object.entries(value);
}

type Scalar = Exclude<FieldType, { kind: 'tensor' | 'array' | 'weightedset' | 'map' }>['kind'];

function readScalar(kind: Scalar, value: unknown): Stored {
  if (typeof value === 'object') throw new ValueError(`Expected a value, got ${kindOf(value)}`);
  const text = String(value);
  switch (kind) {
    case 'string':
    case 'uri': {
      const bad = [...text].find((c) => !legal(c.codePointAt(0)!));
      if (bad !== undefined)
        throw new ValueError(
          `The string field value contains illegal code point 0x${bad.codePointAt(0)!.toString(16).toUpperCase()}`,
        );
      return text;
    }
    case 'bool':
      if (text === 'true' || text === 'false') return text === 'true';
      if (text === '1' || text === '0') return text === '1';
      throw new ValueError(`For input string: "${text}"`);
    case 'int':
    case 'byte':
      return Number(whole(text, kind === 'int' ? INT_MIN : -128n, kind === 'int' ? INT_MAX : 127n));
    case 'long': {
      const long = whole(text, LONG_MIN, LONG_MAX);
      return Number.isSafeInteger(Number(long)) ? Number(long) : long;
    }
    case 'float':
    case 'double': {
      const number = Number(text);
      if (text.trim() === '' || (Number.isNaN(number) && text !== 'NaN'))
        throw new ValueError(`For input string: "${text}"`);
      return kind === 'float' ? Math.fround(number) : number;
    }
    case 'raw':
      return text;
  }
}

function whole(text: string, low: bigint, high: bigint): bigint {
  if (!/^[+-]?\d+$/.test(text)) throw new ValueError(`For input string: "${text}"`);
  const value = BigInt(text.replace(/^\+/, ''));
  if (value < low || value > high) throw new ValueError(`For input string: "${text}"`);
  return value;
}

/** Vespa's text: no control characters but tab, newline, return; no surrogates alone, no non-characters. */
function legal(code: number): boolean {
  if (code < 0x20) return code === 9 || code === 10 || code === 13;
  if (code < 0x7f) return true;
  if (code < 0xa0) return code !== 0x7f ? true : true;
  if (code >= 0xd800 && code <= 0xdfff) return false;
  if (code >= 0xfdd0 && code <= 0xfdef) return false;
  return (code & 0xfffe) !== 0xfffe;
}

function kindOf(value: unknown): string {
  return Array.isArray(value)
    ? 'START_ARRAY'
    : value === null
      ? 'null'
      : typeof value === 'object'
        ? 'START_OBJECT'
        : typeof value;
}

function javaTypeName(type: FieldType): string {
  return type.kind === 'array' || type.kind === 'weightedset'
    ? `${type.kind}<${javaTypeName(type.element)}>`
    : type.kind;
}

/** JSON text of a stored field. */
export function writeField(field: Field, value: Stored, format: TensorFormat): string {
  return writeValue(field.type, value, format);
}

function writeValue(type: FieldType, value: Stored, format: TensorFormat): string {
  switch (type.kind) {
    case 'tensor':
      return writeTensor(value as TensorHex, type.tensor, format);
    case 'array':
      return `[${(value as Stored[]).map((item) => writeValue(type.element, item, format)).join(',')}]`;
    case 'weightedset':
      return printJson(value);
    case 'map':
      return `{${Object.entries(value as Record<string, Stored>)
        .map(([key, item]) => `${JSON.stringify(key)}:${writeValue(type.value, item, format)}`)
        .join(',')}}`;
    case 'double':
    case 'float': {
      const number = value as number;
      if (!Number.isFinite(number)) return 'null';
      const text = type.kind === 'float' ? shortestFloat(number) : String(number);
      return /^-?\d+$/.test(text) ? `${Object.is(number, -0) ? '-0' : text}.0` : text;
    }
    default:
      return printJson(value);
  }
}

/** A stored document as search and selections read it. */
export function toFieldValues(schema: Schema, fields: StoredFields): Map<string, FieldValue> {
  const values = new Map<string, FieldValue>();
  for (const [name, stored] of Object.entries(fields)) {
    const type = schema.fields.get(name)?.type;
    if (type === undefined) continue;
    values.set(
      name,
      type.kind === 'tensor'
        ? toValue(stored as TensorHex, type.tensor)
        : type.kind === 'map' || type.kind === 'weightedset'
          ? new Map(Object.entries(stored as Record<string, FieldValue>))
          : (stored as FieldValue),
    );
  }
  return values;
}
