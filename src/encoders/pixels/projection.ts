import { CENTRE } from './centre.js';
import { FEATURES, GROUPS, type Group } from './features.js';
import { hash, normal } from './random.js';

/**
 * How much each group counts in a comparison. What has a name in a query (colour, texture, motion) counts most; the
 * place only decides between likes, and the scene lends a patch its surroundings.
 */
const WEIGHTS: Readonly<Record<Group, number>> = {
  colour: 1,
  lab: 0.5,
  spread: 0.2,
  edges: 0.35,
  texture: 0.5,
  place: 0.12,
  motion: 0.6,
  sceneColour: 0.45,
  scene: 0.35,
};

const WEIGHT = Float64Array.from(
  Object.entries(GROUPS).flatMap(([group, width]) => Array<number>(width).fill(WEIGHTS[group as Group])),
);

/** Chosen once; another seed is another space, and another encoder id. */
const SEED = 0x636f676e;

/**
 * Raw features as a vector of the search space: centred on what is usual in video (what is unknown counts as usual),
 * weighted, of length one, turned by a fixed random rotation. The rotation keeps every dot product when there is room
 * (`dimensions >= FEATURES`), and makes each coordinate's sign worth one bit of the angle, which is what the binarized
 * form compares.
 */
export function project(features: Float32Array, dimensions: number): Float32Array {
  const vector = new Float64Array(FEATURES);
  let square = 0;
  for (let k = 0; k < FEATURES; k++) {
    const raw = features[k]!;
    const value = Number.isNaN(raw) ? 0 : (raw - CENTRE[k]!) * WEIGHT[k]!;
    vector[k] = value;
    square += value * value;
  }
  const scale = square > 0 ? 1 / Math.sqrt(square) : 0;
  const columns = rotation(dimensions);
  const row = new Float64Array(dimensions);
  for (let k = 0; k < FEATURES; k++) {
    const value = vector[k]! * scale;
    if (value === 0) continue;
    const column = columns[k]!;
    for (let d = 0; d < dimensions; d++) row[d]! += value * column[d]!;
  }
  return Float32Array.from(row);
}

/** A direction of its own for a word that says nothing about looks: far from every other, and of little weight. */
export function wordDirection(word: string, dimensions: number, weight: number): Float32Array {
  const next = normal(SEED ^ hash(word));
  return scaled(Float64Array.from({ length: dimensions }, next), weight);
}

const rotations = new Map<number, Float64Array[]>();

/**
 * One column of `dimensions` numbers for each feature: orthonormal when `dimensions >= FEATURES`, else random ones of
 * length one, which keep dot products on average.
 */
function rotation(dimensions: number): Float64Array[] {
  const known = rotations.get(dimensions);
  if (known) return known;
  const next = normal(SEED);
  const columns: Float64Array[] = [];
  for (let k = 0; k < FEATURES; k++) {
    let column: Float64Array = Float64Array.from({ length: dimensions }, next);
    if (dimensions >= FEATURES) {
      // Twice, as rounding leaves a rest after the first time.
      for (const other of [...columns, ...columns]) {
        const along = dot(column, other);
        column = column.map((value, d) => value - along * other[d]!);
      }
    }
    columns.push(Float64Array.from(scaled(column, 1)));
  }
  rotations.set(dimensions, columns);
  return columns;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let d = 0; d < a.length; d++) sum += a[d]! * b[d]!;
  return sum;
}

function scaled(vector: Float64Array, length: number): Float32Array {
  const scale = length / Math.sqrt(dot(vector, vector));
  return Float32Array.from(vector, (value) => value * scale);
}
