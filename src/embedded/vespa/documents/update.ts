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
        `Error in '${path}': ${rest ? `Field '${name ?? path}' not found` : `No field named '${name ?? path}'`} in document type '${schema.name}'`,
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
      return add(field, current, value);
    case 'remove':
      return remove(field, current, value);
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
  const { kind } = field.type;
  if (!['int', 'long', 'byte', 'float', 'double'].includes(kind))
    throw new UncaughtError(`Expected numeric type, got ${javaTypeName(field.type)}.`);
  const amount = Number(value);
  if (Number.isNaN(amount)) throw new ValueError(`For input string: "${String(value)}"`);
  const before = current ?? 0;
  if (typeof before === 'bigint' || (kind === 'long' && Number.isInteger(amount) && operation !== 'divide')) {
    const [x, y] = [BigInt(before as number), BigInt(Math.trunc(amount))];
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
  const x = before as number;
  const result =
    operation === 'increment'
      ? x + amount
      : operation === 'decrement'
        ? x - amount
        : operation === 'multiply'
          ? x * amount
          : x / amount;
  // Java's cast from double: to the nearest bound, NaN to 0.
  if (kind === 'int')
    return Number.isNaN(result) ? 0 : Math.trunc(Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), result)));
  if (kind === 'byte') return (result << 24) >> 24;
  return kind === 'float' ? Math.fround(result) : result;
}

function add(field: Field, current: Stored | undefined, value: unknown): Stored {
  const { type } = field;
  if (type.kind === 'map') {
    throw new UncaughtError(
      'Trying to add or remove from a field of a type the reader does not know how to handle: com.yahoo.document.datatypes.MapFieldValue',
    );
  }
  if (value === null || typeof value !== 'object') {
    throw new UncaughtError(
      `Expected start of composite, got VALUE_${typeof value === 'string' ? 'STRING' : 'NUMBER_INT'}`,
    );
  }
  if (type.kind === 'weightedset' && Array.isArray(value))
    throw new ValueError(`For input string: "${String(value[0])}"`);
  const more = readValue(type, value);
  if (type.kind === 'array') return [...((current ?? []) as Stored[]), ...(more as Stored[])];
  if (type.kind === 'weightedset')
    return { ...(current as object | undefined), ...(more as Record<string, Stored>) };
  if (type.kind !== 'tensor') throw new ValueError(`Cannot add to a field of type ${type.kind}`);
  requireSparse(field, type, 'An add');
  if (Object.keys(more as object).length === 0)
    throw new ValueError(`Add update for field '${field.name}' does not contain tensor cells`);
  return { ...(current as object | undefined), ...(more as Record<string, Stored>) };
}

type TensorFieldType = Extract<FieldType, { kind: 'tensor' }>;

function requireSparse(field: Field, type: TensorFieldType, what: string): void {
  if (type.tensor.dimensions.some((d) => d.size === undefined)) return;
  throw new ValueError(
    `${what} update can only be applied to tensors with at least one sparse dimension. Field '${field.name}' has unsupported tensor type '${javaTypeName(type)}'`,
  );
}

function remove(field: Field, current: Stored | undefined, value: unknown): Stored | undefined {
  const { type } = field;
  const gone = type.kind === 'tensor' ? addressKeys(field, type, value) : keysOf(value);
  if (current === undefined) return undefined;
  if (type.kind === 'array') {
    const items = (readValue(type, value) as Stored[]).map((item) => JSON.stringify(item));
    return (current as Stored[]).filter((item) => !items.includes(JSON.stringify(item)));
  }
  return Object.fromEntries(Object.entries(current as Record<string, Stored>).filter(([key]) => !gone(key)));
}

function keysOf(value: unknown): (key: string) => boolean {
  const keys = new Set(Array.isArray(value) ? value.map(String) : Object.keys(value ?? {}));
  return (key) => keys.has(key);
}

/** Each address names all mapped dimensions of the cell or block that goes. */
function addressKeys(field: Field, type: TensorFieldType, value: unknown): (key: string) => boolean {
  requireSparse(field, type, 'A remove');
  const mapped = type.tensor.dimensions.filter((d) => d.size === undefined).map((d) => d.name);
  const addresses = (value as { addresses?: Record<string, string>[] }).addresses ?? [];
  if (addresses.length === 0)
    throw new ValueError(`Remove update for field '${field.name}' does not contain tensor addresses`);
  for (const name of addresses.flatMap((address) => Object.keys(address))) {
    const dimension = type.tensor.dimensions.find((d) => d.name === name);
    if (dimension === undefined)
      throw new ValueError(`${javaTypeName(type)} does not contain dimension '${name}'`);
    if (dimension.size !== undefined)
      throw new ValueError(`Indexed dimension address '${name}' should not be specified in remove update`);
  }
  const keys = new Set(addresses.map((address) => mapped.map((d) => String(address[d])).join('\0')));
  return (key) => keys.has(key);
}

const MODIFY: Readonly<
  Record<string, { readonly apply: (x: number, y: number) => number; readonly missing: number }>
> = {
  replace: { apply: (_, y) => y, missing: 0 },
  add: { apply: (x, y) => x + y, missing: 0 },
  multiply: { apply: (x, y) => x * y, missing: 1 },
};

