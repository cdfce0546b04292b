/** Fixed pseudo-random numbers: the same seed gives the same numbers on every machine. */

/** sfc32 of PractRand, seeded by one number. @returns numbers from 0 (included) to 1 */
export function uniform(seed: number): () => number {
  let [a, b, c, count] = [seed | 0, (seed ^ 0x9e3779b9) | 0, 0x243f6a88, 1];
  const next = () => {
    const t = (((a + b) | 0) + count) | 0;
    count = (count + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return (t >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

/** Numbers of the normal distribution, by Box and Muller. */
export function normal(seed: number): () => number {
  const next = uniform(seed);
  return () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

/** FNV-1a of a text's UTF-16 units. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
