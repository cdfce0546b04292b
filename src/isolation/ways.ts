import { z } from 'zod';
import { DAY_MS } from '../domain/retention.js';
import { CANARY_NAMESPACE, CANARY_SPAN } from '../domain/canaries.js';
import { nearest } from '../memory/query.js';
import { type PhoenixClient, checkProjectName } from '../phoenix/client.js';
import { readSpans } from '../phoenix/storedSpans.js';
import type { Pool } from '../registry/database.js';
import { configCanaries } from '../registry/isolation.js';
import { type SchemaRow, schemasOf } from '../registry/schemas.js';
import { traceDestination } from '../registry/traceDestinations.js';
import type { DocumentClient } from '../vespa/documents.js';
import { ask } from '../vespa/search.js';
import { visit } from '../vespa/visit.js';
import {
  CANARY_EMBEDDER,
  CANARY_VECTOR,
  TOKEN_ATTRIBUTE,
  canaryAt,
  canaryLife,
  tokenField,
} from './canaries.js';
import type { Member } from './member.js';

export interface IsolationStores {
  readonly pool: Pool;
  readonly documents: DocumentClient;
  readonly phoenix: PhoenixClient;
  /** The content cluster's name. */
  readonly cluster: () => Promise<string>;
}

export type Schema = Pick<SchemaRow, 'schemaName' | 'baseSchema'>;

/** What is found in a place. What it says of itself is read, not believed; nothing else of it is. */
export interface Found {
  /** Of a document the whole id, of a span its id. */
  readonly id: string;
  readonly tenant: unknown;
  readonly token: unknown;
}

/**
 * How a tenant gets at its own, each way as the product goes it, and with every condition left out but the one that the
 * way is about. The self-test puts faulty ones in their place.
 */
export interface Ways {
  /** Schemas that are the tenant's and in Vespa. */
  schemasOf(of: Member): Promise<readonly Schema[]>;
  /** Phoenix project that its spans go to; undefined when none may be sent. */
  projectOf(of: Member): Promise<string | undefined>;
  /** Whatever a search of a schema finds that is not of this life; at most {@link MOST}. */
  search(schema: Schema, of: Member, signal: AbortSignal): Promise<readonly Found[]>;
  /** Whether a schema gives an answer to the address of another's canary. */
  get(schema: Schema, other: Member, signal: AbortSignal): Promise<boolean>;
  /** Every canary of a schema. */
  visit(schema: Schema, signal: AbortSignal): Promise<readonly Found[]>;
  /** Ids of the canaries that a search of the tenant's memory finds. */
  remember(schema: Schema, of: Member, signal: AbortSignal): Promise<readonly string[]>;
  /** Canaries of a project, and spans that say they are another tenant's: of these the newest few. */
  spans(project: string, of: Member): Promise<readonly Found[]>;
  /** Tokens in the tenant's configuration. */
  config(of: Member): Promise<readonly string[]>;
}

/** Documents that a search gives. */
export const MOST = 100;
const MOST_SPANS = 20;
const TIMEOUT = '20s';
/** How long ago a span may have been sent and still be told of: a verification runs daily. */
const SPAN_DAYS = 7;

export function waysOf({ pool, documents, phoenix, cluster }: IsolationStores): Ways {
  return {
    async schemasOf({ incarnation }) {
      return (await schemasOf(pool, incarnation)).filter(({ state }) => state === 'deployed');
    },
    async projectOf({ tenant }) {
      return (await traceDestination(pool, tenant))?.project;
    },
    search: (schema, of, signal) => searchFor(documents, schema, of, signal, schema.schemaName),
    async get({ schemaName }, other, signal) {
      const fieldSet = `${schemaName}:tenant_id`;
      return (await documents.get(canaryAt(schemaName, other), { fieldSet, signal })) !== undefined;
    },
    async visit({ schemaName, baseSchema }, signal) {
      const fieldSet = `${schemaName}:tenant_id,${tokenField(baseSchema)}`;
      const where = { schema: schemaName, namespace: CANARY_NAMESPACE, fieldSet };
      return visitFor(documents, { cluster: await cluster(), ...where, signal });
    },
    async remember({ schemaName }, of, signal) {
      const how = { vector: CANARY_VECTOR, embedder: CANARY_EMBEDDER, selection: {}, topK: MOST, signal };
      const hits = await nearest(documents, canaryLife(of, schemaName), how);
      return hits.map(({ memory }) => memory.id);
    },
    spans: async (project, { tenant }) => [
      ...(await canariesOf(phoenix, project)),
      ...(await strangers(phoenix, project, tenant)),
    ],
    config: ({ incarnation }) => configCanaries(pool, incarnation),
  };
}

