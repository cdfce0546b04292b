import type { SearchHit, SearchInput, SearchResult } from '../contracts/search.js';
import { OpsError } from '../domain/errors.js';
import { PROFILES } from '../domain/profiles.js';
import type { Encoder } from '../encoders/port.js';
import type { SpanSender } from '../phoenix/spans.js';
import type { Pool } from '../registry/database.js';
import { deployedSchema } from '../registry/schemas.js';
import { type TenantRow, requireTenant } from '../registry/tenants.js';
import type { DocumentClient } from '../vespa/documents.js';
import { type SegmentHit, searchSegments, strategyOf } from '../vespa/search.js';

export interface SearchResources {
  readonly pool: Pool;
  readonly documents: Pick<DocumentClient, 'search'>;
  readonly encoder: Encoder;
  readonly spans: SpanSender;
}

/**
 * Searches one tenant's videos: the schema comes from the registry, the hits must be of this life of the tenant, and the
 * query leaves a span in the tenant's own Phoenix project, failed or not.
 *
 * @throws OpsError `NotFound`, `WrongState`, `InvalidInput`, `Unavailable`, `VerificationFailed`
 */
export async function searchTenant(resources: SearchResources, input: SearchInput): Promise<SearchResult> {
  const strategy = strategyOf(input.profile, input.ranking);
  const row = await requireTenant(resources.pool, input.tenant, 'search');
  const startedAt = new Date();
  const clock = performance.now();
  const span = {
    query: input.query,
    profile: input.profile,
    ranking: strategy.profile.name,
    topK: input.topK,
    session: input.session,
    startedAt,
  };
  const target = { tenant: input.tenant, project: row.phoenixProject };
  try {
    const hits = await search(resources, row, input);
    resources.spans.recordSearch(target, { ...span, results: hits.length, topScore: hits[0]?.score });
    return { tenant: input.tenant, hits, latencyMs: Math.round((performance.now() - clock) * 100) / 100 };
  } catch (error) {
    resources.spans.recordSearch(target, {
      ...span,
      results: 0,
      error: error instanceof Error ? error.message : String(error),
    });
    throw error;
  }
}

async function search(resources: SearchResources, row: TenantRow, input: SearchInput): Promise<SearchHit[]> {
  const schema = await deployedSchema(resources.pool, row, input.profile);
  const profile = PROFILES[input.profile];
  const hits = await searchSegments({
    documents: resources.documents,
    schema: schema.schemaName,
    profile: input.profile,
    ranking: input.ranking,
    text: input.query,
    vectors: () => resources.encoder.encodeText(input.query, profile),
    dimensions: profile.dimensions,
    topK: input.topK,
  });
  return hits.map((hit) => toHit(row, hit));
}

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
