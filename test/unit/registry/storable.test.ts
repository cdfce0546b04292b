import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { storableJson, storableText } from '../../../src/registry/storable.js';

// Every code unit, so also NUL and halves of pairs.
const anyText = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units));

describe('storableText', () => {
  it('has no NUL and no half of a pair, and changes nothing else', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const stored = storableText(text);
        expect(stored.isWellFormed()).toBe(true);
        expect(stored).not.toContain('\0');
        expect(stored).toHaveLength(text.length);
        if (text.isWellFormed() && !text.includes('\0')) expect(stored).toBe(text);
        expect(storableText(stored)).toBe(stored);
      }),
    );
  });

  it('keeps whole pairs', () => {
    expect(storableText('a\u{1f4a5}\0\ud83d')).toBe('a\u{1f4a5}\ufffd\ufffd');
  });
});

describe('storableJson', () => {
  it('gives what a round trip through JSON gives, with storable texts', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const stored = storableJson(value);
        expect(JSON.parse(JSON.stringify(stored))).toEqual(stored);
        expect(JSON.stringify(stored)).not.toMatch(/\\u0000|\\ud[89a-f]/i);
      }),
    );
  });

  it('leaves out what JSON has not, and cleans keys', () => {
    expect(storableJson({ a: undefined, b: NaN, 'c\0': [new Date(0), '\ud800'] })).toEqual({
      b: null,
      'c\ufffd': ['1970-01-01T00:00:00.000Z', '\ufffd'],
    });
    expect(storableJson(undefined)).toBeNull();
  });
});