/** @param restrict schemas that Vespa looks in; undefined: all there are */
export async function searchFor(
  documents: Pick<DocumentClient, 'search'>,
  { schemaName, baseSchema }: Schema,
  { tenant, incarnation }: Member,
  signal: AbortSignal,
  restrict: string | undefined,
): Promise<Found[]> {
  const token = tokenField(baseSchema);
  const fields = restrict === undefined ? '*' : `documentid, tenant_id, ${token}`;
  const own = 'tenant_id contains @tenant and incarnation contains @life';
  const body = {
    yql: `select ${fields} from ${restrict === undefined ? 'sources *' : schemaName} where true and !(${own})`,
    hits: MOST,
    'ranking.profile': 'unranked',
    ...(restrict === undefined ? {} : { 'model.restrict': restrict }),
    timeout: TIMEOUT,
    tenant,
    life: incarnation,
  };
  const { children = [] } = await ask(documents, body, signal);
  return children.map(({ id, fields: its = {} }) => ({
    id: typeof its['documentid'] === 'string' ? its['documentid'] : id,
    tenant: its['tenant_id'],
    token: its[token],
  }));
}

export async function visitFor(
  documents: DocumentClient,
  request: Parameters<typeof visit>[1],
): Promise<Found[]> {
  let found: Found[] = [];
  let sure: Found[] = [];
  for await (const event of visit(documents, request)) {
    if (event.kind === 'lines') found.push(...event.lines.map(foundIn));
    else if (event.kind === 'rewind') found = [...sure];
    else sure = [...found];
  }
  return found;
}

function foundIn(line: Buffer): Found {
  const { put, fields } = JSON.parse(line.toString('utf8')) as {
    put: string;
    fields: Record<string, unknown>;
  };
  return { id: put, tenant: fields['tenant_id'], token: fields['video_id'] ?? fields['run_id'] };
}

async function canariesOf(phoenix: PhoenixClient, project: string): Promise<Found[]> {
  const found: Found[] = [];
  for await (const { context, attributes } of readSpans(phoenix, project, { name: CANARY_SPAN }))
    found.push({ id: context.span_id, tenant: attributes['tenant_id'], token: attributes[TOKEN_ATTRIBUTE] });
  return found;
}

const STRANGERS = `query Strangers($name: String!, $range: TimeRange!, $first: Int!, $filter: String!) {
  getProjectByName(name: $name) { spans(first: $first, timeRange: $range, filterCondition: $filter) {
    edges { node { spanId attributes } } } }
}`;
const strangersShape = z.object({
  getProjectByName: z
    .object({
      spans: z.object({
        edges: z.array(z.object({ node: z.object({ spanId: z.string(), attributes: z.string() }) })),
      }),
    })
    .nullable(),
});

async function strangers(phoenix: PhoenixClient, project: string, tenant: string): Promise<Found[]> {
  const now = Date.now();
  const variables = {
    name: checkProjectName(project),
    range: {
      start: new Date(now - SPAN_DAYS * DAY_MS).toISOString(),
      end: new Date(now + DAY_MS).toISOString(),
    },
    first: MOST_SPANS,
    // A tenant id has no character that would end the text.
    filter: `attributes['tenant_id'] != "${tenant}" and name != "${CANARY_SPAN}"`,
  };
  const { getProjectByName: there } = await phoenix.graphql(STRANGERS, variables, strangersShape);
  return (there?.spans.edges ?? []).map(({ node: { spanId, attributes } }) => ({
    id: spanId,
    tenant: (JSON.parse(attributes) as Record<string, unknown>)['tenant_id'],
    token: undefined,
  }));
}
