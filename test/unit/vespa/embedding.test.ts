import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binarize, checkVectors, segmentBody } from '../../../src/vespa/embedding.js';

const finite = fc.float({ noNaN: true, noDefaultInfinity: true });
const vector = (size: number) =>
  fc.array(finite, { minLength: size, maxLength: size }).map((values) => Float32Array.from(values));

/** The high half of a float32 as big-endian hex, by DataView instead of memory order. */
function highHalf(value: number): string {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint16(0).toString(16).toUpperCase().padStart(4, '0');
}

/** By the standard library: two's complement, two digits a byte. */
const bitsHex = (values: Float32Array) => Buffer.from(binarize(values)).toString('hex').toUpperCase();

describe('binarize', () => {
  it('sets a bit where the value is positive, the first value in the most significant bit', () => {
    expect([...binarize(Float32Array.of(1, -1, -1, -1, -1, -1, -1, -1))]).toEqual([-128]);
    expect([...binarize(Float32Array.of(-1, 1, -1, -1, -1, -1, -1, 0.001))]).toEqual([65]);
    expect([...binarize(Float32Array.of(0, -0, -1e-45, 0, 0, 0, 0, 1e-45))]).toEqual([1]);
  });

  it('has one bit a value, in order, for any vector', () => {
    const wide = fc.integer({ min: 1, max: 96 }).chain((bytes) => vector(bytes * 8));
    fc.assert(
      fc.property(wide, (values) => {
        const bits = [...binarize(values)].map((byte) => (byte & 0xff).toString(2).padStart(8, '0')).join('');
        expect(bits).toBe([...values].map((value) => (value > 0 ? '1' : '0')).join(''));
      }),
    );
  });
});

describe('checkVectors', () => {
  const good = new Float32Array(128).fill(0.5);
  const with_ = (value: number) => good.with(77, value);

  it('lets vectors of the right width pass', () => {
    expect(() => checkVectors([good, good], 128)).not.toThrow();
  });

  it.each<[string, Float32Array[], RegExp]>([
    ['none', [], /no vectors/],
    ['one that is short', [good, good.subarray(1)], /vector 1 has 127 values, not 128/],
    ['one that is long', [new Float32Array(129)], /vector 0 has 129 values, not 128/],
    ['an empty one', [good, new Float32Array(0)], /vector 1 has 0 values/],
    ['NaN', [good, good, with_(NaN)], /vector 2 holds NaN/],
    ['an infinity', [with_(Infinity)], /vector 0 holds Infinity/],
    ['a negative infinity', [with_(-Infinity)], /vector 0 holds -Infinity/],
  ])('refuses %s', (_, vectors, message) => {
    expect(() => checkVectors(vectors, 128)).toThrow(message);
    expect(() => segmentBody({ video_id: 'v' }, vectors, 128)).toThrow(message);
  });
});

describe('segmentBody', () => {
  interface Body {
    readonly fields: Record<string, unknown> & {
      readonly embedding: { readonly blocks: Record<string, string> };
      readonly embedding_binary: { readonly blocks: Record<string, string> };
    };
  }
  const parse = (body: Buffer) => JSON.parse(body.toString('utf8')) as Body;

  it('is JSON that carries the fields unchanged and both forms of every vector', () => {
    const fields = fc.dictionary(
      fc
        .stringMatching(/^[a-z_]{1,12}$/)
        .filter((name) => !name.startsWith('embedding') && name !== '__proto__'),
      fc.oneof(fc.string({ unit: 'binary-ascii' }), fc.integer(), fc.boolean(), fc.array(fc.string())),
    );
    fc.assert(
      fc.property(fields, fc.array(vector(16), { minLength: 1, maxLength: 4 }), (plain, vectors) => {
        const { embedding, embedding_binary, ...rest } = parse(segmentBody(plain, vectors, 16)).fields;
        expect(rest).toEqual({ ...plain });
        expect(embedding.blocks).toEqual({ ...vectors.map((v) => [...v].map(highHalf).join('')) });
        expect(embedding_binary.blocks).toEqual({ ...vectors.map(bitsHex) });
      }),
    );
  });

  it.each([
    [0, '0000'],
    [-0, '8000'],
    [1, '3F80'],
    [-2, 'C000'],
    [0.1, '3DCC'],
    // Rounding would give 3F81: the original cuts.
    [1.0078124, '3F80'],
    [3.4028234663852886e38, '7F7F'],
    [1e-45, '0000'],
  ])('holds %d as %s', (value, hex) => {
    const { embedding } = parse(segmentBody({}, [new Float32Array(8).fill(value)], 8)).fields;
    expect(embedding.blocks).toEqual({ 0: hex.repeat(8) });
  });

  it.each([1, 9, 10, 11, 99, 100, 101, 1000, 1024])('labels %d blocks by position', (rows) => {
    const vectors = Array.from({ length: rows }, (_, row) => new Float32Array(8).fill(row));
    const { embedding, embedding_binary } = parse(segmentBody({}, vectors, 8)).fields;
    expect(embedding.blocks).toEqual({ ...vectors.map(([value]) => highHalf(value!).repeat(8)) });
    expect(embedding_binary.blocks).toEqual({ ...vectors.map(bitsHex) });
  });

  it('takes views into a larger buffer', () => {
    const whole = Float32Array.from({ length: 19 }, (_, i) => i - 9);
    const { embedding } = parse(segmentBody({}, [whole.subarray(3, 11)], 8)).fields;
    expect(embedding.blocks).toEqual({ 0: [...whole.slice(3, 11)].map(highHalf).join('') });
  });

  it('is JSON without any other field, too', () => {
    expect(Object.keys(parse(segmentBody({}, [new Float32Array(8)], 8)).fields)).toEqual([
      'embedding',
      'embedding_binary',
    ]);
  });
});
