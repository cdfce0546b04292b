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

/** Hex digits of a block as it is stored. */
export function blockDigits(type: TensorType): number {
  const { size, cell } = shapeOf(type);
  return size * BYTES[cell] * 2;
}

/** Any JSON form in: dense arrays, `values`, hex, mapped objects, `cells`, `blocks` by object or by address. */
export function readTensor(value: unknown, type: TensorType): TensorHex {
  const shape = shapeOf(type);
  const text = tensorTypeText(type);
  if (typeof value === 'string') {
    if (value === '' || shape.mapped.length > 0)
      throw new TensorError(`Bad string input for tensor with type ${text}`);
    return { '': cellsHex(value, shape, text) };
  }
  if (value === null || typeof value !== 'object') throw new TensorError('Expected a tensor object');
  if (Array.isArray(value)) {
    if (shape.mapped.length === 0 && !isAddressed(value)) return { '': cellsHex(value, shape, text) };
    return readEntries(value, shape, text, false);
  }
  const object = value as Record<string, unknown>;
  if ('values' in object && shape.mapped.length === 0) return { '': cellsHex(object['values'], shape, text) };
  if (
    object['blocks'] !== null &&
    typeof object['blocks'] === 'object' &&
    (shape.mapped.length === 0 || shape.indexed.length === 0)
  ) {
    throw new TensorError(
      "The 'blocks' field can only be used with mixed tensors with bound dimensions. Use 'cells' or 'values' instead",
    );
  }
  const inner = object['blocks'] ?? object['cells'];
  if (inner !== undefined && inner !== null && typeof inner === 'object') {
    return Array.isArray(inner)
      ? readEntries(inner, shape, text, object['blocks'] !== undefined)
      : readObject(inner as Record<string, unknown>, shape, text);
  }
  return readObject(
    Object.fromEntries(Object.entries(object).filter(([key]) => key !== 'type')),
    shape,
    text,
  );
}

function isAddressed(list: readonly unknown[]): boolean {
  const [first] = list;
  return first !== null && typeof first === 'object' && !Array.isArray(first) && 'address' in first;
}

function readObject(object: Record<string, unknown>, shape: Shape, text: string): TensorHex {
  const labels = Object.entries(object);
  if (shape.mapped.length === 0 && shape.indexed.length === 1) {
    // Cells of a dense vector by their index; those that are not named are 0.
    const cells = new Float64Array(shape.size);
    for (const [label, cell] of labels)
      cells[indexOf({ [shape.indexed[0]!.name]: label }, shape, text)] = number(cell);
    return { '': encode(cells, shape.cell) };
  }
  if (shape.mapped.length !== 1) {
    if (labels.length === 0)
      return shape.mapped.length === 0 ? { '': encode(new Float64Array(shape.size), shape.cell) } : {};
    throw new TensorError(
      `Expected an array of cells for a tensor with ${shape.mapped.length} mapped dimensions`,
    );
  }
  const blocks: Record<string, string> = {};
  for (const [label, cells] of labels) {
    if (shape.indexed.length === 0) {
      blocks[label] = encode([number(cells)], shape.cell);
      continue;
    }
    try {
      blocks[label] = cellsHex(cells, shape, text);
    } catch (error) {
      const { message } = error as Error;
      throw new TensorError(
        /^Expected \d+ values/.test(message) ? `At {${shape.mapped[0]}:${label}}: ${message}` : message,
      );
    }
  }
  return blocks;
}

function readEntries(list: readonly unknown[], shape: Shape, text: string, inBlocks: boolean): TensorHex {
  const blocks = new Map<string, Float64Array>();
  const whole: Record<string, string> = {};
  for (const entry of list) {
    if (entry === null || typeof entry !== 'object' || Array.isArray(entry))
      throw new TensorError('Expected start of JSON object');
    const { address, value, values } = entry as {
      address?: Record<string, string | number>;
      value?: unknown;
      values?: unknown;
    };
    if (address === undefined)
      throw new TensorError("Expected an object in a tensor 'cells' array to contain an 'address' field");
    if (value === undefined && values === undefined)
      throw new TensorError("Expected an object in a tensor 'cells' array to contain a 'value' field");
    const unknown = Object.keys(address).find(
      (d) => !shape.mapped.includes(d) && !shape.indexed.some((i) => i.name === d),
    );
    if (unknown !== undefined) throw new TensorError(`${text} does not contain dimension '${unknown}'`);
    const label = shape.mapped.map((d) => {
      if (address[d] === undefined) throw new TensorError(`Missing a label for dimension '${d}' for ${text}`);
      return String(address[d]);
    });
    const key = label.join('\0');
    if (values !== undefined) {
      const unlabelled = shape.indexed.find((d) => address[d.name] === undefined);
      if (!inBlocks && unlabelled)
        throw new TensorError(`Missing a label for dimension '${unlabelled.name}' for ${text}`);
      whole[key] = cellsHex(values, shape, text);
      continue;
    }
    let block = blocks.get(key);
    if (block === undefined) blocks.set(key, (block = new Float64Array(shape.size)));
    block[indexOf(address, shape, text)] = number(value);
  }
  for (const [key, block] of blocks) whole[key] = encode(block, shape.cell);
  return whole;
}

