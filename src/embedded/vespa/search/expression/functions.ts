/** Functions of one and two numbers, applied to tensors cell by cell. Names and meanings are Vespa's. */
export const UNARY: Readonly<Record<string, (x: number) => number>> = {
  abs: Math.abs,
  acos: Math.acos,
  asin: Math.asin,
  atan: Math.atan,
  ceil: Math.ceil,
  cos: Math.cos,
  cosh: Math.cosh,
  elu: (x) => (x < 0 ? Math.exp(x) - 1 : x),
  erf,
  exp: Math.exp,
  fabs: Math.abs,
  floor: Math.floor,
  isNan: (x) => Number(Number.isNaN(x)),
  log: Math.log,
  log10: Math.log10,
  relu: (x) => Math.max(0, x),
  round: (x) => Math.sign(x) * Math.round(Math.abs(x)),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  sign: Math.sign,
  sin: Math.sin,
  sinh: Math.sinh,
  sqrt: Math.sqrt,
  square: (x) => x * x,
  tan: Math.tan,
  tanh: Math.tanh,
};

export const BINARY: Readonly<Record<string, (a: number, b: number) => number>> = {
  atan2: Math.atan2,
  bit: (a, b) => ((a & 0xff) >> b) & 1,
  fmod: (a, b) => a % b,
  hamming,
  ldexp: (a, b) => a * 2 ** Math.trunc(b),
  max: Math.max,
  min: Math.min,
  pow: Math.pow,
};

export const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '^': Math.pow,
  '<': (a, b) => Number(a < b),
  '<=': (a, b) => Number(a <= b),
  '>': (a, b) => Number(a > b),
  '>=': (a, b) => Number(a >= b),
  '==': (a, b) => Number(a === b),
  '!=': (a, b) => Number(a !== b),
  '~=': approximatelyEqual,
  '&&': (a, b) => Number(a !== 0 && b !== 0),
  '||': (a, b) => Number(a !== 0 || b !== 0),
};

/** Bits set in each byte. */
const BITS = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let bits = byte; bits !== 0; bits &= bits - 1) count++;
  return count;
});

/** Bits that differ in two int8 cells. */
export function hamming(a: number, b: number): number {
  return BITS[(a ^ b) & 0xff]!;
}

/** `~=`: a difference below a millionth, of the number itself once it is above 1. */
function approximatelyEqual(a: number, b: number): number {
  if (Math.abs(a) < 1 || Math.abs(b) < 1) return Number(Math.abs(a - b) < 1e-6);
  return Number(Math.abs(a - b) / Math.abs(b) < 1e-6);
}

/** The error function by its continued fraction and series; relative error below 1e-12. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let k = 60; k > 0; k--) fraction = k / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-size * size) / Math.sqrt(Math.PI) / (size + fraction));
}
