import type { ApiHandler, ApiRequest, ApiResponse } from '../api.js';
import type { RankProfile, Schema } from '../model.js';
import type { DocumentStore, FieldValue, TensorValue } from '../store.js';
import { typeText } from '../package/validateChange.js';
import { MatchError, buildMatcher } from './match.js';
import { InputError, readInput } from './queryTensor.js';
import { type RankQuery, type RankedHit, distance, features, rank } from './rank.js';
import { type Value, fromStored } from './tensor.js';
import { SchemaIndex } from './textIndex.js';
import { type Where, type Yql, YqlError, parseYql } from './yql.js';

const MAX_HITS = 400;
const MAX_OFFSET = 1000;

/** An answer of `/search/` that carries an error; codes as the real container's. */
class SearchError extends Error {
  constructor(
    readonly code: number,
    readonly summary: string,
    message: string,
  ) {
    super(message);
  }
}

const illegal = (message: string) => new SearchError(3, 'Illegal query', message);
const badParameter = (message: string) => new SearchError(4, 'Invalid query parameter', message);
const STATUS: Readonly<Record<number, number>> = { 0: 503, 3: 400, 4: 400, 8: 500 };

/** `/search/` over the documents of a store. Indexes are built at a schema's first query and follow its writes. */
export function createSearchHandler(store: () => DocumentStore | undefined): ApiHandler {
  const indexes = new Map<Schema, SchemaIndex>();
  return async (request) => {
    try {
      const documents = store();
      if (documents === undefined)
        throw new SearchError(0, 'No backends in service', 'No application is deployed');
      return answer(200, search(documents, indexes, await parametersOf(request)));
    } catch (error) {
      if (!(error instanceof SearchError)) throw error;
      const root = {
        id: 'toplevel',
        relevance: 1,
        fields: { totalCount: 0 },
        errors: [{ code: error.code, summary: error.summary, message: error.message }],
      };
      return answer(STATUS[error.code] ?? 500, { root });
    }
  };
}

type Parameters = ReadonlyMap<string, unknown>;

function search(store: DocumentStore, indexes: Map<Schema, SchemaIndex>, parameters: Parameters): unknown {
  const started = performance.now();
  const yql = readYql(parameters);
  const hits = count(parameters, 'hits', yql.limit ?? 10, MAX_HITS, 'hits requested');
  const offset = count(parameters, 'offset', yql.offset ?? 0, MAX_OFFSET, 'hits offset');
  const schemas = sourcesOf(store, yql, parameters);
  let total = 0;
  const found: { hit: RankedHit; schema: Schema }[] = [];
  for (const schema of schemas) {
    const profile = profileOf(schema, parameters);
    // A count, or a probe of whether the schema is there: no index is needed for that.
    if (hits === 0 && yql.where.kind === 'true') {
      total += store.count(schema.name);
      continue;
    }
    const result = searchSchema(
      store,
      indexFor(indexes, store, schema),
      profile,
      yql,
      parameters,
      hits + offset,
    );
    total += result.total;
    found.push(...result.hits.map((hit) => ({ hit, schema })));
  }
  const page = found
    .toSorted((a, b) => (yql.orderBy.length > 0 ? 0 : b.hit.score - a.hit.score))
    .slice(offset, offset + hits);
  const documents = schemas.reduce((sum, schema) => sum + store.count(schema.name), 0);
  const children = page.map(({ hit, schema }) => hitJson(store, schema, hit, yql));
  return {
    root: {
      id: 'toplevel',
      relevance: 1,
      fields: { totalCount: total },
      coverage: { coverage: 100, documents, full: true, nodes: 1, results: 1, resultsFull: 1 },
      ...(children.length === 0 ? {} : { children }),
    },
    ...(parameters.get('presentation.timing') === true || parameters.get('presentation.timing') === 'true'
      ? { timing: { querytime: 0, summaryfetchtime: 0, searchtime: (performance.now() - started) / 1000 } }
      : {}),
  };
}

