/** Tenants of a wave at most: what one run of the workflow follows. */
const MAX_WAVE = 500;

/**
 * Sizes of a rollout's waves: one tenant, a tenth of all, the rest. What is wrong for everybody shows on the first, what
 * is wrong for some on the second.
 */
export function waves(tenants: number): number[] {
  const sizes: number[] = [];
  let left = tenants;
  for (const wanted of [1, Math.ceil(tenants / 10), tenants]) {
    for (let wave = Math.min(wanted, left); wave > 0;) {
      const size = Math.min(wave, MAX_WAVE);
      sizes.push(size);
      wave -= size;
      left -= size;
    }
  }
  return sizes;
}
