import type { TensorType } from '../model.js';
import type { TensorValue } from '../store.js';

/** A tensor during ranking: `blocks` by the labels of the mapped dimensions (in `mapped`'s order, joined with `\0`). */
export interface Tensor {
  readonly mapped: readonly string[];
  readonly indexed: readonly { readonly name: string; readonly size: number }[];
  readonly blocks: ReadonlyMap<string, Float64Array | Float32Array | Int8Array>;
}

export type Value = number | Tensor;

export function fromStored(value: TensorValue, type: TensorType): Tensor {
  const { mapped, indexed } = split(type);
  return { mapped, indexed, blocks: value.blocks };
}

export function split(type: TensorType): { mapped: string[]; indexed: { name: string; size: number }[] } {
  return {
    mapped: type.dimensions.filter((d) => d.size === undefined).map((d) => d.name),
    indexed: type.dimensions
      .filter((d) => d.size !== undefined)
      .map((d) => ({ name: d.name, size: d.size! })),
  };
}

export function asTensor(value: Value): Tensor {
  return typeof value === 'number'
    ? { mapped: [], indexed: [], blocks: new Map([['', Float64Array.of(value)]]) }
    : value;
}

export function asNumber(value: Value): number {
  if (typeof value === 'number') return value;
  let sum = 0;
  for (const block of value.blocks.values()) for (const cell of block) sum += cell;
  return sum;
}

export function mapCells(value: Value, f: (x: number) => number): Value {
  if (typeof value === 'number') return f(value);
  const blocks = new Map(
    [...value.blocks].map(([key, cells]) => [key, Float64Array.from(cells as Float64Array, f)]),
  );
  return { ...value, blocks };
}

/** Every pair of cells that agree in the dimensions both have, as Vespa's `join`. */
export function join(left: Value, right: Value, f: (a: number, b: number) => number): Value {
  if (typeof left === 'number' && typeof right === 'number') return f(left, right);
  const [a, b] = [asTensor(left), asTensor(right)];
  const mapped = [...new Set([...a.mapped, ...b.mapped])].toSorted();
  const indexed = [...new Map([...a.indexed, ...b.indexed].map((d) => [d.name, d])).values()].toSorted(
    (x, y) => (x.name < y.name ? -1 : 1),
  );
  const size = indexed.reduce((product, d) => product * d.size, 1);
  const [atA, atB] = [positions(indexed, a.indexed, size), positions(indexed, b.indexed, size)];
  const blocks = new Map<string, Float64Array>();
  for (const [key, x, y] of pairs(a, b, mapped)) {
    const cells = new Float64Array(size);
    for (let i = 0; i < size; i++)
      cells[i] = f(x[atA === undefined ? i : atA[i]!]!, y[atB === undefined ? i : atB[i]!]!);
    blocks.set(key, cells);
  }
  return { mapped, indexed, blocks };
}

type Cells = Float64Array | Float32Array | Int8Array;

function* pairs(a: Tensor, b: Tensor, mapped: readonly string[]): Generator<[string, Cells, Cells]> {
  const shared = a.mapped.filter((d) => b.mapped.includes(d));
  const labelsOf = (tensor: Tensor, key: string) => (tensor.mapped.length === 0 ? [] : key.split('\0'));
  for (const [keyA, x] of a.blocks) {
    const labelsA = labelsOf(a, keyA);
    for (const [keyB, y] of b.blocks) {
      const labelsB = labelsOf(b, keyB);
      if (shared.some((d) => labelsA[a.mapped.indexOf(d)] !== labelsB[b.mapped.indexOf(d)])) continue;
      const key = mapped
        .map((d) => (a.mapped.includes(d) ? labelsA[a.mapped.indexOf(d)] : labelsB[b.mapped.indexOf(d)]))
        .join('\0');
      yield [key, x, y];
    }
  }
}

/** For each cell of the joined block, where the operand's cell is; undefined when they are the same. */
function positions(joined: Tensor['indexed'], own: Tensor['indexed'], size: number): Int32Array | undefined {
  if (joined.length === own.length) return undefined;
  const at = new Int32Array(size);
  for (let i = 0; i < size; i++) {
    let rest = i;
    let position = 0;
    const index = new Map<string, number>();
    for (const d of joined.toReversed()) {
      index.set(d.name, rest % d.size);
      rest = Math.floor(rest / d.size);
    }
    for (const d of own) position = position * d.size + index.get(d.name)!;
    at[i] = position;
  }
  return at;
}

export type Aggregator = 'sum' | 'max' | 'min' | 'avg' | 'count' | 'prod';

