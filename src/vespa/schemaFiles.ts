import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { BaseSchema } from '../domain/profiles.js';
import { projectRoot } from '../projectRoot.js';

const name = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/);
/** Types the generator knows how to write; anything else is a mistake in the file. */
const type = z
  .string()
  .regex(
    /^(string|int|long|float|double|bool|array<string>|tensor<(float|bfloat16|int8)>\(([a-z0-9]+(\{\}|\[[0-9]+\]))(, [a-z0-9]+(\{\}|\[[0-9]+\]))*\))$/,
  );
/** A rank expression: one line, no braces that could end its block. */
const expression = z.string().regex(/^[A-Za-z0-9_ ()+\-*/.,<>=!?:]+$/);

const field = z.strictObject({
  name,
  type,
  indexing: z.array(z.enum(['summary', 'attribute', 'index'])).min(1),
  attribute: z
    .array(z.enum(['fast-search', 'distance-metric: angular', 'distance-metric: hamming']))
    .default([]),
  index: z.enum(['enable-bm25']).optional(),
  /** Capital letters count, in the index of a fast-search attribute too. */
  match: z.enum(['cased']).optional(),
  rank: z.enum(['filter']).optional(),
});

const rankProfile = z.strictObject({
  name,
  inputs: z.array(z.strictObject({ name: z.string().regex(/^query\([a-z]+\)$/), type })),
  firstPhase: expression,
  secondPhase: z.strictObject({ expression, rerankCount: z.int().positive() }).optional(),
  matchFeatures: z.array(expression).default([]),
  /** Seconds; sent with the query, no part of the `.sd`. */
  timeout: z.number().positive(),
});

const baseSchemaFile = z.strictObject({
  name,
  fields: z.array(field).min(1),
  fieldsets: z.array(z.strictObject({ name, fields: z.array(name).min(1) })),
  rankProfiles: z.array(rankProfile).min(1),
});

/** A base schema as data: `schemas/<base>.json`, described in docs/schema-format.md. */
export type SchemaFile = z.infer<typeof baseSchemaFile>;
export type RankProfileFile = SchemaFile['rankProfiles'][number];

const loaded = new Map<BaseSchema, SchemaFile>();

/** @throws ZodError when the file breaks its format: a defect of the build, not of an input */
export function loadSchema(base: BaseSchema): SchemaFile {
  let schema = loaded.get(base);
  if (schema === undefined) {
    schema = parseSchema(readFileSync(path.join(projectRoot, 'schemas', `${base}.json`), 'utf8'));
    loaded.set(base, schema);
  }
  return schema;
}

export function parseSchema(json: string): SchemaFile {
  return baseSchemaFile.parse(JSON.parse(json));
}
