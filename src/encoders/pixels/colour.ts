/**
 * Colour as people name it. Every colour of a 32-step RGB cube is looked up once: its place in CIE Lab (D65), and how
 * much it belongs to each of a few named colours.
 */

export type Rgb = readonly [red: number, green: number, blue: number];

/**
 * The eleven basic colour terms of Berlin and Kay, several shades for some, and those that scenes are full of. Colours
 * of one name add up; the order is part of the encoder's version.
 */
const SHADES: readonly (readonly [name: string, ...shades: Rgb[]])[] = [
  ['black', [8, 8, 8], [28, 26, 28]],
  ['darkgray', [68, 68, 70]],
  ['gray', [125, 125, 125], [150, 150, 152]],
  ['lightgray', [196, 196, 196]],
  ['white', [250, 250, 250], [236, 236, 236]],
  ['red', [215, 25, 28], [150, 15, 25], [240, 70, 60]],
  ['orange', [245, 135, 20], [225, 105, 30]],
  ['yellow', [250, 230, 30], [235, 205, 60]],
  ['brown', [110, 65, 30], [140, 90, 50], [75, 48, 30]],
  ['skin', [225, 175, 145], [190, 135, 105]],
  ['beige', [225, 210, 180], [200, 185, 155]],
  ['olive', [100, 105, 45], [140, 140, 80]],
  ['green', [40, 150, 50], [90, 190, 70], [20, 95, 40], [0, 255, 0]],
  ['turquoise', [50, 190, 180], [20, 130, 130]],
  ['skyblue', [140, 190, 235], [175, 210, 240]],
  ['blue', [35, 75, 200], [25, 40, 120], [70, 120, 200], [0, 0, 255]],
  ['purple', [120, 50, 155], [150, 110, 190], [80, 30, 100]],
  ['pink', [245, 140, 175], [225, 60, 130], [250, 200, 210]],
];

export const COLOUR_NAMES: readonly string[] = SHADES.map(([name]) => name);
export const COLOURS = SHADES.length;

/** Steps of a colour channel in the tables. */
const STEPS = 32;
/** Names a colour may belong to. */
export const NAMES_PER_COLOUR = 3;
/** How fast belonging falls with distance in Lab; about the distance of two shades people would name alike. */
const SOFTNESS = 14;

export interface ColourTables {
  /** By `index`: L, a, b, three numbers a colour. */
  readonly lab: Float32Array;
  /** By `index`: the names a colour belongs to, `NAMES_PER_COLOUR` a colour … */
  readonly names: Uint8Array;
  /** … and how much to each; they sum to one. */
  readonly shares: Float32Array;
}

/** Where a colour stands in the tables. */
export function colourIndex(red: number, green: number, blue: number): number {
  return ((red >> 3) << 10) | ((green >> 3) << 5) | (blue >> 3);
}

let tables: ColourTables | undefined;

/** Built at first use, in about 50 ms. */
export function colourTables(): ColourTables {
  return (tables ??= buildTables());
}

function buildTables(): ColourTables {
  const count = STEPS ** 3;
  const lab = new Float32Array(count * 3);
  const names = new Uint8Array(count * NAMES_PER_COLOUR);
  const shares = new Float32Array(count * NAMES_PER_COLOUR);
  const anchors = SHADES.map(([, ...shades]) => shades.map(toLab));
  for (let index = 0; index < count; index++) {
    // The middle of the step, so that the darkest and the brightest step are as far from the ends as the others.
    const rgb: Rgb = [(index >> 10) * 8 + 3.5, ((index >> 5) & 31) * 8 + 3.5, (index & 31) * 8 + 3.5];
    const colour = toLab(rgb);
    lab.set(colour, index * 3);
    const near = anchors
      .map((shades, name) => ({
        name,
        distance: Math.min(...shades.map((shade) => distance(colour, shade))),
      }))
      .sort((a, b) => a.distance - b.distance || a.name - b.name)
      .slice(0, NAMES_PER_COLOUR);
    const least = near[0]!.distance;
    const weights = near.map((n) => Math.exp(-(n.distance ** 2 - least ** 2) / (2 * SOFTNESS ** 2)));
    const sum = weights.reduce((a, b) => a + b, 0);
    near.forEach((n, at) => {
      names[index * NAMES_PER_COLOUR + at] = n.name;
      shares[index * NAMES_PER_COLOUR + at] = weights[at]! / sum;
    });
  }
  return { lab, names, shares };
}

function distance(a: readonly number[], b: readonly number[]): number {
  // Lightness counts half: a red in the shade is still red.
  return Math.hypot((a[0]! - b[0]!) * 0.5, a[1]! - b[1]!, a[2]! - b[2]!);
}

/** sRGB (0 to 255) to CIE Lab with the D65 white. */
export function toLab([red, green, blue]: Rgb): [number, number, number] {
  const [r, g, b] = [linear(red), linear(green), linear(blue)];
  const x = lift((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
  const y = lift(0.2126729 * r + 0.7151522 * g + 0.072175 * b);
  const z = lift((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

function linear(channel: number): number {
  const c = channel / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
}

function lift(t: number): number {
  return t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27) * (t / 116) + 4 / 29;
}
