import type { Field, FieldType, Schema } from '../model.js';
import type { TensorHex } from '../tensors/codec.js';
import { decode } from '../tensors/codec.js';
import { TensorError } from '../tensors/codec.js';
import {
  type Stored,
  type StoredFields,
  PlainError,
  UncaughtError,
  ValueError,
  isUnset,
  javaTypeName,
  readAssigned,
  readValue,
} from './values.js';

type Operations = Readonly<Record<string, unknown>>;

/**
 * Applies `{"field": {"assign": …}}` and its like. Field paths are `f{key}`, `f[0]`.
 *
 * @param current undefined for a document that `create` begins
 * @throws ValueError with the server's words
 */
export function applyUpdate(
  schema: Schema,
  current: StoredFields,
  update: Readonly<Record<string, unknown>>,
): Record<string, Stored> {
  const next: Record<string, Stored> = { ...current };
  for (const [path, operations] of Object.entries(update)) {
    const [, name, rest] = /^([A-Za-z_]\w*)(.*)$/s.exec(path) ?? [];
    const field = name === undefined ? undefined : schema.fields.get(name);
    if (field === undefined)
      throw new ValueError(
        `Error in '${path}': No field named '${name ?? path}' in document type '${schema.name}'`,
      );
    if (operations === null || typeof operations !== 'object' || Array.isArray(operations))
      throw new PlainError(
        `Expected start of JSON object, got ${Array.isArray(operations) ? 'START_ARRAY' : operations === null ? 'VALUE_NULL' : typeof operations === 'string' ? 'VALUE_STRING' : 'VALUE_NUMBER_INT'}`,
      );
    for (const [operation, value] of Object.entries(operations as Operations)) {
      const changed = named(path, () =>
        rest
          ? atPath(field, next[field.name], rest, operation, value)
          : one(field, next[field.name], operation, value),
      );
      if (changed === undefined || isUnset(field.type, changed)) delete next[field.name];
      else next[field.name] = changed;
    }
  }
  return next;
}

/** Says which field a value error was in. */
function named<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const plain =
      error instanceof TensorError ||
      (error instanceof ValueError &&
        !(error instanceof PlainError) &&
        !error.message.startsWith('Error in '));
    throw plain ? new ValueError(`Error in '${path}': ${error.message}`) : error;
  }
}

function one(
  field: Field,
  current: Stored | undefined,
  operation: string,
  value: unknown,
): Stored | undefined {
  switch (operation) {
    case 'assign':
      return readAssigned(field.type, value);
    case 'increment':
    case 'decrement':
    case 'multiply':
    case 'divide':
      return arithmetic(field, current, operation, value);
    case 'add':
      return add(field.type, current, value);
    case 'remove':
      return remove(field.type, current, value);
    case 'modify':
      return modify(field, current, value);
    case 'match':
      return match(field, current, value);
    default:
      throw new ValueError(`Error in '${field.name}': Operation '${operation}' not implemented.`);
  }
}

function arithmetic(
  field: Field,
  current: Stored | undefined,
  operation: string,
  value: unknown,
): Stored | undefined {
  if (!['int', 'long', 'byte', 'float', 'double'].includes(field.type.kind))
    throw new UncaughtError(`Expected numeric type, got ${javaTypeName(field.type)}.`);
  const amount = Number(value);
  if (Number.isNaN(amount)) throw new ValueError(`For input string: "${String(value)}"`);
  if (current === undefined) return undefined;
  if (
    typeof current === 'bigint' ||
    (field.type.kind === 'long' && Number.isInteger(amount) && operation !== 'divide')
  ) {
    const [x, y] = [BigInt(current as number), BigInt(Math.trunc(amount))];
    const result =
      operation === 'increment'
        ? x + y
        : operation === 'decrement'
          ? x - y
          : operation === 'multiply'
            ? x * y
            : y === 0n
              ? x
              : x / y;
    const long = BigInt.asIntN(64, result);
    return Number.isSafeInteger(Number(long)) ? Number(long) : long;
  }
  const x = current as number;
  const result =
    operation === 'increment'
      ? x + amount
      : operation === 'decrement'
        ? x - amount
        : operation === 'multiply'
          ? x * amount
          : x / amount;
  if (field.type.kind === 'int') return result | 0;
  if (field.type.kind === 'byte') return (result << 24) >> 24;
  return field.type.kind === 'float' ? Math.fround(result) : result;
}

function add(type: FieldType, current: Stored | undefined, value: unknown): Stored {
  if (type.kind === 'map')
    throw new UncaughtError(
      'Trying to add or remove from a field of a type the reader does not know how to handle: com.yahoo.document.datatypes.MapFieldValue',
    );
  if (value === null || typeof value !== 'object')
    throw new UncaughtError(
      `Expected start of composite, got VALUE_${typeof value === 'string' ? 'STRING' : 'NUMBER_INT'}`,
    );
  const more = readValue(type, value);
  if (type.kind === 'array') return [...((current ?? []) as Stored[]), ...(more as Stored[])];
  if (type.kind === 'weightedset')
    return { ...(current as object | undefined), ...(more as Record<string, Stored>) };
  if (type.kind !== 'tensor') throw new ValueError(`Cannot add to a field of type ${type.kind}`);
  requireSparse(type, 'An add');
  if (Object.keys(more as object).length === 0)
    throw new ValueError('Add update does not contain tensor cells');
  return { ...(current as object | undefined), ...(more as Record<string, Stored>) };
}

