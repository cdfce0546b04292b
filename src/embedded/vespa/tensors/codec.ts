import type { TensorType } from '../model.js';
import type { TensorValue } from '../store.js';

/** A tensor in JSON that does not fit its type. */
export class TensorError extends Error {}

/** A tensor as it is stored: hex of its cells (big-endian) by the labels of its mapped dimensions joined with `\0`. */
export type TensorHex = Readonly<Record<string, string>>;

type Cell = TensorType['cell'];
const BYTES: Readonly<Record<Cell, number>> = { int8: 1, bfloat16: 2, float: 4, double: 8 };

interface Shape {
  readonly mapped: readonly string[];
  readonly indexed: readonly { readonly name: string; readonly size: number }[];
  readonly size: number;
  readonly cell: Cell;
}

export function shapeOf(type: TensorType): Shape {
  const mapped = type.dimensions.filter((d) => d.size === undefined).map((d) => d.name);
  const indexed = type.dimensions
    .filter((d) => d.size !== undefined)
    .map((d) => ({ name: d.name, size: d.size! }));
  return { mapped, indexed, size: indexed.reduce((product, d) => product * d.size, 1), cell: type.cell };
}

/** Any JSON form in: dense arrays, `values`, hex, mapped objects, `cells`, `blocks` by object or by address. */
export function readTensor(value: unknown, type: TensorType): TensorHex {
  const shape = shapeOf(type);
  if (value === null || typeof value !== 'object') {
    if (typeof value === 'string' && shape.mapped.length === 0) return { '': cellsHex(value, shape) };
    throw new TensorError('Expected a tensor object');
  }
  if (Array.isArray(value)) {
    if (shape.mapped.length === 0) return { '': cellsHex(value, shape) };
    return readEntries(value, shape);
  }
  const object = value as Record<string, unknown>;
  if ('values' in object && shape.mapped.length === 0) return { '': cellsHex(object['values'], shape) };
  const inner = object['blocks'] ?? object['cells'];
  if (inner !== undefined && typeof inner === 'object') {
    if (Array.isArray(inner)) return readEntries(inner, shape);
    return readObject(inner as Record<string, unknown>, shape);
  }
  const plain = Object.entries(object).filter(([key]) => key !== 'type');
  return readObject(Object.fromEntries(plain), shape);
}

function readObject(object: Record<string, unknown>, shape: Shape): TensorHex {
  if (shape.mapped.length !== 1) {
    if (Object.keys(object).length === 0) return {};
    throw new TensorError(
      `Expected an array of cells for a tensor with ${shape.mapped.length} mapped dimensions`,
    );
  }
  const blocks: Record<string, string> = {};
  for (const [label, cells] of Object.entries(object)) {
    try {
      blocks[label] = cellsHex(cells, shape);
    } catch (error) {
      throw new TensorError(`At {${shape.mapped[0]}:${label}}: ${(error as Error).message}`);
    }
  }
  return blocks;
}

function readEntries(list: readonly unknown[], shape: Shape): TensorHex {
  const blocks = new Map<string, Float64Array>();
  const whole: Record<string, string> = {};
  for (const entry of list) {
    const { address, value, values } = entry as {
      address?: Record<string, string | number>;
      value?: number;
      values?: unknown;
    };
    if (address === undefined) throw new TensorError('Expected an address in a tensor cell');
    const label = shape.mapped.map((d) => {
      if (address[d] === undefined)
        throw new TensorError(`Missing a label for dimension '${d}' in ${JSON.stringify(address)}`);
      return String(address[d]);
    });
    const key = label.join('\0');
    if (values !== undefined) {
      whole[key] = cellsHex(values, shape);
      continue;
    }
    let block = blocks.get(key);
    if (block === undefined) blocks.set(key, (block = new Float64Array(shape.size)));
    let at = 0;
    for (const d of shape.indexed) {
      const index = Number(address[d.name]);
      if (!(index >= 0 && index < d.size))
        throw new TensorError(
          `Index ${String(address[d.name])} out of bounds for dimension '${d.name}' of size ${d.size}`,
        );
      at = at * d.size + index;
    }
    block[at] = number(value);
  }
  for (const [key, block] of blocks) whole[key] = encode(block, shape.cell);
  return whole;
}

function cellsHex(value: unknown, shape: Shape): string {
  if (typeof value === 'string') {
    const digits = BYTES[shape.cell] * 2;
    if (/^[0-9a-fA-F]*$/.test(value) && value.length === shape.size * digits) return value;
    if (/^[0-9a-fA-F]*$/.test(value) && value.length % digits === 0) {
      throw new TensorError(`Expected ${shape.size} values, but got ${value.length / digits}`);
    }
    throw new TensorError(`Bad hex string for ${shape.size} cells of type ${shape.cell}`);
  }
  const numbers = Array.isArray(value) ? (value as unknown[]).flat(Infinity).map(number) : [number(value)];
  if (numbers.length !== shape.size)
    throw new TensorError(`Expected ${shape.size} values, but got ${numbers.length}`);
  return encode(numbers, shape.cell);
}

function number(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (value === null) return NaN;
  const parsed = typeof value === 'string' ? Number(value) : NaN;
  if (Number.isNaN(parsed) && value !== 'NaN') throw new TensorError(`'${String(value)}' is not a number`);
  return parsed;
}

function encode(numbers: ArrayLike<number>, cell: Cell): string {
  const width = BYTES[cell];
  const bytes = Buffer.alloc(numbers.length * width);
  for (let i = 0; i < numbers.length; i++) {
    const x = numbers[i]!;
    if (cell === 'int8') bytes.writeInt8((Math.trunc(x) << 24) >> 24, i);
    else if (cell === 'float') bytes.writeFloatBE(x, i * 4);
    else if (cell === 'double') bytes.writeDoubleBE(x, i * 8);
    else bytes.writeUInt16BE(bfloat16(x), i * 2);
  }
  return bytes.toString('hex').toUpperCase();
}

