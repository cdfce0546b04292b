import type { TensorType } from '../model.js';
import { type Tensor, type Value, split } from './tensor.js';

/** A query input that does not fit its declared type. */
export class InputError extends Error {}

/** Reads `input.query(x)` in any of its forms: numbers, objects by label, blocks, hex, or a tensor literal as text. */
export function readInput(name: string, type: TensorType, given: unknown): Value {
  const value = typeof given === 'string' && !/^[0-9a-fA-F]+$/.test(given) ? parseText(name, given) : given;
  if (type.dimensions.length === 0) {
    const number = Number(value);
    if (Number.isNaN(number))
      throw new InputError(`Could not set '${name}' to '${String(given)}': it is no number`);
    return number;
  }
  const { mapped, indexed } = split(type);
  const size = indexed.reduce((product, d) => product * d.size, 1);
  const cells = (x: unknown) => readCells(name, type, x, size);
  if (mapped.length === 0) return { mapped, indexed, blocks: new Map([['', cells(unwrap(value))]]) };
  const blocks = new Map<string, Float64Array>();
  for (const [key, x] of entries(name, unwrap(value), mapped)) blocks.set(key, cells(x));
  const tensor: Tensor = { mapped, indexed, blocks };
  return tensor;
}

function unwrap(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  const object = value as Record<string, unknown>;
  for (const key of ['values', 'cells', 'blocks']) {
    const inner = object[key];
    if (inner !== undefined && typeof inner === 'object') return inner;
  }
  return value;
}

function* entries(name: string, value: unknown, mapped: readonly string[]): Generator<[string, unknown]> {
  if (Array.isArray(value)) {
    for (const entry of value as { address: Record<string, string>; value?: unknown; values?: unknown }[]) {
      yield [mapped.map((d) => String(entry.address[d])).join('\0'), entry.values ?? entry.value];
    }
    return;
  }
  if (value === null || typeof value !== 'object')
    throw new InputError(`Could not set '${name}': expected an object by label`);
  yield* Object.entries(value);
}

function readCells(name: string, type: TensorType, value: unknown, size: number): Float64Array {
  let numbers: number[];
  if (typeof value === 'string') numbers = readHex(value, type.cell);
  else if (Array.isArray(value)) numbers = (value as unknown[]).flat(Infinity).map(Number);
  else numbers = [Number(value)];
  if (numbers.length !== size || numbers.some(Number.isNaN)) {
    throw new InputError(`Could not set '${name}': expected ${size} values, but got ${numbers.length}`);
  }
  return Float64Array.from(numbers);
}

function readHex(hex: string, cell: TensorType['cell']): number[] {
  const width = { int8: 1, bfloat16: 2, float: 4, double: 8 }[cell];
  const bytes = Buffer.from(hex, 'hex');
  return Array.from({ length: bytes.length / width }, (_, i) => {
    const at = i * width;
    if (cell === 'int8') return bytes.readInt8(at);
    if (cell === 'float') return bytes.readFloatBE(at);
    if (cell === 'double') return bytes.readDoubleBE(at);
    return Buffer.from([bytes[at]!, bytes[at + 1]!, 0, 0]).readFloatBE(0);
  });
}

/** `[1,2]`, `{a:0.5}`, or the literal `{{x:0,y:1}:1.0}`. */
function parseText(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const cells = [...text.matchAll(/\{([^{}]*)\}\s*:\s*(-?[\d.eE+-]+)/g)];
    if (cells.length > 0) {
      return {
        cells: cells.map((m) => ({
          address: Object.fromEntries(
            m[1]!.split(',').map((pair) => pair.split(':').map((p) => p.trim())),
          ) as Record<string, string>,
          value: Number(m[2]),
        })),
      };
    }
    const pairs = [...text.matchAll(/([\w"']+)\s*:\s*(\[[^\]]*\]|-?[\d.eE+-]+)/g)];
    if (pairs.length === 0)
      throw new InputError(`Expected '${name}' to be a tensor, but it is the string '${text}'`);
    return Object.fromEntries(pairs.map((m) => [m[1]!.replace(/["']/g, ''), JSON.parse(m[2]!) as unknown]));
  }
}
