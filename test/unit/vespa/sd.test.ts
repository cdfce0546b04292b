import { describe, expect, it } from 'vitest';
import { parseTenantId } from '../../../src/domain/ids.js';
import { tenantSchemaName } from '../../../src/domain/naming.js';
import { BASE_SCHEMAS } from '../../../src/domain/profiles.js';
import { parseFieldType, parseSd, parseTensorType } from '../../../src/embedded/vespa/package/sdParser.js';
import { generateSd } from '../../../src/vespa/package/sd.js';
import { loadSchema, parseSchema } from '../../../src/vespa/schemaFiles.js';

/** Read back by the emulator's parser, which shares no code with the generator. */
describe.each(BASE_SCHEMAS)('%s', (base) => {
  const schema = loadSchema(base);
  const name = tenantSchemaName(base, parseTenantId('acme_corp'));
  const read = parseSd(generateSd(name, schema), `${name}.sd`);

  it('is named after the tenant: schema, document type and nothing else', () => {
    expect([read.name, read.documentName]).toEqual([name, name]);
    expect(generateSd(name, schema).split(name)).toHaveLength(3);
  });

  it('has every field of the data, with its type and how it is indexed', () => {
    expect(read.fields.size).toBe(schema.fields.length);
    for (const field of schema.fields)
      expect(read.fields.get(field.name)).toMatchObject({
        type: parseFieldType(field.type, field.name),
        summary: field.indexing.includes('summary'),
        attribute: field.indexing.includes('attribute'),
        index: field.indexing.includes('index'),
        bm25: field.index === 'enable-bm25',
        fastSearch: field.attribute.includes('fast-search'),
        cased: field.match === 'cased',
      });
  });

  it('has every fieldset and rank profile of the data', () => {
    for (const { name: set, fields } of schema.fieldsets) expect(read.fieldSets.get(set)).toEqual(fields);
    for (const profile of schema.rankProfiles)
      expect(read.rankProfiles.get(profile.name)).toMatchObject({
        inputs: new Map(profile.inputs.map((input) => [input.name, parseTensorType(input.type)])),
        firstPhase: profile.firstPhase,
        matchFeatures: profile.matchFeatures,
        ...(profile.secondPhase === undefined ? {} : { secondPhase: profile.secondPhase }),
      });
  });
});

it.each(['', 'a-b', '1st', 'a b', 'a {} schema b', 'ä', 'a\n'])('%j is no name of a schema', (name) => {
  expect(() => generateSd(name, loadSchema('agent_memories'))).toThrow('not a schema name');
});

it.each([
  ['a brace in an expression', { firstPhase: 'bm25(text) } rank-profile evil {' }],
  ['a new line in an expression', { firstPhase: 'bm25(text)\nfunction evil()' }],
  ['an input of another form', { inputs: [{ name: 'query(q) { }', type: 'int' }] }],
])('the data cannot leave its place: %s', (_what, change) => {
  const schema = loadSchema('agent_memories');
  const [profile] = schema.rankProfiles;
  expect(() =>
    parseSchema(JSON.stringify({ ...schema, rankProfiles: [{ ...profile, ...change }] })),
  ).toThrow();
});
