import type { RgbFrame } from '../../video/segment.js';
import type { Rgb } from './colour.js';
import { FEATURES, GROUPS, type Group, OFFSETS, patchFeatures } from './features.js';
import type { Look } from './looks.js';
import { uniform } from './random.js';

const SIDE = 32;
/** A patch of film has some contrast even where it is plain. */
const GRAY: Rgb = [128, 128, 128];

/**
 * A look's features: it is drawn, measured by the very code that measures video, and what the look says nothing about is
 * marked as unknown.
 */
export function lookFeatures(look: Look): Float32Array {
  const measured = patchFeatures([draw(look)], 1)[0]!;
  const features = new Float32Array(FEATURES).fill(Number.NaN);
  const keep = (group: Group, from = 0, count: number = GROUPS[group]) => {
    const at = OFFSETS[group] + from;
    features.set(measured.subarray(at, at + count), at);
  };
  if (look.light) {
    keep('lab', 0, 1);
    keep('scene', 0, 1);
  }
  if (look.colours) {
    keep('colour');
    if (!look.light) keep('lab');
    keep('sceneColour');
  }
  if (look.texture !== undefined) {
    keep('texture');
    keep('spread', 0, 1);
    // Of a scene's edges only those who speak of nothing else say something.
    if (!look.colours) keep('scene', 2, 1);
  }
  if (look.lines) keep('edges');
  if (look.down !== undefined) features[OFFSETS.place + 1] = look.down;
  if (look.motion !== undefined) {
    features[OFFSETS.motion] = look.motion;
    features[OFFSETS.scene + 3] = look.motion;
  }
  return features;
}

/** Draws a look: its colours in stripes or specks, rougher and stronger with more texture. */
function draw(look: Look): RgbFrame {
  const { colours = [GRAY], texture = 0.15, lines } = look;
  const random = uniform(SIDE);
  const data = new Uint8Array(SIDE * SIDE * 3);
  const grain = Float64Array.from({ length: SIDE * SIDE }, random);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      // Specks of two pixels across; lines are specks drawn out along their direction.
      const along = lines === 'upright' ? [x >> 1, 0] : lines === 'level' ? [0, y >> 1] : [x >> 1, y >> 1];
      const [u, v] = lines === 'slanted' ? [((x + y) >> 1) % SIDE, 0] : (along as [number, number]);
      const speck = grain[v * SIDE + u]!;
      const colour = colours[Math.floor(speck * colours.length)]!;
      const shade = (grain[((v + 7) % SIDE) * SIDE + ((u + 13) % SIDE)]! - 0.5) * 2 * 70 * texture;
      const at = (y * SIDE + x) * 3;
      for (let k = 0; k < 3; k++) data[at + k] = Math.min(255, Math.max(0, colour[k]! + shade));
    }
  }
  return { width: SIDE, height: SIDE, data };
}
