import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FieldWriter } from '../../../src/embedded/vespa/documents/fieldWriter.js';
import { parseStored, printJson } from '../../../src/embedded/vespa/documents/losslessJson.js';
import { Output } from '../../../src/embedded/vespa/documents/output.js';
import { type StoredFields, writeField } from '../../../src/embedded/vespa/documents/values.js';
import { TENSOR_FORMATS, type TensorFormat } from '../../../src/embedded/vespa/tensors/codec.js';
import { schemaOf } from './visitedStore.js';

const schema = schemaOf('aa');
const digits = (count: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789ABCDEF'), minLength: count, maxLength: count });
const text = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }),
  fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', ',', ':', '0', '\n'), minLength: 1, maxLength: 60 }),
);
const double = fc.oneof(
  fc.double({ noNaN: true }),
  fc.integer().map(Number),
  fc.constantFrom(-0, 0, 1e7, 9_999_999, 1e-3, 0.00099, 1e21, 5e-324, 0.5, NaN, Infinity, -Infinity),
);
const float = fc.oneof(
  fc.float(),
  fc.integer({ min: -100, max: 100 }),
  fc.constantFrom(0.1, 1e7, -0, 2 ** -149),
);
const all: Record<string, fc.Arbitrary<unknown>> = {
  title: text,
  l: fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.integer()),
  d: double,
  f: float.map(Math.fround),
  b: fc.boolean(),
  strings: fc.array(text, { minLength: 1 }),
  doubles: fc.array(double, { minLength: 1 }),
  pairs: fc.dictionary(text, text, { minKeys: 1, noNullPrototype: true }),
  weights: fc.dictionary(text, fc.integer(), { minKeys: 1, noNullPrototype: true }),
  dense: digits(24).map((hex) => ({ '': hex })),
  mixed: fc.dictionary(text, digits(16), { noNullPrototype: true }),
  sparse: fc.dictionary(text, digits(8), { noNullPrototype: true }),
  goneFromTheSchema: text,
};
const documents = fc.record(all, { requiredKeys: [] }) as fc.Arbitrary<StoredFields>;

function written(fields: StoredFields, fieldSet: string | undefined, format: TensorFormat): string {
  const stored = Buffer.from(printJson(fields));
  // Behind it lies what was longer before: it must not be looked at.
  const buffer = Buffer.concat([stored, Buffer.from('"},x":{"')]);
  const out = new Output();
  new FieldWriter(schema, fieldSet, format).write(out, buffer, stored.length);
  return Buffer.concat(out.take()).toString();
}

/** What printing every value anew gives. */
function printed(fields: StoredFields, wanted: (name: string) => boolean, format: TensorFormat): string {
  const read = parseStored(printJson(fields)) as StoredFields;
  const parts = Object.entries(read).flatMap(([name, value]) => {
    const field = schema.fields.get(name);
    return field && wanted(name) ? [`${JSON.stringify(name)}:${writeField(field, value, format)}`] : [];
  });
  return `{${parts.join(',')}}`;
}

test('what is copied from the disk is what printing it anew gives, in every form', () => {
  fc.assert(
    fc.property(documents, fc.constantFrom(...TENSOR_FORMATS), (fields, format) => {
      expect(written(fields, undefined, format)).toBe(printed(fields, () => true, format));
    }),
    { numRuns: 2000 },
  );
});

test('of a field set, the fields that it names', () => {
  const names = fc.subarray([...schema.fields.keys()], { minLength: 1 });
  fc.assert(
    fc.property(documents, names, (fields, wanted) => {
      expect(written(fields, `aa:${wanted.join(',')}`, 'hex')).toBe(
        printed(fields, (name) => wanted.includes(name), 'hex'),
      );
      expect(written(fields, '[id]', 'hex')).toBe('{}');
      expect(written(fields, 'other:title', 'hex')).toBe('{}');
    }),
  );
});

test('numbers and tensors as Vespa writes them', () => {
  const fields = {
    l: 2n ** 63n - 1n,
    d: -0,
    f: Math.fround(0.1),
    doubles: [1, 1e10, 0.0001],
    dense: { '': '3F80000040000000C0400000' },
    mixed: { 0: '3F80400040404080' },
  };
  expect(written(fields, undefined, 'hex')).toBe(
    '{"l":9223372036854775807,"d":-0.0,"f":0.1,"doubles":[1.0,1.0E10,1.0E-4],' +
      '"dense":{"type":"tensor<float>(v[3])","values":"3F80000040000000C0400000"},' +
      '"mixed":{"type":"tensor<bfloat16>(patch{},v[4])","blocks":{"0":"3F80400040404080"}}}',
  );
});
