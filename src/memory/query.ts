import type { DocumentClient } from '../vespa/documents.js';
import { type SearchRoot, ask } from '../vespa/search.js';
import { type StoredMemory, STORED_FIELDS, filtersOf, readStored } from './documents.js';
import type { MemoryScope, TenantLife } from './tenantMemory.js';
import { cosineOf, queryVector } from './vectors.js';

/** Longer than the profiles' own: the nearest of some hundred thousand vectors are found by looking at each. */
const TIMEOUT = '5s';

export const NEWEST_FIRST = 'created_at desc, id_order asc';

/** Which of a tenant's rows a query is about. */
export interface Selection extends MemoryScope {
  /** Those that are over by then are not found; milliseconds since the epoch. */
  readonly now?: number;
}

/** A condition in YQL; what comes from outside is a parameter, which no text can leave. */
export interface Condition {
  readonly yql: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Life and scope of the rows, always; a number is one of ours. */
export function conditionOf(life: TenantLife, selection: Selection, more: readonly string[] = []): Condition {
  const equal = { tenant_id: life.tenant, incarnation: life.incarnation, ...filtersOf(selection) };
  const { now } = selection;
  return {
    yql: [
      ...Object.keys(equal).map((field) => `${field} contains @${field}`),
      ...(now === undefined ? [] : [`!(range(expires_at, 1L, ${now}L))`]),
      ...more,
    ].join(' and '),
    parameters: equal,
  };
}

export interface Hit {
  readonly memory: StoredMemory;
  readonly relevance: number;
}

interface Query {
  readonly documents: Pick<DocumentClient, 'search'>;
  readonly life: TenantLife;
  readonly where: Condition;
  readonly hits: number;
  readonly profile: string;
  readonly orderBy?: string;
  readonly more?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal | undefined;
}

/** @throws OpsError `Unavailable`, `VerificationFailed` for a row of another life; NoAnswer */
export async function find(query: Query): Promise<Hit[]> {
  const root = await run(query, STORED_FIELDS);
  return (root.children ?? []).map(({ relevance, fields }) => ({
    memory: readStored(query.life, fields ?? {}),
    relevance,
  }));
}

/** How many rows there are, whatever `hits` is. @throws as {@link find} */
export async function countRows(query: Omit<Query, 'hits' | 'profile'>): Promise<number> {
  const root = await run({ ...query, hits: 0, profile: 'unranked' }, ['id']);
  return root.fields?.totalCount ?? 0;
}

/** The nearest by cosine, best first, each looked at: no approximation, so that a filter loses nothing. */
export async function nearest(
  documents: Pick<DocumentClient, 'search'>,
  life: TenantLife,
  options: {
    readonly vector: ArrayLike<number>;
    /** Of the vector; those that another model made are not found. */
    readonly embedder: string;
    readonly selection: Selection;
    readonly topK: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<{ memory: StoredMemory; score: number }[]> {
  const { vector, embedder, selection, topK, signal } = options;
  const near = `({targetHits: ${topK}, approximate: false}nearestNeighbor(embedding, q))`;
  const hits = await find({
    ...{ documents, life, hits: topK, signal, profile: 'semantic_search' },
    where: conditionOf(life, selection, ['embedder contains @embedder', near]),
    more: { embedder, 'input.query(q)': queryVector(vector) },
  });
  return hits.map(({ memory, relevance }) => ({ memory, score: cosineOf(relevance) }));
}

async function run(query: Query, fields: readonly string[]): Promise<SearchRoot> {
  const { documents, life, where, hits, profile, orderBy, more, signal } = query;
  const order = orderBy === undefined ? '' : ` order by ${orderBy}`;
  const body = {
    yql: `select ${fields.join(', ')} from ${life.schema} where ${where.yql}${order}`,
    hits,
    'ranking.profile': profile,
    'model.restrict': life.schema,
    // Scores come as they are for a part of the documents when time runs out; `ask` refuses such an answer.
    timeout: TIMEOUT,
    ...where.parameters,
    ...more,
  };
  return ask(documents, body, signal);
}
