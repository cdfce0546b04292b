import type { RankProfile, Schema } from '../model.js';
import type { DocumentStore, TensorValue } from '../store.js';
import { type RankContext, evaluate, parseExpression } from './expression.js';
import { type Value, asNumber, fromStored, hamming } from './tensor.js';
import type { SchemaIndex } from './textIndex.js';

export interface RankedHit {
  readonly id: string;
  readonly score: number;
  readonly matchFeatures?: Readonly<Record<string, number>>;
}

/** Everything ranking needs of one query. */
export interface RankQuery {
  readonly schema: Schema;
  readonly profile: RankProfile;
  readonly inputs: ReadonlyMap<string, Value>;
  readonly words: ReadonlyMap<string, readonly string[]>;
  /** Fields of the query's nearestNeighbor items, with the input each compares to. */
  readonly neighbours: ReadonlyMap<string, Value>;
}

/**
 * First phase over all matches, second over the best `rerankCount` of them. Those that are not re-ranked stay below the
 * ones that are, whatever their first score was.
 */
export function rank(
  ids: readonly string[],
  query: RankQuery,
  index: SchemaIndex,
  store: DocumentStore,
): RankedHit[] {
  const { profile } = query;
  const scored = ids
    .map((id) => ({ id, score: scoreOf(profile.firstPhase ?? '0', id, query, index, store) }))
    .toSorted((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1));
  if (profile.secondPhase === undefined) return scored;
  const { expression, rerankCount } = profile.secondPhase;
  const best = scored
    .slice(0, rerankCount)
    .map(({ id }) => ({ id, score: scoreOf(expression, id, query, index, store) }))
    .toSorted((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1));
  const rest = scored.slice(rerankCount);
  const lowest = best.at(-1)?.score ?? 0;
  const highest = rest[0]?.score ?? 0;
  const shift = highest >= lowest ? highest - lowest + 1 : 0;
  return [...best, ...rest.map(({ id, score }) => ({ id, score: score - shift }))];
}

/** The features of a hit that the profile asks to return. */
export function features(
  names: readonly string[],
  id: string,
  query: RankQuery,
  index: SchemaIndex,
  store: DocumentStore,
): Record<string, number> {
  return Object.fromEntries(
    names.map((name) => [name.replace(/, /g, ','), scoreOf(name, id, query, index, store)]),
  );
}

function scoreOf(
  expression: string,
  id: string,
  query: RankQuery,
  index: SchemaIndex,
  store: DocumentStore,
): number {
  const score = asNumber(evaluate(parseExpression(expression).root, contextOf(id, query, index, store)));
  return Number.isNaN(score) ? -Infinity : score;
}

function contextOf(id: string, query: RankQuery, index: SchemaIndex, store: DocumentStore): RankContext {
  const { schema, profile } = query;
  let fields: ReturnType<DocumentStore['get']>;
  const tensor = (name: string): Value => {
    const type = schema.fields.get(name)?.type;
    if (type?.kind !== 'tensor') return 0;
    fields ??= store.get(schema.name, id);
    const value = fields?.fields.get(name) as TensorValue | undefined;
    return fromStored(value ?? { tensor: true, blocks: new Map() }, type.tensor);
  };
  return {
    function(name) {
      const own = profile.functions.get(name);
      return own ? { parameters: own.parameters, body: parseExpression(own.expression).root } : undefined;
    },
    feature(name, argument) {
      switch (name) {
        case 'query':
          return query.inputs.get(`query(${argument})`) ?? 0;
        case 'attribute': {
          if (schema.fields.get(argument)?.type.kind === 'tensor') return tensor(argument);
          const value = index.attributes(id).get(argument);
          return typeof value === 'string' ? 0 : Number(value ?? 0);
        }
        case 'bm25':
          return index.bm25(argument, query.words.get(argument) ?? [], id);
        case 'constant':
          return profile.constants.get(argument) ?? 0;
        case 'closeness':
        case 'distance': {
          const field = argument.split(',').at(-1)!.trim();
          const to = query.neighbours.get(field);
          // Without a nearestNeighbor item in the query there is nothing to be near to.
          if (to === undefined) return name === 'closeness' ? 0 : Number.MAX_VALUE;
          const d = distance(tensor(field), to, schema.fields.get(field)?.distanceMetric ?? 'euclidean');
          return name === 'closeness' ? 1 / (1 + d) : d;
        }
        case 'nativeRank':
          return [...query.words].reduce((sum, [field, words]) => sum + index.bm25(field, words, id), 0);
        default:
          return profile.constants.get(name) ?? 0;
      }
    },
  };
}

/** To the nearest vector of the field, for one with a mapped dimension. */
export function distance(field: Value, query: Value, metric: string): number {
  if (typeof field === 'number' || typeof query === 'number') return Number.MAX_VALUE;
  const wanted = query.blocks.values().next().value;
  if (wanted === undefined) return Number.MAX_VALUE;
  let nearest = Number.MAX_VALUE;
  for (const cells of field.blocks.values()) nearest = Math.min(nearest, between(cells, wanted, metric));
  return nearest;
}

function between(a: ArrayLike<number>, b: ArrayLike<number>, metric: string): number {
  let dot = 0;
  let lengthA = 0;
  let lengthB = 0;
  let squares = 0;
  let bits = 0;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i] ?? 0];
    dot += x * y;
    lengthA += x * x;
    lengthB += y * y;
    squares += (x - y) ** 2;
    if (metric === 'hamming') bits += hamming(x, y);
  }
  switch (metric) {
    case 'angular':
      return lengthA === 0 || lengthB === 0
        ? Math.PI
        : Math.acos(Math.min(1, Math.max(-1, dot / Math.sqrt(lengthA * lengthB))));
    case 'prenormalized-angular':
      return 1 - dot / Math.max(lengthB, Number.MIN_VALUE);
    case 'dotproduct':
      return -dot;
    case 'hamming':
      return bits;
    default:
      return Math.sqrt(squares);
  }
}