function searchSchema(
  store: DocumentStore,
  index: SchemaIndex,
  profile: RankProfile,
  yql: Yql,
  parameters: Parameters,
  wanted: number,
): { total: number; hits: RankedHit[] } {
  const { schema } = index;
  index.refresh();
  const inputs = inputsOf(profile, parameters);
  const neighbours = new Map<string, Value>();
  const matcher = guarded(() =>
    buildMatcher(yql.where, index, (item, among) => {
      const to = neighbourInput(item, schema, inputs);
      neighbours.set(item.field, to);
      return nearestIds(index, item, to, among);
    }),
  );
  const ids = guarded(() => [...index.ids].filter(matcher.matches));
  const query: RankQuery = { schema, profile, inputs, words: matcher.words, neighbours };
  const ordered = yql.orderBy.length > 0 ? orderedBy(ids, index, yql) : rank(ids, query, index, store);
  const hits = ordered.slice(0, wanted).map((hit) => {
    const names = profile.matchFeatures;
    return names.length === 0 ? hit : { ...hit, matchFeatures: features(names, hit.id, query, index, store) };
  });
  return { total: ids.length, hits };
}

function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof MatchError) throw badParameter(error.message);
    throw error;
  }
}

function neighbourInput(
  item: Extract<Where, { kind: 'nearest' }>,
  schema: Schema,
  inputs: ReadonlyMap<string, Value>,
): Value {
  const what = `NEAREST_NEIGHBOR {field=${item.field},queryTensorName=${item.query},targetHits=${item.targetHits}}`;
  if (schema.fields.get(item.field)?.type.kind !== 'tensor') throw illegal(`${what} field is not a tensor`);
  const value = inputs.get(`query(${item.query})`);
  if (value === undefined)
    throw illegal(
      `${what} requires a tensor rank feature named 'query(${item.query})' but this is not present`,
    );
  return value;
}

function nearestIds(
  index: SchemaIndex,
  item: Extract<Where, { kind: 'nearest' }>,
  to: Value,
  among: (id: string) => boolean,
): Set<string> {
  const field = index.schema.fields.get(item.field)!;
  if (field.type.kind !== 'tensor') return new Set();
  const { tensor } = field.type;
  const all: { id: string; d: number }[] = [];
  for (const [id, value] of index.tensors(item.field))
    if (among(id))
      all.push({ id, d: distance(fromStored(value, tensor), to, field.distanceMetric ?? 'euclidean') });
  return new Set(
    all
      .sort((a, b) => a.d - b.d)
      .slice(0, item.targetHits)
      .map(({ id }) => id),
  );
}

function orderedBy(ids: readonly string[], index: SchemaIndex, yql: Yql): RankedHit[] {
  const compare = (a: string, b: string): number => {
    for (const { field, descending } of yql.orderBy) {
      const [x, y] = [index.attributes(a).get(field), index.attributes(b).get(field)];
      const order =
        typeof x === 'string' && typeof y === 'string'
          ? x < y
            ? -1
            : x > y
              ? 1
              : 0
          : Number(x ?? 0) - Number(y ?? 0);
      if (order !== 0) return descending ? -order : order;
    }
    return a < b ? -1 : 1;
  };
  return ids.toSorted(compare).map((id) => ({ id, score: 0 }));
}

function readYql(parameters: Parameters): Yql {
  const text = parameters.get('yql');
  if (typeof text !== 'string' || text === '') throw illegal('No query');
  try {
    return parseYql(text, (name) => {
      const value = parameters.get(name);
      return value === undefined ? undefined : String(value);
    });
  } catch (error) {
    if (error instanceof YqlError) throw badParameter(`Could not create query from YQL: ${error.message}`);
    throw error;
  }
}

function count(parameters: Parameters, name: string, fallback: number, limit: number, what: string): number {
  const given = parameters.get(name);
  const value = given === undefined ? fallback : Number(given);
  if (!Number.isInteger(value) || value < 0)
    throw illegal(`Could not set '${name}': '${String(given)}' is not a valid integer`);
  if (value > limit)
    throw illegal(
      `${value} ${what}, configured limit: ${limit}. See https://docs.vespa.ai/en/reference/query-api-reference.html`,
    );
  return value;
}

function sourcesOf(store: DocumentStore, yql: Yql, parameters: Parameters): Schema[] {
  const { schemas, contentCluster } = store.model;
  const restrict = parameters.get('model.restrict') ?? parameters.get('restrict');
  const names =
    typeof restrict === 'string' && restrict !== '' ? restrict.split(',').map((s) => s.trim()) : yql.sources;
  if (names === undefined || names.every((name) => name === contentCluster)) return [...schemas.values()];
  return names.map((name) => {
    const schema = schemas.get(
      name.startsWith(`${contentCluster}.`) ? name.slice(contentCluster.length + 1) : name,
    );
    if (schema) return schema;
    const valid = [contentCluster, ...[...schemas.keys()].map((s) => `${contentCluster}.${s}`)].join(', ');
    throw badParameter(`Could not resolve source ref '${name}'. Valid source refs are ${valid}.`);
  });
}