const scratch = new DataView(new ArrayBuffer(4));

/** Truncated, as Vespa's Java side does it. */
function bfloat16(x: number): number {
  scratch.setFloat32(0, x);
  return scratch.getUint16(0);
}

/** Cells as numbers, for ranking and for the forms that are not hex. */
export function decode(hex: string, cell: Cell): Float64Array | Float32Array | Int8Array {
  const bytes = Buffer.from(hex, 'hex');
  const count = bytes.length / BYTES[cell];
  if (cell === 'int8') return new Int8Array(bytes);
  if (cell === 'double') return Float64Array.from({ length: count }, (_, i) => bytes.readDoubleBE(i * 8));
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    if (cell === 'float') out[i] = bytes.readFloatBE(i * 4);
    else {
      scratch.setUint32(0, bytes.readUInt16BE(i * 2) << 16);
      out[i] = scratch.getFloat32(0);
    }
  }
  return out;
}

export function toValue(stored: TensorHex, type: TensorType): TensorValue {
  return {
    tensor: true,
    blocks: new Map(Object.entries(stored).map(([key, hex]) => [key, decode(hex, type.cell)])),
  };
}

export const TENSOR_FORMATS = [
  'short',
  'long',
  'short-value',
  'long-value',
  'hex',
  'hex-value',
  'string',
  'string-value',
] as const;
export type TensorFormat = (typeof TENSOR_FORMATS)[number];

/** JSON text of a stored tensor. */
export function writeTensor(stored: TensorHex, type: TensorType, format: TensorFormat): string {
  const shape = shapeOf(type);
  const typed = !format.endsWith('-value');
  const hex = format.startsWith('hex');
  const wrap = (key: string, body: string) =>
    typed ? `{"type":${JSON.stringify(tensorTypeText(type))},"${key}":${body}}` : body;
  if (format.startsWith('long')) return wrap('cells', `[${longCells(stored, shape).join(',')}]`);
  const cellsText = (block: string) =>
    hex && shape.indexed.length > 0
      ? `"${block}"`
      : nested(decode(block, shape.cell), shape.indexed, shape.cell);
  if (shape.mapped.length === 0)
    return wrap('values', stored[''] === undefined ? '[]' : cellsText(stored['']));
  const one = (block: string) =>
    shape.indexed.length === 0 ? cellText(decode(block, shape.cell)[0]!, shape.cell) : cellsText(block);
  const key = shape.indexed.length === 0 ? 'cells' : 'blocks';
  if (shape.mapped.length === 1) {
    return wrap(
      key,
      `{${Object.entries(stored)
        .map(([label, block]) => `${JSON.stringify(label)}:${one(block)}`)
        .join(',')}}`,
    );
  }
  const entries = Object.entries(stored).map(([label, block]) => {
    const parts = label.split('\0');
    const address = JSON.stringify(Object.fromEntries(shape.mapped.map((d, i) => [d, parts[i]])));
    return `{"address":${address},"${shape.indexed.length === 0 ? 'value' : 'values'}":${one(block)}}`;
  });
  return wrap(key, `[${entries.join(',')}]`);
}

function longCells(stored: TensorHex, shape: Shape): string[] {
  return Object.entries(stored).flatMap(([label, block]) => {
    const parts = label.split('\0');
    return Array.from(decode(block, shape.cell), (x, i) => {
      const address: Record<string, string> = Object.fromEntries(shape.mapped.map((d, k) => [d, parts[k]!]));
      let rest = i;
      for (const d of shape.indexed.toReversed()) {
        address[d.name] = String(rest % d.size);
        rest = Math.floor(rest / d.size);
      }
      const sorted = Object.fromEntries(Object.entries(address).toSorted(([a], [b]) => (a < b ? -1 : 1)));
      return `{"address":${JSON.stringify(sorted)},"value":${cellText(x, shape.cell)}}`;
    });
  });
}

function nested(cells: ArrayLike<number>, indexed: Shape['indexed'], cell: Cell): string {
  if (indexed.length <= 1)
    return indexed.length === 0
      ? cellText(cells[0]!, cell)
      : `[${Array.from(cells, (x) => cellText(x, cell)).join(',')}]`;
  const rest = indexed.slice(1);
  const step = rest.reduce((product, d) => product * d.size, 1);
  const rows = Array.from({ length: indexed[0]!.size }, (_, i) =>
    nested(Array.prototype.slice.call(cells, i * step, (i + 1) * step) as number[], rest, cell),
  );
  return `[${rows.join(',')}]`;
}

function cellText(x: number, cell: Cell): string {
  if (!Number.isFinite(x)) return 'null';
  if (cell === 'int8') return String(x);
  const text = cell === 'float' ? shortestFloat(x) : String(x);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** The shortest decimal that is this float again. */
export function shortestFloat(x: number): string {
  const exact = Math.fround(x);
  for (let digits = 1; digits <= 9; digits++) {
    const text = exact.toPrecision(digits);
    if (Math.fround(Number(text)) === exact) return String(Number(text));
  }
  return String(exact);
}

export function tensorTypeText(type: TensorType): string {
  const dimensions = type.dimensions
    .map((d) => (d.size === undefined ? `${d.name}{}` : `${d.name}[${d.size}]`))
    .join(',');
  return `tensor${type.cell === 'double' ? '' : `<${type.cell}>`}(${dimensions})`;
}
