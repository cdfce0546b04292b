import { NO_CANARY } from '../domain/canaries.js';
import { OpsError } from '../domain/errors.js';
import { quoteForMessage } from '../domain/ids.js';
import type { ProfileName } from '../domain/profiles.js';
import type { DocumentClient } from './documents.js';
import { binarize, checkVectors } from './embedding.js';
import { jsonOf, messageOf } from './http.js';
import { type RankProfileFile, loadSchema } from './schemaFiles.js';

export interface SegmentHit {
  /** Whole document id. */
  readonly id: string;
  readonly score: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What a ranking strategy needs, read from its rank profile's inputs and expressions. */
export interface Strategy {
  readonly profile: RankProfileFile;
  readonly needsFloat: boolean;
  readonly needsBinary: boolean;
  readonly needsText: boolean;
}

export function rankingsOf(profile: ProfileName): string[] {
  return loadSchema(profile).rankProfiles.map(({ name }) => name);
}

/** @throws OpsError `InvalidInput` naming the profile's rankings */
export function strategyOf(profile: ProfileName, ranking: string): Strategy {
  const found = loadSchema(profile).rankProfiles.find(({ name }) => name === ranking);
  if (found === undefined) {
    throw new OpsError(
      'InvalidInput',
      `${profile} has no ranking ${quoteForMessage(ranking)}`,
      `rankings: ${rankingsOf(profile).join(', ')}`,
    );
  }
  const expressions = `${found.firstPhase} ${found.secondPhase?.expression ?? ''}`;
  return {
    profile: found,
    needsFloat: found.inputs.some(({ name }) => name === 'query(qt)'),
    needsBinary: found.inputs.some(({ name }) => name === 'query(qtb)'),
    needsText: expressions.includes('bm25('),
  };
}

export interface SegmentQuery {
  readonly documents: Pick<DocumentClient, 'search'>;
  /** Physical schema, from the registry. */
  readonly schema: string;
  readonly profile: ProfileName;
  readonly ranking: string;
  readonly text: string;
  /** One vector per query token; only read when the strategy needs vectors. */
  readonly vectors: () => Promise<readonly Float32Array[]>;
  readonly dimensions: number;
  readonly topK: number;
  readonly signal?: AbortSignal;
}

/**
 * Searches one physical schema. The YQL is ours and constant but for the schema's name; the user's words travel as a
 * parameter of `userInput`, where no text can change the query.
 *
 * @throws OpsError `InvalidInput` for an unknown ranking, `Unavailable` when Vespa fails or answers for a part only
 */
export async function searchSegments(query: SegmentQuery): Promise<SegmentHit[]> {
  const strategy = strategyOf(query.profile, query.ranking);
  const vectors = strategy.needsFloat || strategy.needsBinary ? await query.vectors() : [];
  if (vectors.length > 0) checkVectors(vectors, query.dimensions);
  // Any word may match: what a hybrid ranks is then all that text or vectors could mean, as in the original.
  const where = strategy.needsText
    ? '{defaultIndex: "default", grammar: "any"}userInput(@userQuery)'
    : 'true';
  const body = {
    yql: `select * from ${query.schema} where ${where} and ${NO_CANARY}`,
    hits: query.topK,
    'ranking.profile': strategy.profile.name,
    'model.restrict': query.schema,
    timeout: `${strategy.profile.timeout}s`,
    ...(strategy.needsText ? { userQuery: query.text } : {}),
    ...(strategy.needsFloat ? { 'input.query(qt)': blocks(vectors) } : {}),
    ...(strategy.needsBinary ? { 'input.query(qtb)': blocks(vectors.map(binarize)) } : {}),
  };
  const root = await ask(query.documents, body, query.signal);
  return (root.children ?? []).map((hit) => ({
    id: typeof hit.fields?.['documentid'] === 'string' ? hit.fields['documentid'] : hit.id,
    score: hit.relevance,
    fields: hit.fields ?? {},
  }));
}

/**
 * One query, tried once, answered for all documents or not at all.
 *
 * @param body parameters of `/search/`
 * @throws OpsError `Unavailable` when Vespa fails or answers for a part only; NoAnswer
 */
export async function ask(
  documents: Pick<DocumentClient, 'search'>,
  body: object,
  signal?: AbortSignal,
): Promise<SearchRoot> {
  const answer = await documents.search(body, signal);
  const root = (jsonOf(answer) as { root?: SearchRoot } | undefined)?.root;
  if (answer.status !== 200 || root === undefined)
    throw new OpsError('Unavailable', `Vespa answered ${answer.status}: ${messageOf(answer)}`);
  // Errors beside hits come with 200, and a soft timeout only shows in the coverage: a part is not the answer.
  if (root.errors?.[0])
    throw new OpsError('Unavailable', `Vespa: ${root.errors[0].message ?? root.errors[0].summary}`);
  if (root.coverage?.degraded)
    throw new OpsError(
      'Unavailable',
      'Vespa searched only a part of the documents',
      'try again, or raise the timeout of the rank profile',
    );
  return root;
}

/**
 * How many documents of a schema can be found, which is all that were acknowledged; quick, whatever the number.
 *
 * @returns undefined when Vespa fails or answers for a part only: count by visiting then
 */
export async function countFound(
  documents: Pick<DocumentClient, 'search'>,
  schema: string,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const body = {
    yql: `select * from ${schema} where true and ${NO_CANARY}`,
    hits: 0,
    'ranking.profile': 'unranked',
    'model.restrict': schema,
    timeout: '20s',
  };
  const answer = await documents.search(body, signal);
  const root = (jsonOf(answer) as { root?: SearchRoot } | undefined)?.root;
  if (answer.status !== 200 || root?.errors?.[0] || root?.coverage?.full !== true) return undefined;
  return root.fields?.totalCount;
}

export interface SearchRoot {
  readonly fields?: { readonly totalCount?: number };
  readonly children?: readonly {
    readonly id: string;
    readonly relevance: number;
    readonly fields?: Record<string, unknown>;
  }[];
  readonly errors?: readonly { readonly summary?: string; readonly message?: string }[];
  readonly coverage?: { readonly degraded?: unknown; readonly full?: boolean };
}

function blocks(vectors: readonly (Float32Array | Int8Array)[]): Record<string, number[]> {
  return Object.fromEntries(vectors.map((vector, row) => [String(row), Array.from(vector)]));
}