/** `{"operation": "replace|add|multiply", "create"?, "cells"|"blocks": …}` on cells that are there, or are made by `create`. */
function modify(field: Field, current: Stored | undefined, value: unknown): Stored | undefined {
  const { type } = field;
  if (type.kind !== 'tensor') {
    throw new ValueError(
      `A modify update can only be applied to tensor fields. Field '${field.name}' is of type '${javaTypeName(type)}'`,
    );
  }
  const { operation, create, cells, blocks } = value as {
    operation?: string;
    create?: unknown;
    cells?: unknown;
    blocks?: unknown;
  };
  const where = `field '${field.name}'`;
  if (operation === undefined)
    throw new ValueError(`Modify update for ${where} does not contain an operation`);
  const how = MODIFY[operation];
  if (how === undefined)
    throw new ValueError(`Unknown operation '${operation}' in modify update for ${where}`);
  if (create !== undefined && typeof create !== 'boolean')
    throw new ValueError(`Unknown value '${String(create)}' for 'create' in modify update for ${where}`);
  const changes = modifiedCells(type, cells ?? blocks);
  if (changes.length === 0) throw new ValueError(`Modify update for ${where} does not contain tensor cells`);
  if (current === undefined) return undefined;
  const { tensor } = type;
  const size = tensor.dimensions.reduce((product, d) => product * (d.size ?? 1), 1);
  const made = new Map<string, number[]>();
  const stored = current as TensorHex;
  for (const { key, at, operand } of changes) {
    let block = made.get(key);
    if (block === undefined) {
      const there = stored[key];
      if (there === undefined && create !== true) continue;
      block =
        there === undefined ? Array<number>(size).fill(how.missing) : Array.from(decode(there, tensor.cell));
      // A block that is made holds the operation's neutral value only where it is told to.
      if (there === undefined && size > 1) block.fill(0);
      made.set(key, block);
    }
    block[at] = how.apply(block[at]!, operand);
  }
  const dense = { cell: tensor.cell, dimensions: tensor.dimensions.filter((d) => d.size !== undefined) };
  const next: Record<string, string> = { ...stored };
  for (const [key, block] of made)
    next[key] = (readValue({ kind: 'tensor', tensor: dense }, { values: block }) as TensorHex)['']!;
  return next;
}

interface ModifiedCell {
  readonly key: string;
  readonly at: number;
  readonly operand: number;
}

function modifiedCells(type: TensorFieldType, given: unknown): ModifiedCell[] {
  const mapped = type.tensor.dimensions.filter((d) => d.size === undefined).map((d) => d.name);
  const indexed = type.tensor.dimensions.filter((d) => d.size !== undefined);
  if (Array.isArray(given)) {
    return (given as { address: Record<string, string>; value: unknown }[]).map(({ address, value }) => {
      const at = indexed.reduce((position, d) => {
        const index = Number(address[d.name]);
        if (!(index >= 0 && index < d.size!))
          throw new ValueError(
            `Dimension '${d.name}' has label '${address[d.name]}' but type is ${javaTypeName(type)}`,
          );
        return position * d.size! + index;
      }, 0);
      return { key: mapped.map((d) => String(address[d])).join('\0'), at, operand: Number(value) };
    });
  }
  return Object.entries((given ?? {}) as Record<string, unknown>).flatMap(([label, value]) => {
    // Of a dense vector the label is an index; of a mixed tensor the value is a whole block.
    if (mapped.length === 0) return [{ key: '', at: Number(label), operand: Number(value) }];
    if (!Array.isArray(value)) return [{ key: label, at: 0, operand: Number(value) }];
    return value.map((operand, at) => ({ key: label, at, operand: Number(operand) }));
  });
}

function match(field: Field, current: Stored | undefined, value: unknown): Stored | undefined {
  const { element, ...operations } = value as { element: string | number } & Operations;
  if (field.type.kind !== 'array' && field.type.kind !== 'weightedset')
    throw new UncaughtError(`Field type ${javaTypeName(field.type)} not supported.`);
  if (field.type.kind === 'array') {
    const { length } = (current ?? []) as readonly Stored[];
    if (Number(element) >= length && current !== undefined)
      throw new UncaughtError(`Index ${element} out of bounds for length ${length}`);
  } else if (current === undefined || !Object.hasOwn(current as object, String(element))) {
    // What is not in the set is not put into it by a change of its weight.
    return current;
  }
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
  const index = /^\[(.*)\]$/s.exec(path)?.[1];
  const key = /^\{(.*)\}$/s.exec(path)?.[1]?.replace(/^"(.*)"$/s, '$1');
  const { type } = field;
  if (index !== undefined && type.kind === 'array') {
    if (!/^\d+$/.test(index)) throw new ValueError(`For input string: "${index}"`);
    const list = [...((current ?? []) as Stored[])];
    // An index beyond the end is ignored, as the real one does without a word.
    if (Number(index) >= list.length) return current;
    const changed =
      operation === 'remove'
        ? undefined
        : one({ ...field, type: type.element }, list[Number(index)], operation, value);
    if (changed !== undefined) list[Number(index)] = changed;
    else list.splice(Number(index), 1);
    return list;
  }
  if (key !== undefined && (type.kind === 'map' || type.kind === 'weightedset')) {
    const map = { ...(current as Record<string, Stored> | undefined) };
    const element: FieldType = type.kind === 'map' ? type.value : { kind: 'int' };
    const changed =
      operation === 'remove' ? undefined : one({ ...field, type: element }, map[key], operation, value);
    if (changed === undefined) delete map[key];
    else map[key] = changed;
    return map;
  }
  throw new ValueError(`Error in '${field.name}${path}': Invalid field path`);
}