const START: Readonly<Record<Aggregator, number>> = {
  sum: 0,
  avg: 0,
  count: 0,
  prod: 1,
  max: -Infinity,
  min: Infinity,
};

function step(aggregator: Aggregator, total: number, cell: number): number {
  switch (aggregator) {
    case 'sum':
    case 'avg':
      return total + cell;
    case 'count':
      return total + 1;
    case 'prod':
      return total * cell;
    case 'max':
      return cell > total ? cell : total;
    case 'min':
      return cell < total ? cell : total;
  }
}

/** Takes dimensions away, all when none is named. */
export function reduce(value: Value, aggregator: Aggregator, dimensions: readonly string[]): Value {
  const tensor = asTensor(value);
  const gone = (name: string) => dimensions.length === 0 || dimensions.includes(name);
  const mapped = tensor.mapped.filter((d) => !gone(d));
  const indexed = tensor.indexed.filter((d) => !gone(d.name));
  const size = indexed.reduce((product, d) => product * d.size, 1);
  const full = tensor.indexed.reduce((product, d) => product * d.size, 1);
  // Where each cell goes: the inverse of the join's positions.
  const to = size === full ? undefined : size === 1 ? 'one' : positions(tensor.indexed, indexed, full);
  const blocks = new Map<string, Float64Array>();
  const counts = new Map<string, Float64Array>();
  for (const [key, cells] of tensor.blocks) {
    const labels = tensor.mapped.length === 0 ? [] : key.split('\0');
    const out =
      mapped.length === tensor.mapped.length
        ? key
        : mapped.map((d) => labels[tensor.mapped.indexOf(d)]).join('\0');
    let totals = blocks.get(out);
    if (totals === undefined) {
      blocks.set(out, (totals = new Float64Array(size).fill(START[aggregator])));
      counts.set(out, new Float64Array(size));
    }
    const count = counts.get(out)!;
    for (let i = 0; i < cells.length; i++) {
      const at = to === undefined ? i : to === 'one' ? 0 : to[i]!;
      totals[at] = step(aggregator, totals[at]!, cells[i]!);
      count[at]!++;
    }
  }
  if (aggregator === 'avg')
    for (const [key, totals] of blocks)
      for (let i = 0; i < totals.length; i++) totals[i]! /= counts.get(key)![i]!;
  if (mapped.length === 0 && indexed.length === 0)
    return blocks.get('')?.[0] ?? (aggregator === 'max' || aggregator === 'min' ? 0 : START[aggregator]);
  return { mapped, indexed, blocks };
}

/**
 * `sum(a op b, d)` where `d` is the one indexed dimension of both: the inner loop of MaxSim, without making the joined
 * tensor. Undefined when the shapes are others: then the general way.
 */
export function fusedSum(
  left: Value,
  right: Value,
  op: 'multiply' | 'hamming',
  dimension: string,
): Value | undefined {
  if (typeof left === 'number' || typeof right === 'number') return undefined;
  const only = (tensor: Tensor) => tensor.indexed.length === 1 && tensor.indexed[0]!.name === dimension;
  if (!only(left) || !only(right)) return undefined;
  const mapped = [...new Set([...left.mapped, ...right.mapped])].toSorted();
  const blocks = new Map<string, Float64Array>();
  for (const [key, x, y] of pairs(left, right, mapped))
    blocks.set(key, Float64Array.of(op === 'multiply' ? dot(x, y) : hammingSum(x, y)));
  return { mapped, indexed: [], blocks };
}

function dot(x: Cells, y: Cells): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}

function hammingSum(x: Cells, y: Cells): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += hamming(x[i]!, y[i]!);
  return sum;
}

/** Bits that differ in two int8 cells. */
export function hamming(a: number, b: number): number {
  let bits = (a ^ b) & 0xff;
  let count = 0;
  for (; bits !== 0; bits &= bits - 1) count++;
  return count;
}

/** Each int8 cell of the last dimension becomes eight cells of 0 or 1, most significant first. */
export function unpackBits(value: Value): Value {
  const tensor = asTensor(value);
  const indexed = tensor.indexed.map((d, i) =>
    i === tensor.indexed.length - 1 ? { ...d, size: d.size * 8 } : d,
  );
  const blocks = new Map<string, Float64Array>();
  for (const [key, cells] of tensor.blocks) {
    const bits = new Float64Array(cells.length * 8);
    for (let i = 0; i < bits.length; i++) bits[i] = (cells[i >> 3]! >> (7 - (i & 7))) & 1;
    blocks.set(key, bits);
  }
  return { mapped: tensor.mapped, indexed, blocks };
}