function requireSparse(type: Extract<FieldType, { kind: 'tensor' }>, what: string): void {
  if (type.tensor.dimensions.some((d) => d.size === undefined)) return;
  throw new ValueError(
    `${what} update can only be applied to tensors with at least one sparse dimension. The field has unsupported tensor type '${javaTypeName(type)}'`,
  );
}

function remove(type: FieldType, current: Stored | undefined, value: unknown): Stored | undefined {
  if (type.kind === 'tensor') requireSparse(type, 'A remove');
  if (current === undefined) return undefined;
  if (type.kind === 'array') {
    const gone = (readValue(type, value) as Stored[]).map((item) => JSON.stringify(item));
    return (current as Stored[]).filter((item) => !gone.includes(JSON.stringify(item)));
  }
  const gone = keysToRemove(type, value);
  return Object.fromEntries(
    Object.entries(current as Record<string, Stored>).filter(([key]) => !gone.has(key)),
  );
}

function keysToRemove(type: FieldType, value: unknown): Set<string> {
  if (Array.isArray(value)) return new Set(value.map(String));
  if (type.kind === 'tensor') {
    const mapped = type.tensor.dimensions.filter((d) => d.size === undefined).map((d) => d.name);
    const addresses = (value as { addresses?: Record<string, string>[] }).addresses ?? [];
    return new Set(addresses.map((address) => mapped.map((d) => String(address[d])).join('\0')));
  }
  return new Set(Object.keys(value as object));
}

/** `{"operation": "replace|add|multiply", "cells"|"blocks": …}` on the cells of a tensor that are there. */
function modify(field: Field, current: Stored | undefined, value: unknown): Stored | undefined {
  if (field.type.kind !== 'tensor') throw new ValueError(`Error in '${field.name}': modify is for tensors`);
  if (current === undefined) return undefined;
  const { operation, ...cells } = value as {
    operation: string;
    cells?: { address: Record<string, string>; value: number }[];
  };
  const stored = { ...(current as TensorHex) };
  const { tensor } = field.type;
  const mapped = tensor.dimensions.filter((d) => d.size === undefined).map((d) => d.name);
  const indexed = tensor.dimensions.filter((d) => d.size !== undefined);
  const list = Array.isArray(cells.cells)
    ? cells.cells
    : Object.entries((cells.cells ?? {}) as Record<string, number>).map(([label, x]) => ({
        address: { [mapped[0] ?? '']: label },
        value: x,
      }));
  for (const { address, value: x } of list) {
    const key = mapped.map((d) => String(address[d])).join('\0');
    const block = stored[key];
    if (block === undefined) continue;
    const numbers = Array.from(decode(block, tensor.cell));
    const at = indexed.reduce((position, d) => position * d.size! + Number(address[d.name] ?? 0), 0);
    numbers[at] = operation === 'add' ? numbers[at]! + x : operation === 'multiply' ? numbers[at]! * x : x;
    const one = readValue(
      { kind: 'tensor', tensor: { cell: tensor.cell, dimensions: indexed } },
      indexed.length === 0 ? { values: numbers[0] } : { values: numbers },
    ) as TensorHex;
    stored[key] = one['']!;
  }
  return stored;
}

function match(field: Field, current: Stored | undefined, value: unknown): Stored | undefined {
  const { element, ...operations } = value as { element: string | number } & Operations;
  let next = current;
  const path = field.type.kind === 'array' ? `[${element}]` : `{${element}}`;
  for (const [operation, operand] of Object.entries(operations))
    next = atPath(field, next, path, operation, operand);
  return next;
}

function atPath(
  field: Field,
  current: Stored | undefined,
  path: string,
  operation: string,
  value: unknown,
): Stored | undefined {
  const index = /^\[(\d+)\]$/.exec(path)?.[1];
  const key = /^\{(.*)\}$/s.exec(path)?.[1]?.replace(/^"(.*)"$/s, '$1');
  const { type } = field;
  if (index !== undefined && type.kind === 'array') {
    const list = [...((current ?? []) as Stored[])];
    // An index beyond the end is ignored, as the real one does without a word.
    if (Number(index) >= list.length) return current;
    const changed = one({ ...field, type: type.element }, list[Number(index)], operation, value);
    if (changed !== undefined) list[Number(index)] = changed;
    else list.splice(Number(index), 1);
    return list;
  }
  if (key !== undefined && (type.kind === 'map' || type.kind === 'weightedset')) {
    const map = { ...(current as Record<string, Stored> | undefined) };
    const element: FieldType = type.kind === 'map' ? type.value : { kind: 'int' };
    const changed =
      operation === 'remove'
        ? undefined
        : one(
            { ...field, type: element },
            map[key] ?? (operation === 'assign' ? undefined : 0),
            operation,
            value,
          );
    if (changed === undefined) delete map[key];
    else map[key] = changed;
    return map;
  }
  throw new ValueError(`Error in '${field.name}${path}': Invalid field path`);
}
