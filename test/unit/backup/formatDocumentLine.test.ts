import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { documentLine, lineRenamer } from '../../../src/backup/format/documentLine.js';
import { isJsonObject, topLevelMembers } from '../../../src/backup/format/jsonBytes.js';
import { FRAMES, document } from './formatFixtures.js';

const FROM = { namespace: 'content', schema: `${FRAMES}_acme_corp` };
const TO = { namespace: 'content', schema: `${FRAMES}_globex_inc` };
const NEW = { tenant_id: 'globex_inc', incarnation: '11111111-c3d4-4e5f-8a6b-7c8d9e0f1a2b' };
const renamed = lineRenamer({ from: FROM, to: TO, fields: NEW });
const rename = (line: string) => renamed(Buffer.from(line)).toString();
const put = (fields: string, id = 'x', { namespace, schema } = FROM) =>
  `{"put":"id:${namespace}:${schema}::${id}","fields":${fields}}`;

describe('a line of a document', () => {
  it('is taken apart into its id, without escapes, and the bytes of its fields', () => {
    const line = Buffer.from(put('{"a":[1,{"b":"}}"}]}', 'a\\"b\\\\::\\u00e9é'));
    const { id, user, fields } = documentLine(line, FROM);
    expect(user).toBe('a"b\\::éé');
    expect(id).toBe(`id:${FROM.namespace}:${FROM.schema}::${user}`);
    expect(fields.toString()).toBe('{"a":[1,{"b":"}}"}]}');
    expect(fields.buffer).toBe(line.buffer);
  });

  it.each([
    ['a removal', `{"remove":"id:content:${FROM.schema}::x"}`],
    ['an update', `{"update":"id:content:${FROM.schema}::x","fields":{}}`],
    ['another order', `{"fields":{},"put":"id:content:${FROM.schema}::x"}`],
    ['blanks', put('{}').replace(':{', ': {')],
    ['no fields', `{"put":"id:content:${FROM.schema}::x"}`],
    ['a cut', put('{"a":1}').slice(0, -1)],
    ['fields that are a list', put('[{}]')],
    ['an id without an end', `{"put":"id:content:${FROM.schema}::x\\","fields":{}}`],
    ['an empty id', put('{}', '')],
    ['a bad escape in the id', put('{}', '\\x')],
    ['another schema', put('{}', 'x', TO)],
    ['a schema that only begins so', put('{}', 'x', { ...FROM, schema: `${FROM.schema}_emea` })],
    ['another namespace', put('{}', 'x', { ...FROM, namespace: 'memory_content' })],
    ['a group', `{"put":"id:content:${FROM.schema}:g=a:x","fields":{}}`],
    ['nothing', '{}'],
  ])('is refused: %s', (_, line) => {
    expect(() => documentLine(Buffer.from(line), FROM)).toThrow(/not a document of the backup/);
  });

  it.each([
    ['a cut', put('{"title":"SECRET"}').slice(0, -1)],
    ['another form', '{"SECRET":1}'],
    ['an id that is none', '{"put":"SECRET","fields":{}}'],
    ['an id without an end', put('{"title":"SECRET"}').replace('","fields', '\\","fields')],
  ])('is refused without a word of its content: %s', (_, line) => {
    expect(() => documentLine(Buffer.from(line), FROM)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('SECRET') as unknown }),
    );
  });

  it('is refused with an id that is not UTF-8', () => {
    const line = Buffer.from(put('{}', 'x?'));
    line[line.indexOf('?')] = 0xff;
    expect(() => documentLine(line, FROM)).toThrow('its id is no text');
  });
});

