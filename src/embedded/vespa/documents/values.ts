import type { Field, FieldType, Schema } from '../model.js';
import type { FieldValue } from '../store.js';
import {
  type TensorFormat,
  type TensorHex,
  TensorError,
  readTensor,
  shortestFloat,
  tensorTypeText,
  toValue,
  writeTensor,
} from '../tensors/codec.js';
import { NumberText, printJson } from './losslessJson.js';

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
  try {
    return readAssigned(field.type, value);
  } catch (error) {
    if (error instanceof ValueError || error instanceof TensorError) {
      throw new ValueError(
        `Could not parse field '${field.name}' of type ${javaTypeName(field.type)}: ${error.message}`,
      );
    }
    throw error;
  }
}

/** The same without the field's name, as updates word it. */
export function readAssigned(type: FieldType, value: unknown): Stored | undefined {
  if (value === null) return undefined;
  const stored = readValue(type, value);
  return isUnset(type, stored) ? undefined : stored;
}

/** An empty tensor and empty raw data are values; an empty string, array or map is none. */
export function isUnset(type: FieldType, value: Stored): boolean {
  if (type.kind === 'tensor' || type.kind === 'raw') return false;
  if (typeof value === 'string' || Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** Found before the field was looked at: worded without its name. */
export class PlainError extends ValueError {}

/** A server's exception that no handler made a 400 of. */
export class UncaughtError extends Error {}

export function readValue(type: FieldType, value: unknown): Stored {
  switch (type.kind) {
    case 'tensor':
      return readTensor(value, type.tensor);
    case 'array': {
      if (!isStructure(value)) throw notApplicable(value, 'Array');
      if (!Array.isArray(value)) throw new ValueError('Expected start of array, got START_OBJECT');
      const items = value as unknown[];
      if (items.includes(null)) throw new ValueError('Illegal null value for array entry');
      return items
        .map((item) => readValue(type.element, item))
        .filter((item) => !(Array.isArray(item) && item.length === 0));
    }
    case 'weightedset':
    case 'map': {
      if (!isStructure(value))
        throw notApplicable(value, type.kind === 'map' ? 'MapFieldValue' : 'WeightedSet');
      const element: FieldType = type.kind === 'map' ? type.value : { kind: 'int' };
      const key = type.kind === 'map' ? type.key : type.element;
      return Object.fromEntries(
        entries(type.kind, value).map(([name, item]) => [
          String(readValue(key, name)),
          // A null in a map of strings is the text of a null, as the real one stores it.
          item === null && element.kind === 'string' ? 'null' : readValue(element, item),
        ]),
      );
    }
    default:
      return readScalar(type.kind, value);
  }
}

function isStructure(value: unknown): value is object {
  return value !== null && typeof value === 'object' && !(value instanceof NumberText);
}

function notApplicable(value: unknown, what: string): ValueError {
  const type = typeof value === 'string' ? 'String' : typeof value === 'boolean' ? 'Boolean' : 'String';
  return new ValueError(
    `Class class java.lang.${type} not applicable to an class com.yahoo.document.datatypes.${what} instance.`,
  );
}

function entries(kind: 'map' | 'weightedset', value: object): [string, unknown][] {
  if (Array.isArray(value) && kind === 'map') {
    return (value as { key?: unknown; value?: unknown }[]).map((entry) => {
      if (entry.key === undefined || entry.value === undefined)
        throw new UncaughtError('Missing key or value for map entry.');
      return [String(entry.key), entry.value];
    });
  }
  if (Array.isArray(value)) throw new ValueError('Expected start of JSON object, got START_ARRAY');
  return Object.entries(value);
}

type Scalar = Exclude<FieldType, { kind: 'tensor' | 'array' | 'weightedset' | 'map' }>['kind'];

const JAVA_VALUE: Readonly<Record<Scalar, string>> = {
  string: 'StringFieldValue',
  uri: 'UriFieldValue',
  int: 'IntegerFieldValue',
  long: 'LongFieldValue',
  double: 'DoubleFieldValue',
  float: 'FloatFieldValue',
  bool: 'BoolFieldValue',
  byte: 'ByteFieldValue',
  raw: 'Raw',
};

function readScalar(kind: Scalar, value: unknown): Stored {
  if (isStructure(value)) {
    throw new ValueError(
      `Expected a com.yahoo.document.datatypes.${JAVA_VALUE[kind]} but got an ${Array.isArray(value) ? 'array' : 'object'}`,
    );
  }
  const text = String(value);
  const invalid = () => new ValueError(`For input string: "${text}"`);
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
      // Java's Boolean.parseBoolean: whatever is not "true" is false.
      return text.toLowerCase() === 'true';
    case 'byte':
      if (/^[+-]?\d+$/.test(text) && (BigInt(text) < -128n || BigInt(text) > 127n))
        throw new ValueError(`Value out of range. Value:"${text}" Radix:10`);
      return Number(whole(text, -128n, 127n));
    case 'int':
      return Number(whole(text, INT_MIN, INT_MAX));
    case 'long': {
      const long = whole(text, LONG_MIN, LONG_MAX);
      return Number.isSafeInteger(Number(long)) ? Number(long) : long;
    }
    case 'float':
    case 'double': {
      // Java takes a type's suffix, and surrounding space.
      const plain = text.trim().replace(/(?<=[\d.])[fFdD]$/, '');
      const number = Number(plain);
      if (plain === '') throw new ValueError('empty String');
      if (Number.isNaN(number) && plain !== 'NaN') throw invalid();
      return kind === 'float' ? Math.fround(number) : number;
    }
    case 'raw': {
      const digits = text.replace(/[^A-Za-z0-9+/]/g, '');
      if (digits.length % 4 === 1) throw new ValueError('Last unit does not have enough valid bits');
      return Buffer.from(digits, 'base64').toString('base64');
    }
  }
}

function whole(text: string, low: bigint, high: bigint): bigint {
  const invalid = () => new ValueError(`For input string: "${text}"`);
  if (!/^[+-]?\d+$/.test(text)) throw invalid();
  const value = BigInt(text.replace(/^\+/, ''));
  if (value < low || value > high) throw invalid();
  return value;
}

/** Vespa's text: no control characters but tab, newline, return; no surrogates alone, no non-characters. */
function legal(code: number): boolean {
  if (code < 0x20) return code === 9 || code === 10 || code === 13;
  if (code >= 0xd800 && code <= 0xdfff) return false;
  if (code >= 0xfdd0 && code <= 0xfdef) return false;
  return (code & 0xfffe) !== 0xfffe;
}

export function javaTypeName(type: FieldType): string {
  switch (type.kind) {
    case 'array':
      return `Array<${javaTypeName(type.element)}>`;
    case 'weightedset':
      return `WeightedSet<${javaTypeName(type.element)}>`;
    case 'map':
      return `Map<${javaTypeName(type.key)},${javaTypeName(type.value)}>`;
    case 'tensor':
      return tensorTypeText(type.tensor);
    default:
      return type.kind;
  }
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
      const number = Number(value);
      return Number.isFinite(number)
        ? javaNumber(type.kind === 'float' ? shortestFloat(number) : String(number), number)
        : `"${number}"`;
    }
    default:
      return printJson(value);
  }
}

/** Digits as Java prints a floating-point number: plain from 1E-3 to 1E7, else with an `E`. */
function javaNumber(shortest: string, number: number): string {
  if (number === 0) return Object.is(number, -0) ? '-0.0' : '0.0';
  // Java 17 prints the smallest double and float with two digits.
  if (Math.abs(number) === Number.MIN_VALUE) return `${number < 0 ? '-' : ''}4.9E-324`;
  if (Math.abs(number) === 2 ** -149) return `${number < 0 ? '-' : ''}1.4E-45`;
  const magnitude = Math.abs(number);
  const [digits = '', exponent = '0'] = Number(shortest).toExponential().split('e');
  if (magnitude >= 1e-3 && magnitude < 1e7) return shortest.includes('.') ? shortest : `${shortest}.0`;
  return `${digits.includes('.') ? digits : `${digits}.0`}E${Number(exponent)}`;
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
