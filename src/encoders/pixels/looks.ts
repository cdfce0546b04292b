import type { Rgb } from './colour.js';

/**
 * What a word says about a picture. A look is drawn as a small picture and measured like a video's (see
 * `prototypes.ts`); what it leaves out counts as unknown.
 */
export interface Look {
  /** The words, in the singular. */
  readonly words: string;
  /** Colours it is made of, in equal shares. */
  readonly colours?: readonly Rgb[];
  /** Its surface: 0 plain to 1 busy. */
  readonly texture?: number;
  /** Which way its lines run. */
  readonly lines?: 'upright' | 'level' | 'slanted';
  /** Where it is usually seen: -1 the top of the picture, 1 the bottom. */
  readonly down?: number;
  /** 0 nothing moves, 1 everything does. */
  readonly motion?: number;
  /** It is a matter of light: only lightness is compared, not the colours it is drawn with. */
  readonly light?: boolean;
  /** How sure the look is; 1 when not given. A sky is blue or gray; a person is only partly skin. */
  readonly sureness?: number;
}

const c = (hex: number): Rgb => [hex >> 16, (hex >> 8) & 255, hex & 255];

/** Colours that `dark`, `light` and the like may stand before. */
export const COLOUR_LOOKS: readonly Look[] = [
  { words: 'red crimson scarlet', colours: [c(0xd7191c), c(0xb01018)] },
  { words: 'orange amber', colours: [c(0xf58714), c(0xe86f1c)] },
  { words: 'yellow golden gold', colours: [c(0xfae61e), c(0xebcd3c)] },
  { words: 'green emerald', colours: [c(0x289632), c(0x5abe46), c(0x2fa83a)] },
  { words: 'olive khaki', colours: [c(0x64692d), c(0x8c8c50)] },
  { words: 'turquoise cyan teal aqua', colours: [c(0x32beb4), c(0x148282)] },
  { words: 'blue azure', colours: [c(0x234bc8), c(0x4678c8)] },
  { words: 'navy indigo', colours: [c(0x192878), c(0x101c50)] },
  { words: 'purple violet lilac lavender', colours: [c(0x78329b), c(0x966ebe)] },
  { words: 'pink magenta rose', colours: [c(0xf58caf), c(0xe13c82)] },
  { words: 'brown chocolate', colours: [c(0x6e411e), c(0x8c5a32)] },
  { words: 'beige cream tan', colours: [c(0xe1d2b4), c(0xc8b99b)] },
  { words: 'black', colours: [c(0x080808), c(0x141414)] },
  { words: 'white', colours: [c(0xfafafa), c(0xf0f0f0)] },
  { words: 'gray grey silver', colours: [c(0x7d7d7d), c(0x969698), c(0x6a6a6c)] },
];

export const OTHER_LOOKS: readonly Look[] = [
  {
    words: 'grass lawn meadow pasture turf',
    colours: [c(0x5a9628), c(0x468220), c(0x78aa3c)],
    texture: 0.6,
    down: 0.6,
  },
  {
    words: 'tree forest leaf foliage bush hedge jungle woods',
    colours: [c(0x2d5a1e), c(0x46782d), c(0x1e3c14), c(0x5a4a32)],
    texture: 0.9,
    lines: 'upright',
    down: -0.2,
  },
  {
    words: 'plant garden park nature',
    colours: [c(0x3c8228), c(0x64a03c), c(0x785a3c)],
    texture: 0.7,
    sureness: 0.8,
  },
  { words: 'sky heaven', colours: [c(0x8cbeeb), c(0xafd2f0), c(0x6ea5e0)], texture: 0, down: -0.8 },
  {
    words: 'cloud overcast fog mist haze',
    colours: [c(0xdce1e6), c(0xc3c8cd), c(0xf0f2f5)],
    texture: 0.05,
    down: -0.7,
  },
  {
    words: 'water sea ocean lake river pool',
    colours: [c(0x28648c), c(0x3c82aa), c(0x1e5078)],
    texture: 0.4,
    lines: 'level',
    down: 0.4,
  },
  { words: 'sand beach desert dune', colours: [c(0xe1cda0), c(0xd2b982)], texture: 0.25, down: 0.5 },
  { words: 'snow ice winter', colours: [c(0xf5f8fc), c(0xe1ebf5)], texture: 0.1, down: 0.4 },
  { words: 'fire flame lava', colours: [c(0xff7814), c(0xffc832), c(0xd22d0a)], texture: 0.5 },
  {
    words: 'sunset sunrise dusk dawn',
    colours: [c(0xf08c3c), c(0xe6645a), c(0xfabe78)],
    texture: 0.05,
    down: -0.5,
  },
  { words: 'autumn fall', colours: [c(0xc8641e), c(0x966428), c(0xdca032)], texture: 0.8, sureness: 0.8 },
  {
    words: 'flower blossom',
    colours: [c(0xf08cb4), c(0xfadc46), c(0xe14646), c(0xaa6ebe)],
    texture: 0.6,
    sureness: 0.6,
  },
  {
    words: 'wood wooden log bark',
    colours: [c(0x8c5f37), c(0x6e4628), c(0xa0784b)],
    texture: 0.5,
    lines: 'upright',
  },
  {
    words: 'soil earth mud dirt ground',
    colours: [c(0x6e5037), c(0x503723), c(0x8c6e50)],
    texture: 0.6,
    down: 0.7,
  },
  { words: 'brick', colours: [c(0xa04632), c(0x8c3c2d), c(0xb4785f)], texture: 0.7, lines: 'level' },
  { words: 'stone rock mountain concrete', colours: [c(0x828078), c(0x6e6c66), c(0x9b9890)], texture: 0.5 },
  {
    words: 'street road asphalt pavement',
    colours: [c(0x6e6e72), c(0x5a5a5e), c(0x828286)],
    texture: 0.3,
    down: 0.6,
  },
  {
    words: 'city town building house urban',
    colours: [c(0x8c8782), c(0xaaa096), c(0x6e6964), c(0x50505a)],
    texture: 0.8,
    lines: 'upright',
    sureness: 0.6,
  },
  {
    words: 'face skin person people man woman child hand portrait',
    colours: [c(0xe1af91), c(0xc88c6e)],
    texture: 0.25,
    sureness: 0.7,
  },
  { words: 'dark night nighttime darkness shadow dim', colours: [c(0x0a0a10), c(0x18181f)], light: true },
  { words: 'bright sunny light day daylight daytime', colours: [c(0xf5f5f0), c(0xdcdcd7)], light: true },
  { words: 'busy crowded detailed textured cluttered complex rough sharp crowd', texture: 1 },
  { words: 'smooth plain flat blurry blurred empty blank simple soft uniform closeup', texture: 0 },
  { words: 'vertical upright column pole fence', texture: 0.6, lines: 'upright' },
  { words: 'horizontal level horizon', texture: 0.6, lines: 'level' },
  { words: 'diagonal slanted tilted', texture: 0.6, lines: 'slanted' },
  {
    words: 'moving motion movement fast action running racing riding driving cycling dancing sport',
    motion: 0.8,
  },
  { words: 'still static motionless frozen slow calm quiet standing', motion: 0 },
];

/** Words before a colour, and what they do to it: how far towards black (below zero) or white. */
export const TONES: Readonly<Record<string, number>> = {
  dark: -0.55,
  deep: -0.4,
  light: 0.5,
  pale: 0.55,
  bright: 0.2,
  pastel: 0.5,
};
