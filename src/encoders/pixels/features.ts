import type { RgbFrame } from '../../video/segment.js';
import { COLOURS, NAMES_PER_COLOUR, colourIndex, colourTables } from './colour.js';

/** What is measured of a patch, in this order; the order is part of the encoder's version. */
export const GROUPS = {
  /** Share of each named colour, as a square root (so that dot products compare distributions). */
  colour: COLOURS,
  /** Mean lightness, a (green to red), b (blue to yellow), roughly -1 to 1. */
  lab: 3,
  /** Spread of the same. */
  spread: 3,
  /** Share of each of eight edge directions over half a turn, by strength; zero without edges. */
  edges: 8,
  /** Mean edge strength and share of edge pixels. */
  texture: 2,
  /** Where the patch lies: across and down, -1 to 1. */
  place: 2,
  /** How much the patch changes from one picture to the next. */
  motion: 1,
  /** Named colours of the whole picture. */
  sceneColour: COLOURS,
  /** Lightness, its spread, edge strength and motion of the whole picture. */
  scene: 4,
} as const;

export type Group = keyof typeof GROUPS;

/** Where each group starts in a patch's features. */
export const OFFSETS = (() => {
  let at = 0;
  return Object.fromEntries(
    Object.entries(GROUPS).map(([group, width]) => [group, (at += width) - width]),
  ) as Record<Group, number>;
})();

export const FEATURES = Object.values(GROUPS).reduce<number>((sum, width) => sum + width, 0);

const DIRECTIONS = GROUPS.edges;
/** Brightness is 0 to 255 here; weaker differences are noise of the compression. */
const EDGE_FLOOR = 6;
const EDGE = 24;

/**
 * A segment's raw features: `grid * grid` patches, row by row from the top left, each of `FEATURES` numbers; NaN for what
 * cannot be known (motion in a single picture, edge directions where there are no edges).
 *
 * @param frames at least one, all of one size, each side at least `grid` pixels
 */
export function patchFeatures(frames: readonly RgbFrame[], grid: number): Float32Array[] {
  const first = frames[0];
  if (!first) throw new RangeError('a segment has at least one picture');
  const { width, height } = first;
  if (!Number.isInteger(grid) || grid < 1 || width < grid || height < grid) {
    throw new RangeError(`a picture of ${width} × ${height} cannot be cut into a grid of ${grid}`);
  }
  const sums = new PatchSums(width, height, grid);
  for (const frame of frames) {
    if (frame.width !== width || frame.height !== height || frame.data.length !== width * height * 3) {
      throw new RangeError('the pictures of a segment have one size, three bytes a pixel');
    }
    sums.add(frame.data);
  }
  return sums.features();
}

/** Sums over the pixels of each patch, over all pictures of a segment. */
class PatchSums {
  private readonly width: number;
  private readonly height: number;
  private readonly grid: number;
  private readonly patches: number;
  private readonly column: Uint16Array;
  private readonly row: Uint16Array;
  private readonly pixels: Float64Array;
  private readonly colours: Float64Array;
  private readonly lab: Float64Array;
  private readonly squares: Float64Array;
  private readonly directions: Float64Array;
  private readonly strength: Float64Array;
  private readonly edgePixels: Float64Array;
  private readonly change: Float64Array;
  private luma: Uint8Array;
  private previous: Uint8Array;
  private pictures = 0;

  constructor(width: number, height: number, grid: number) {
    this.width = width;
    this.height = height;
    this.grid = grid;
    this.patches = grid * grid;
    this.column = cells(width, grid);
    this.row = cells(height, grid);
    const sums = (each: number) => new Float64Array(this.patches * each);
    this.pixels = sums(1);
    this.colours = sums(COLOURS);
    this.lab = sums(3);
    this.squares = sums(3);
    this.directions = sums(DIRECTIONS);
    this.strength = sums(1);
    this.edgePixels = sums(1);
    this.change = sums(1);
    this.luma = new Uint8Array(width * height);
    this.previous = new Uint8Array(width * height);
  }

  add(data: Uint8Array): void {
    [this.luma, this.previous] = [this.previous, this.luma];
    this.addColours(data);
    this.addEdges();
    if (this.pictures++ > 0) this.addChange();
  }

  private addColours(data: Uint8Array): void {
    const { width, height, grid, column, row, luma, pixels, colours, lab, squares } = this;
    const { lab: labOf, names, shares } = colourTables();
    let at = 0;
    for (let y = 0, pixel = 0; y < height; y++) {
      const patchRow = row[y]! * grid;
      for (let x = 0; x < width; x++, pixel++, at += 3) {
        const patch = patchRow + column[x]!;
        const [r, g, b] = [data[at]!, data[at + 1]!, data[at + 2]!];
        luma[pixel] = (r * 77 + g * 150 + b * 29) >> 8;
        pixels[patch]!++;
        const colour = colourIndex(r, g, b);
        const three = colour * 3;
        const patchThree = patch * 3;
        const first = patch * COLOURS;
        for (let k = 0; k < 3; k++) {
          const value = labOf[three + k]!;
          lab[patchThree + k]! += value;
          squares[patchThree + k]! += value * value;
        }
        const named = colour * NAMES_PER_COLOUR;
        for (let k = named; k < named + NAMES_PER_COLOUR; k++) {
          colours[first + names[k]!]! += shares[k]!;
        }
      }
    }
  }