function profileOf(schema: Schema, parameters: Parameters): RankProfile {
  const name = (parameters.get('ranking.profile') ?? parameters.get('ranking') ?? 'default') as string;
  const profile = schema.rankProfiles.get(name);
  if (profile === undefined)
    throw badParameter(`schema '${schema.name}' does not contain requested rank profile '${name}'`);
  return profile;
}

function inputsOf(profile: RankProfile, parameters: Parameters): Map<string, Value> {
  const inputs = new Map<string, Value>();
  for (const [name, type] of profile.inputs) {
    const given = parameters.get(`input.${name}`) ?? parameters.get(`ranking.features.${name}`);
    if (given === undefined) continue;
    try {
      inputs.set(name, readInput(`input.${name}`, type, given));
    } catch (error) {
      if (error instanceof InputError) throw illegal(error.message);
      throw error;
    }
  }
  return inputs;
}

function hitJson(store: DocumentStore, schema: Schema, hit: RankedHit, yql: Yql): unknown {
  const document = store.get(schema.name, hit.id);
  const fields: Record<string, unknown> = { sddocname: schema.name, documentid: hit.id };
  for (const [name, value] of document?.fields ?? []) {
    const field = schema.fields.get(name);
    if (field?.summary !== true || (yql.fields !== undefined && !yql.fields.includes(name))) continue;
    fields[name] = toJson(value, field.type.kind === 'tensor' ? { type: typeText(field.type) } : undefined);
  }
  if (hit.matchFeatures) fields['matchfeatures'] = hit.matchFeatures;
  return { id: hit.id, relevance: hit.score, source: store.model.contentCluster, fields };
}

function toJson(value: FieldValue, tensor?: { readonly type: string }): unknown {
  // As digits: a 64-bit long is no JavaScript number.
  if (typeof value === 'bigint') return rawJson(value.toString());
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return (value as FieldValue[]).map((v) => toJson(v));
  if (value instanceof Map)
    return Object.fromEntries(
      [...(value as ReadonlyMap<string, FieldValue>)].map(([k, v]) => [String(k), toJson(v)]),
    );
  const { blocks } = value as TensorValue;
  const cells = [...blocks].map(([key, block]) => [key, Array.from(block)] as const);
  return cells.length === 1 && cells[0]![0] === ''
    ? { ...tensor, values: cells[0]![1] }
    : { ...tensor, blocks: Object.fromEntries(cells) };
}

/** In Node since 21, in TypeScript's library not yet. */
const { rawJSON: rawJson } = JSON as unknown as { rawJSON: (text: string) => unknown };

function indexFor(indexes: Map<Schema, SchemaIndex>, store: DocumentStore, schema: Schema): SchemaIndex {
  let index = indexes.get(schema);
  if (index === undefined) {
    // A redeploy makes new schema objects: what belonged to the old ones must not pile up.
    for (const known of indexes.keys())
      if (![...store.model.schemas.values()].includes(known)) indexes.delete(known);
    indexes.set(schema, (index = new SchemaIndex(schema, store)));
  }
  return index;
}

/** GET and POST alike: nested JSON becomes dotted keys, but for values under `input.*`, which stay as they are. */
async function parametersOf(request: ApiRequest): Promise<Map<string, unknown>> {
  const parameters = new Map<string, unknown>(new URLSearchParams(request.query));
  if (request.method !== 'POST') return parameters;
  const body = (await request.body()).toString('utf8');
  if (body.trim() === '') return parameters;
  if (!(request.headers['content-type'] ?? '').startsWith('application/json')) {
    for (const [key, value] of new URLSearchParams(body)) parameters.set(key, value);
    return parameters;
  }
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    throw illegal(`Json parse error.: ${(error as Error).message}`);
  }
  flatten(json, '', parameters);
  return parameters;
}

function flatten(value: unknown, prefix: string, into: Map<string, unknown>): void {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    into.set(prefix, value);
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    const name = prefix === '' ? key : `${prefix}.${key}`;
    if (/^(input|ranking\.features)\.query\(/.test(name) || /^select\.(where|grouping)$/.test(name))
      into.set(name, inner);
    else flatten(inner, name, into);
  }
}

function answer(status: number, body: unknown): ApiResponse {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify(body),
  };
}
