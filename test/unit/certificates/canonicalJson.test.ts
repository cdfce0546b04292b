import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../src/certificates/canonicalJson.js';

describe('canonical JSON', () => {
  it('is that of RFC 8785: its example (3.2.2, 3.2.3) and its order of keys', () => {
    const example = JSON.parse(String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`) as unknown;
    expect(canonicalJson(example)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
    // U+1F600 begins with a surrogate, which sorts before U+FB33 though the code point is greater.
    const keys = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '😀': 5, '\u0080': 6, ö: 7 };
    expect(Object.keys(JSON.parse(canonicalJson(keys)) as object)).toEqual([
      '1',
      '\r',
      '\u0080',
      'ö',
      '\u20ac',
      '😀',
      '\ufb33',
    ]);
  });

  it('prints the numbers of RFC 8785, appendix B', () => {
    const numbers: [string, string][] = [
      ['0000000000000000', '0'],
      ['8000000000000000', '0'],
      ['0000000000000001', '5e-324'],
      ['7fefffffffffffff', '1.7976931348623157e+308'],
      ['4340000000000001', '9007199254740994'],
      ['444b1ae4d6e2ef50', '1e+21'],
      ['3eb0c6f7a0b5ed8d', '0.000001'],
      ['41b3de4355555557', '333333333.33333343'],
    ];
    for (const [bits, text] of numbers)
      expect(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE())).toBe(text);
  });

  it.each<[string, unknown, RegExp]>([
    ['undefined in an object', { a: { b: undefined } }, /a\.b: JSON has no undefined/],
    ['a hole in a list', [0, , 2], /1: JSON has no undefined/], // eslint-disable-line no-sparse-arrays
    ['NaN', { a: NaN }, /NaN/],
    ['an infinity', [-Infinity], /-Infinity/],
    ['a bigint', 1n, /bigint/],
    ['half of a surrogate pair', { a: 'x\ud800' }, /a: it holds half/],
    ['such a half in a key', { '\udc00': 1 }, /half/],
    ['an object of a class', { at: new Date(0) }, /at: it is no plain object/],
    ['a map', new Map([['a', 1]]), /no plain object/],
  ])('refuses %s', (_, value, message) => {
    expect(() => canonicalJson(value)).toThrow(message);
    expect(() => canonicalJson(value)).toThrow(expect.objectContaining({ type: 'InvalidInput' }));
  });

  it('refuses a circle, shortly', () => {
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    expect(() => canonicalJson(circle)).toThrow(/^no canonical JSON of self\.self\.self: /);
  });

  it('means the same as the value, does not depend on the order of keys, and is stable', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        const text = canonicalJson(value);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(reversed(value))).toBe(text);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  const members = Object.entries(value).map(([key, inner]) => [key, reversed(inner)]);
  return Object.fromEntries(members.toReversed());
}