  private addEdges(): void {
    const { width, height, grid, column, row, luma, strength, edgePixels, directions } = this;
    for (let y = 1; y < height - 1; y++) {
      const patchRow = row[y]! * grid;
      for (let x = 1, pixel = y * width + 1; x < width - 1; x++, pixel++) {
        const dx = luma[pixel + 1]! - luma[pixel - 1]!;
        const dy = luma[pixel + width]! - luma[pixel - width]!;
        const edge = Math.sqrt(dx * dx + dy * dy);
        if (edge < EDGE_FLOOR) continue;
        const patch = patchRow + column[x]!;
        strength[patch]! += edge;
        if (edge >= EDGE) edgePixels[patch]!++;
        directions[patch * DIRECTIONS + directionOf(dx, dy)]! += edge;
      }
    }
  }

  private addChange(): void {
    const { width, height, grid, column, row, luma, previous, change } = this;
    for (let y = 0, pixel = 0; y < height; y++) {
      const patchRow = row[y]! * grid;
      for (let x = 0; x < width; x++, pixel++) {
        change[patchRow + column[x]!]! += Math.abs(luma[pixel]! - previous[pixel]!);
      }
    }
  }

  features(): Float32Array[] {
    const scene = this.scene();
    return Array.from({ length: this.patches }, (_, patch) => {
      const row = new Float32Array(FEATURES);
      const pixels = this.pixels[patch]!;
      const own = <T extends Float64Array>(sums: T, each: number) =>
        sums.subarray(patch * each, (patch + 1) * each);
      row.set(roots(own(this.colours, COLOURS), pixels), OFFSETS.colour);
      const means = own(this.lab, 3).map((sum) => sum / pixels);
      row.set([means[0]! / 50 - 1, means[1]! / 60, means[2]! / 60], OFFSETS.lab);
      const spread = own(this.squares, 3).map((sum, k) =>
        Math.sqrt(Math.max(0, sum / pixels - means[k]! ** 2)),
      );
      row.set([spread[0]! / 25, spread[1]! / 20, spread[2]! / 20], OFFSETS.spread);
      const strength = this.strength[patch]!;
      row.set(roots(own(this.directions, DIRECTIONS), strength), OFFSETS.edges);
      row.set([edginess(strength / pixels), this.edgePixels[patch]! / pixels], OFFSETS.texture);
      row.set([this.middle(patch % this.grid), this.middle(Math.floor(patch / this.grid))], OFFSETS.place);
      row[OFFSETS.motion] = this.motion(this.change[patch]!, pixels);
      row.set(scene, OFFSETS.sceneColour);
      return row;
    });
  }

  /** The features of the whole picture: its named colours, lightness, spread of lightness, edges and motion. */
  private scene(): Float64Array {
    const pixels = total(this.pixels);
    const colours = new Float64Array(COLOURS);
    let [light, squares] = [0, 0];
    for (let patch = 0; patch < this.patches; patch++) {
      for (let k = 0; k < COLOURS; k++) colours[k]! += this.colours[patch * COLOURS + k]!;
      light += this.lab[patch * 3]!;
      squares += this.squares[patch * 3]!;
    }
    const mean = light / pixels;
    return Float64Array.from([
      ...roots(colours, pixels),
      mean / 50 - 1,
      Math.sqrt(Math.max(0, squares / pixels - mean ** 2)) / 25,
      edginess(total(this.strength) / pixels),
      this.motion(total(this.change), pixels),
    ]);
  }

  private middle(cell: number): number {
    return (2 * (cell + 0.5)) / this.grid - 1;
  }

  /** Square root of the mean change from picture to picture, on a scale where 1 is a cut to something else. */
  private motion(change: number, pixels: number): number {
    if (this.pictures < 2) return Number.NaN;
    // `pixels` counts every picture, the change every picture but the first.
    const mean = (change / pixels) * (this.pictures / (this.pictures - 1));
    return Math.sqrt(mean / 64);
  }
}

/** The grid cell of each column (or row), all cells as equal as whole pixels allow. */
function cells(size: number, grid: number): Uint16Array {
  return Uint16Array.from({ length: size }, (_, at) => Math.floor((at * grid) / size));
}

function roots(sums: Float64Array, whole: number): Float64Array {
  return sums.map((sum) => (whole > 0 ? Math.sqrt(sum / whole) : Number.NaN));
}

function edginess(strength: number): number {
  return Math.log1p(strength / 4) / 2;
}

function total(sums: Float64Array): number {
  return sums.reduce((a, b) => a + b, 0);
}

/** Tangents of 1/32, 3/32, 5/32 and 7/32 of a turn (11.25° and so on): the bounds between eighths of half a turn. */
const BOUNDS = [1, 3, 5, 7].map((n) => Math.tan((n * Math.PI) / 16)) as [number, number, number, number];

/** The eighth of half a turn that a gradient points to, the first centred on the horizontal. */
function directionOf(dx: number, dy: number): number {
  const across = Math.abs(dx);
  const up = Math.abs(dy);
  const eighth =
    up <= across * BOUNDS[1]
      ? up <= across * BOUNDS[0]
        ? 0
        : 1
      : up <= across * BOUNDS[2]
        ? 2
        : up <= across * BOUNDS[3]
          ? 3
          : 4;
  return dx * dy >= 0 ? eighth & 7 : (8 - eighth) & 7;
}
