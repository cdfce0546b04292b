import type { SchemaFile } from '../schemaFiles.js';

/**
 * The `.sd` text of one tenant's schema. Every piece comes from a validated schema file or the one parser of tenant ids,
 * so that no text can leave its place.
 *
 * @param name physical name: of the schema, its document type and its file
 */
export function generateSd(name: string, schema: SchemaFile): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new Error(`not a schema name: ${JSON.stringify(name)}`);
  const blocks = [
    block(`document ${name}`, schema.fields.map(fieldBlock)),
    ...schema.fieldsets.map((set) => block(`fieldset ${set.name}`, [`fields: ${set.fields.join(', ')}`])),
    ...schema.rankProfiles.map(rankProfileBlock),
  ];
  return `${block(`schema ${name}`, blocks)}\n`;
}

function fieldBlock(field: SchemaFile['fields'][number]): string {
  return block(`field ${field.name} type ${field.type}`, [
    `indexing: ${field.indexing.join(' | ')}`,
    ...(field.attribute.length > 0 ? [block('attribute', field.attribute)] : []),
    ...(field.index ? [`index: ${field.index}`] : []),
    ...(field.match ? [`match: ${field.match}`] : []),
    // A dictionary must treat case as the field does; a cased one can be a hash.
    ...(field.match && field.attribute.includes('fast-search')
      ? [block('dictionary', ['hash', field.match])]
      : []),
    ...(field.rank ? [`rank: ${field.rank}`] : []),
  ]);
}

function rankProfileBlock(profile: SchemaFile['rankProfiles'][number]): string {
  return block(`rank-profile ${profile.name}`, [
    ...(profile.inputs.length > 0
      ? [
          block(
            'inputs',
            profile.inputs.map((input) => `${input.name} ${input.type}`),
          ),
        ]
      : []),
    block('first-phase', [`expression: ${profile.firstPhase}`]),
    ...(profile.secondPhase
      ? [
          block('second-phase', [
            `expression: ${profile.secondPhase.expression}`,
            `rerank-count: ${profile.secondPhase.rerankCount}`,
          ]),
        ]
      : []),
    ...(profile.matchFeatures.length > 0 ? [block('match-features', profile.matchFeatures)] : []),
  ]);
}

function block(head: string, lines: readonly string[]): string {
  return `${head} {\n${lines.map((line) => line.replace(/^/gm, '    ')).join('\n')}\n}`;
}
