import type { Rgb } from './colour.js';
import { COLOUR_LOOKS, type Look, OTHER_LOOKS, TONES } from './looks.js';
import { project, wordDirection } from './projection.js';
import { lookFeatures } from './prototypes.js';

const MAX_WORDS = 64;
/** Of a query without a single word about looks: its scores stay near zero for every video. */
const UNKNOWN_WEIGHT = 0.05;
const STOP_WORDS = new Set(
  'a an and are at by for from in is it its of on or the there this to very video clip scene shot with'.split(
    ' ',
  ),
);

const COLOURS = byWord(COLOUR_LOOKS);
const LOOKS = new Map([...byWord(OTHER_LOOKS), ...COLOURS]);

/**
 * A query's rows: one for each word that says something about looks, in the order of the text. A tone before a colour
 * (`dark green`) changes that colour. Words that say nothing about looks are left out, as a direction of their own could
 * only add noise; when there are no others, each gets a fixed direction of little weight.
 *
 * @returns at least one row
 */
export function textRows(text: string, dimensions: number): Float32Array[] {
  const words = wordsOf(text);
  const rows: Float32Array[] = [];
  for (let at = 0; at < words.length; at++) {
    const tone = TONES[words[at]!];
    const toned = tone === undefined ? undefined : lookUp(COLOURS, words[at + 1] ?? '');
    const look = toned ? shaded(toned, tone!) : lookUp(LOOKS, words[at]!);
    if (toned) at++;
    if (look) rows.push(rowOf(look, dimensions));
  }
  if (rows.length > 0) return rows;
  const others = words.length > 0 ? words : [text];
  return others.map((word) => wordDirection(word, dimensions, UNKNOWN_WEIGHT));
}

/** Lower case, without accents and stop words, each once. */
export function wordsOf(text: string): string[] {
  const plain = text
    .slice(0, 10_000)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/\bclose[- ]?ups?\b/g, 'closeup');
  const words = plain.match(/[\p{L}\p{N}]+/gu) ?? [];
  return [...new Set(words.filter((word) => !STOP_WORDS.has(word)))].slice(0, MAX_WORDS);
}

const cache = new Map<Look, Float32Array>();

function rowOf(look: Look, dimensions: number): Float32Array {
  let features = cache.get(look);
  if (!features) {
    features = lookFeatures(look);
    cache.set(look, features);
  }
  const { sureness = 1 } = look;
  return project(features, dimensions).map((value) => value * sureness);
}

const shades = new Map<string, Look>();

function shaded(look: Look, tone: number): Look {
  const key = `${look.words} ${tone}`;
  const known = shades.get(key);
  if (known) return known;
  const towards = tone < 0 ? 0 : 255;
  const shade = (colour: Rgb): Rgb =>
    colour.map((value) => value + (towards - value) * Math.abs(tone)) as unknown as Rgb;
  const made = { ...look, ...(look.colours ? { colours: look.colours.map(shade) } : {}) };
  shades.set(key, made);
  return made;
}

function byWord(looks: readonly Look[]): Map<string, Look> {
  return new Map(looks.flatMap((look) => look.words.split(' ').map((word) => [word, look] as const)));
}

/** English endings: grasses, skies, leaves, snowy, reddish. */
const ENDINGS: readonly (readonly [RegExp, string])[] = [
  [/s$/, ''],
  [/es$/, ''],
  [/ies$/, 'y'],
  [/ves$/, 'f'],
  [/y$/, ''],
  [/d?dish$/, 'd'],
  [/ish$/, ''],
];

function lookUp(looks: ReadonlyMap<string, Look>, word: string): Look | undefined {
  const exact = looks.get(word);
  if (exact || word.length < 4) return exact;
  for (const [ending, instead] of ENDINGS) {
    const found = ending.test(word) ? looks.get(word.replace(ending, instead)) : undefined;
    if (found) return found;
  }
  return undefined;
}