describe("a clone's line", () => {
  it("has the other tenant's id, tenant_id and incarnation, and every other byte as it was", () => {
    const line = document(FROM.schema, 'content', 'v_seg_1');
    expect(rename(line)).toBe(
      line
        .replace(`:${FROM.schema}:`, `:${TO.schema}:`)
        .replace('"tenant_id":"acme_corp"', '"tenant_id":"globex_inc"')
        .replace(/"incarnation":"[^"]*"/, `"incarnation":"${NEW.incarnation}"`),
    );
  });

  it.each([
    ['{}', '{}'],
    ['{"tenant_id":""}', '{"tenant_id":"globex_inc"}'],
    [
      '{"tenant_id":"a","b":-0,"tenant_id":"c"}',
      '{"tenant_id":"globex_inc","b":-0,"tenant_id":"globex_inc"}',
    ],
    ['{"tenant\\u005fid":"a"}', '{"tenant\\u005fid":"globex_inc"}'],
    [
      '{"b":"\\"tenant_id\\":\\"a\\"","c":"\\\\","tenant_id":"a"}',
      '{"b":"\\"tenant_id\\":\\"a\\"","c":"\\\\","tenant_id":"globex_inc"}',
    ],
    [
      '{"m":{"tenant_id":"in"},"l":[{"tenant_id":"in"}]}',
      '{"m":{"tenant_id":"in"},"l":[{"tenant_id":"in"}]}',
    ],
    ['{ "a" : 1e400 , "tenant_id" : "a" }', '{ "a" : 1e400 , "tenant_id" : "globex_inc" }'],
    ['{"tenant_id2":"a","xtenant_id":"a"}', '{"tenant_id2":"a","xtenant_id":"a"}'],
  ])('of %s has the fields %s', (fields, expected) => {
    expect(rename(put(fields))).toBe(put(expected, 'x', TO));
  });

  it('is refused when the field is no text, and when the document is of another schema', () => {
    for (const value of ['7', 'null', '{}', '["a"]'])
      expect(() => rename(put(`{"tenant_id":${value}}`))).toThrow('its tenant_id is no text');
    expect(() => rename(put('{}', 'x', TO))).toThrow('it is none of');
    expect(() => rename(put('{"a":"b}'))).toThrow('no JSON object');
  });

  it('is what changing the parsed document gives, for any document', () => {
    const key = fc.oneof(fc.constantFrom('tenant_id', 'incarnation', 'a"\\'), fc.string({ unit: 'binary' }));
    const fields = fc.dictionary(key, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 6, noNullPrototype: true });
    fc.assert(
      fc.property(
        fields,
        fc.string({ unit: 'binary', minLength: 1 }),
        fc.string(),
        (random, user, tenant) => {
          const given = { ...random, ...('tenant_id' in random && { tenant_id: tenant }) };
          if ('incarnation' in given) given.incarnation = 'old';
          const line = JSON.stringify({ put: `id:content:${FROM.schema}::${user}`, fields: given });
          const expected = Object.fromEntries(
            Object.entries(given).map(([name, value]) => [
              name,
              Object.hasOwn(NEW, name) ? NEW[name as 'tenant_id'] : value,
            ]),
          );
          expect(rename(line)).toBe(
            JSON.stringify({ put: `id:content:${TO.schema}::${user}`, fields: expected }),
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the bytes of a JSON text', () => {
  it('are one object, or not, as JSON.parse says', () => {
    for (const text of [
      '{}',
      '{"a":[1,-0,1e999,"é"]}',
      '{"a":1,"a":2}',
      ' {}',
      '[]',
      '{"a":01}',
      '{"a"}',
      '{}{}',
      '{"a":"\n"}',
      '',
    ])
      expect(isJsonObject(Buffer.from(text))).toBe(text.startsWith('{') && parses(text));
    expect(isJsonObject(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toBe(false);
  });

  it('show the members of the object, each where it stands', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { noNullPrototype: true }),
        fc.nat(4),
        (object, space) => {
          const json = Buffer.from(JSON.stringify(object, null, space));
          const members = topLevelMembers(json, 0)!;
          const read = members.map(({ name, valueAt, end }) => [
            name,
            JSON.parse(json.toString('utf8', valueAt, end)) as unknown,
          ]);
          expect(read).toEqual(Object.entries(JSON.parse(json.toString()) as object));
        },
      ),
    );
  });
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