function indexOf(address: Readonly<Record<string, string | number>>, shape: Shape, text: string): number {
  let at = 0;
  for (const d of shape.indexed) {
    const index = Number(address[d.name]);
    if (!(Number.isInteger(index) && index >= 0 && index < d.size)) {
      throw new TensorError(
        `cell address (${shape.indexed.map((i) => address[i.name]).join(',')}) is not within the bounds of ${text}`,
      );
    }
    at = at * d.size + index;
  }
  return at;
}

/** A vector must have its type's size: a short one would be found by what it does not hold. */
function cellsHex(value: unknown, shape: Shape, text: string): string {
  if (typeof value === 'string') {
    if (value === '') throw new TensorError("The 'values' string does not contain any values");
    const digits = BYTES[shape.cell] * 2;
    if (/^[0-9a-fA-F]*$/.test(value) && value.length === shape.size * digits) return value;
    const bad = /[^0-9a-fA-F]/.exec(value);
    if (bad) throw new TensorError(`Invalid digit '${bad[0]}' at index ${bad.index} in input ${value}`);
    // Hex of another cell type, told by its length, as the real one takes it.
    const other = (['int8', 'bfloat16', 'float', 'double'] as const).find(
      (cell) => value.length === shape.size * BYTES[cell] * 2,
    );
    if (other !== undefined && BYTES[other] <= 8 && shape.cell !== 'int8')
      return encode(decode(value, other), shape.cell);
    throw new TensorError(
      `Unexpected hex length: Expected ${shape.size * digits} hex digits for ${text} but got ${value.length}`,
    );
  }
  const numbers = Array.isArray(value) ? (value as unknown[]).flat(Infinity).map(number) : [number(value)];
  if (numbers.length === 0) throw new TensorError("The 'values' array does not contain any values");
  if (numbers.length !== shape.size)
    throw new TensorError(`Expected ${shape.size} values, but got ${numbers.length}`);
  return encode(numbers, shape.cell);
}

function number(value: unknown): number {
  if (typeof value === 'number') return value;
  const text = String(value);
  const named = /^[+-]?(nan|inf|infinity)$/i.exec(text);
  if (named) return /nan/i.test(text) ? NaN : text.startsWith('-') ? -Infinity : Infinity;
  const parsed = text.trim() === '' || typeof value === 'boolean' ? NaN : Number(text);
  if (Number.isNaN(parsed)) throw new TensorError(`Expected a number but got '${text}'`);
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
  // A tensor without dimensions is written as an array of its one cell.
  if (type.dimensions.length === 0 && stored[''] !== undefined)
    return wrap('values', `[${cellText(decode(stored[''], shape.cell)[0]!, shape.cell)}]`);
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
  if (cell === 'int8') return String(x);
  if (cell !== 'bfloat16') return decimalText(x, cell);
  scratch.setFloat32(0, x);
  return (bfloat16Texts[scratch.getUint16(0)] ??= decimalText(x, cell));
}

/** There are 65,536 of them, and a document may have twice as many cells. */
const bfloat16Texts: (string | undefined)[] = Array<undefined>(1 << 16).fill(undefined);

function decimalText(x: number, cell: Cell): string {
  if (!Number.isFinite(x)) return 'null';
  const text = cell === 'float' ? shortestFloat(x) : String(x);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

const SMALLEST_NORMAL = 2 ** -126;

/** The shortest decimal that is this float again. */
export function shortestFloat(x: number): string {
  const exact = Math.fround(x);
  // Of so few digits no two decimals are the same float, so none shorter can be another; where floats are sparse they can.
  const least = Math.abs(exact) < SMALLEST_NORMAL ? 1 : 6;
  for (let digits = least; digits <= 9; digits++) {
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
