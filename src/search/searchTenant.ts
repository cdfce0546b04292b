import type { SearchHit, SearchInput, SearchResult } from '../contracts/search.js';
import { OpsError } from '../domain/errors.js';
import { PROFILES } from '../domain/profiles.js';
import type { Encoder } from '../encoders/port.js';
import type { TenantRates } from '../limits/rate.js';
import { admitSearch } from '../quotas/calls.js';
import type { Pool } from '../registry/database.js';
import { deployedSchema } from '../registry/schemas.js';
import { type TenantRow, requireTenant } from '../registry/tenants.js';
import type { Tracing } from '../telemetry/telemetry.js';
import type { DocumentClient } from '../vespa/documents.js';
import { type SegmentHit, searchSegments, strategyOf } from '../vespa/search.js';

export interface SearchResources {
  readonly pool: Pool;
  readonly documents: Pick<DocumentClient, 'search'>;
  readonly encoder: Encoder;
  readonly tracing: Tracing;
  /** `max_qps` of searches. */
  readonly rates: Pick<TenantRates, 'takeWithin'>;
}

/**
 * Searches one tenant's videos: the schema comes from the registry, the hits must be of this life of the tenant, and the
 * query leaves a span in the tenant's own Phoenix project, failed or not.
 *
 * @throws OpsError `NotFound`, `WrongState`, `InvalidInput`, `QuotaExceeded`, `Unavailable`, `VerificationFailed`
 */
export async function searchTenant(resources: SearchResources, input: SearchInput): Promise<SearchResult> {
  const strategy = strategyOf(input.profile, input.ranking);
  const row = await requireTenant(resources.pool, input.tenant, 'search');
  const clock = performance.now();
  const elapsed = () => Math.round((performance.now() - clock) * 100) / 100;
  const about = {
    'operation.name': 'search',
    backend: 'vespa',
    'input.value': input.query,
    query: input.query,
    profile: input.profile,
    strategy: strategy.profile.name,
    top_k: input.topK,
    ...(input.session === undefined ? {} : { 'session.id': input.session }),
  };
  return resources.tracing.traced(row, 'CHAIN', 'search_service.search', about, async (span) => {
    try {
      await admitSearch(resources, row);
      const hits = await search(resources, row, input);
      span.setAttributes({
        num_results: hits.length,
        'output.value': JSON.stringify(hits.map(({ video, start, score }) => ({ video, start, score }))),
        'output.mime_type': 'application/json',
        ...(hits[0] ? { top_score: hits[0].score } : {}),
      });
      return { tenant: input.tenant, hits, latencyMs: elapsed() };
    } finally {
      span.setAttribute('latency_ms', elapsed());
    }
  });
}

async function search(
  { pool, documents, encoder, tracing }: SearchResources,
  row: TenantRow,
  input: SearchInput,
): Promise<SearchHit[]> {
  const schema = await deployedSchema(pool, row, input.profile);
  const profile = PROFILES[input.profile];
  // Within the retrieval, which asks for them only if its ranking wants vectors.
  const vectors = () =>
    tracing.traced(row, 'EMBEDDING', 'encode_query', { 'embedding.model_name': encoder.id }, () =>
      encoder.encodeText(input.query, profile),
    );
  const hits = await tracing.traced(
    row,
    'RETRIEVER',
    'vespa.search',
    { schema: schema.schemaName, ranking: input.ranking, top_k: input.topK },
    async (span) => {
      const found = await searchSegments({
        documents,
        schema: schema.schemaName,
        profile: input.profile,
        ranking: input.ranking,
        text: input.query,
        vectors,
        dimensions: profile.dimensions,
        topK: input.topK,
      });
      for (const [i, { id, score }] of found.slice(0, SPAN_DOCUMENTS).entries())
        span.setAttributes({
          [`retrieval.documents.${i}.document.id`]: id,
          [`retrieval.documents.${i}.document.score`]: score,
        });
      return found;
    },
  );
  return hits.map((hit) => toHit(row, hit));
}

/** Hits that a span names: a trace tells how a search went, and is no copy of its answer. */
const SPAN_DOCUMENTS = 10;

function toHit(row: TenantRow, { id, score, fields }: SegmentHit): SearchHit {
  // The schema already keeps tenants apart; this is the second lock, on what each document says of itself.
  if (fields['tenant_id'] !== row.tenant || fields['incarnation'] !== row.incarnation) {
    throw new OpsError(
      'VerificationFailed',
      `a document in ${row.tenant}'s schema is not of this tenant: ${id}`,
      `run: cvops isolation verify`,
    );
  }
  return {
    id,
    tenant: row.tenant,
    video: String(fields['video_id']),
    start: Number(fields['start_time']),
    end: Number(fields['end_time']),
    score,
  };
}
