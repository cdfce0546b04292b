import { CONTENT_NAMESPACE, MEMORY_NAMESPACE } from '../../src/domain/naming.js';
import { MEMORY_SCHEMA } from '../../src/domain/profiles.js';
import type { Pool } from '../../src/registry/database.js';
import { schemasOf } from '../../src/registry/schemas.js';
import { type TenantRow, getTenant } from '../../src/registry/tenants.js';
import { parseTenantId } from '../../src/domain/ids.js';
import type { DocumentClient } from '../../src/vespa/documents.js';
import { feedAll } from '../../src/vespa/feeding/feeder.js';
import type { FeedItem } from '../../src/vespa/feeding/operation.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { visit } from '../../src/vespa/visit.js';

const WORDS = 'Der Hund läuft über die Brücke und sieht 🐕 im Fluss "zwei" \\ Boote'.split(' ');

/** A tenant with one profile's schema and the one of its memories. */
export interface FilledTenant {
  readonly row: TenantRow;
  /** Physical names. */
  readonly videos: string;
  readonly memories: string;
}

export async function filledTenant(pool: Pool, id: string): Promise<FilledTenant> {
  const row = await getTenant(pool, parseTenantId(id));
  const schemas = await schemasOf(pool, row.incarnation);
  const named = (memory: boolean) =>
    schemas.find(({ baseSchema }) => (baseSchema === MEMORY_SCHEMA) === memory)!.schemaName;
  return { row, videos: named(false), memories: named(true) };
}

/** Segments of some half a KiB each, without embeddings, and memories. @throws when one is not stored */
export async function fillDocuments(
  documents: DocumentClient,
  tenant: FilledTenant,
  counts: { readonly segments: number; readonly memories: number },
): Promise<void> {
  const { acknowledged } = await feedAll(documents, items(tenant, counts), { stopOnFailure: true });
  if (acknowledged !== counts.segments + counts.memories)
    throw new Error(`only ${acknowledged} are acknowledged`);
}

async function* items(
  { row: { tenant, incarnation }, videos, memories }: FilledTenant,
  counts: { readonly segments: number; readonly memories: number },
): AsyncGenerator<FeedItem> {
  const of = { tenant_id: tenant, incarnation };
  for (let n = 0; n < counts.segments; n++)
    yield {
      at: { namespace: CONTENT_NAMESPACE, schema: videos, id: segmentId(n) },
      body: bodyOf({
        ...of,
        video_id: `v${Math.floor(n / 100)}`,
        segment_id: n % 100,
        creation_timestamp: 9_007_199_254_740_000 + n,
        start_time: n / 3,
        end_time: n % 7 === 0 ? -0 : (n + 1) / 3,
        segment_description: text(n, 18),
        audio_transcript: text(n * 7, 24),
        entity_ids: [`e${n % 13}`, `e${n % 17}`],
      }),
    };
  for (let n = 0; n < counts.memories; n++)
    yield {
      at: { namespace: MEMORY_NAMESPACE, schema: memories, id: `m${n}` },
      body: bodyOf({
        ...of,
        id: `m${n}`,
        kind: 'fact',
        text: text(n, 20),
        user_id: `u${n % 9}`,
        created_at: n,
      }),
    };
}

export const segmentId = (n: number): string => `v${Math.floor(n / 100)}_seg_${n % 100}`;

function text(seed: number, words: number): string {
  return Array.from({ length: words }, (_, i) => WORDS[(seed * 31 + i * i) % WORDS.length]).join(' ');
}

function bodyOf(fields: Record<string, unknown>): Buffer {
  return Buffer.from(JSON.stringify({ fields }));
}

/** The documents of a schema as the server writes them, sorted by id. */
export async function sortedLines(documents: DocumentClient, schema: string): Promise<Buffer[]> {
  const lines: Buffer[] = [];
  for await (const event of visit(documents, { cluster: CONTENT_CLUSTER, schema }))
    if (event.kind === 'lines') lines.push(...event.lines.map((line) => Buffer.from(line)));
    else if (event.kind === 'rewind') throw new Error(`the visit was cut: ${event.reason}`);
  return lines.toSorted((a, b) => a.compare(b));
}

/** Places at which two schemas differ, and what one has more than the other. */
export function differingBytes(a: readonly Buffer[], b: readonly Buffer[]): number {
  const [one, other] = [Buffer.concat(a), Buffer.concat(b)];
  const both = Math.min(one.length, other.length);
  let differing = Math.max(one.length, other.length) - both;
  for (let at = 0; at < both; at++) if (one[at] !== other[at]) differing++;
  return differing;
}
