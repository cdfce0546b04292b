import type { TensorType } from '../../model.js';

/** A type that cannot be, or operands that do not fit; the message is Vespa's. */
export class TypeError extends Error {}

export const DOUBLE: TensorType = { cell: 'double', dimensions: [] };

type Cell = TensorType['cell'];
type Dimension = TensorType['dimensions'][number];
const CELLS: readonly Cell[] = ['int8', 'bfloat16', 'float', 'double'];

export function isScalar(type: TensorType): boolean {
  return type.dimensions.length === 0;
}

/** `tensor<float>(patch{},v[128])`; a number is `tensor()`. */
export function printType({ cell, dimensions }: TensorType): string {
  const names = dimensions.map((d) => (d.size === undefined ? `${d.name}{}` : `${d.name}[${d.size}]`));
  return `tensor${cell === 'double' ? '' : `<${cell}>`}(${names.join(',')})`;
}

/** @throws TypeError with Vespa's words for what is wrong */
export function parseTensorType(text: string): TensorType {
  const spec = text.replace(/\s+/g, '');
  const wrong = (what: string) =>
    new TypeError(
      `A tensor type spec must be on the form tensor[<valuetype>]?(dimensionidentifier[{}|[length]*), but was '${spec}'. ${what}. Examples: tensor(x[3]), tensor<float>(name{}, x[10])`,
    );
  const match = /^tensor(?:<([^>]*)>)?\((.*)\)$/.exec(spec);
  if (match === null) throw wrong('It is not on that form');
  const cell = (match[1] ?? 'double') as Cell;
  if (!CELLS.includes(cell))
    throw wrong(`Value type must be either 'double', 'float', 'bfloat16', or 'int8' but was '${cell}'`);
  const dimensions: Dimension[] = [];
  for (const part of match[2] === '' ? [] : match[2]!.split(',')) {
    const dimension = /^([A-Za-z_]\w*)(\{\}|\[(\d*)\])$/.exec(part);
    if (dimension === null) throw wrong(`Dimension '${part}' is on the wrong format`);
    const [, name, shape, size] = dimension;
    if (shape === '[0]') throw new TypeError(`Size of bound dimension '${name}' must be at least 1`);
    if (dimensions.some((d) => d.name === name))
      throw new TypeError(`Could not add dimension ${part} as this dimension is already present`);
    // `x[]`, of no given size, is legal in types and in nothing that is stored: the caller refuses it there.
    dimensions.push(shape === '{}' ? { name: name! } : { name: name!, size: Number(size) });
  }
  return sorted(cell, dimensions);
}

/** Dimensions of both, as `join` makes them. @throws TypeError when they share one with unequal sizes */
export function joinTypes(a: TensorType, b: TensorType): TensorType {
  const dimensions = [...a.dimensions];
  for (const d of b.dimensions) {
    const same = dimensions.find(({ name }) => name === d.name);
    if (same === undefined) dimensions.push(d);
    else if (same.size !== d.size) {
      const [x, y] = [printType(a), printType(b)];
      throw new TypeError(`Can not join ${x} and ${y}: Unequal dimension ${d.name} in ${x} and ${y}`);
    }
  }
  return sorted(commonCell(a, b), dimensions);
}

export function reduceType(type: TensorType, gone: readonly string[]): TensorType {
  if (gone.length === 0) return DOUBLE;
  const dimensions = type.dimensions.filter(({ name }) => !gone.includes(name));
  return dimensions.length === 0 ? DOUBLE : { cell: type.cell, dimensions };
}

/** @throws TypeError */
export function renameType(type: TensorType, from: readonly string[], to: readonly string[]): TensorType {
  const dimensions = type.dimensions.map((d) => {
    const at = from.indexOf(d.name);
    return at < 0 ? d : { ...d, name: to[at]! };
  });
  if (new Set(dimensions.map(({ name }) => name)).size < dimensions.length)
    throw new TypeError('Bad rename, lost some dimensions');
  return sorted(type.cell, dimensions);
}

/** @throws TypeError */
export function concatType(a: TensorType, b: TensorType, dimension: string): TensorType {
  const sizeIn = (type: TensorType, side: string) => {
    const found = type.dimensions.find(({ name }) => name === dimension);
    if (found && found.size === undefined)
      throw new TypeError(`Bad concat dimension ${dimension} in ${side}: ${printType(type)}`);
    return found?.size ?? 1;
  };
  const size = sizeIn(a, 'lhs') + sizeIn(b, 'rhs');
  const without = (type: TensorType) => ({
    ...type,
    dimensions: type.dimensions.filter(({ name }) => name !== dimension),
  });
  const rest = joinTypes(without(a), without(b));
  return sorted(commonCell(a, b), [...rest.dimensions, { name: dimension, size }]);
}

/** @throws TypeError */
export function mergeTypes(a: TensorType, b: TensorType): TensorType {
  const shape = (type: TensorType) => printType({ ...type, cell: 'double' });
  if (shape(a) !== shape(b))
    throw new TypeError(`Types in merge() dimensions mismatch: ${printType(a)} != ${printType(b)}`);
  return { cell: commonCell(a, b), dimensions: a.dimensions };
}

/** The wider cell type; a number's counts for nothing next to a tensor's. */
function commonCell(a: TensorType, b: TensorType): Cell {
  if (isScalar(a)) return b.cell;
  if (isScalar(b)) return a.cell;
  return CELLS[Math.max(CELLS.indexOf(a.cell), CELLS.indexOf(b.cell))]!;
}

function sorted(cell: Cell, dimensions: readonly Dimension[]): TensorType {
  return { cell, dimensions: dimensions.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}
