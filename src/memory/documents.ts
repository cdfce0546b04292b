import { OpsError } from '../domain/errors.js';
import { MEMORY_NAMESPACE } from '../domain/naming.js';
import type { DocumentAddress } from '../vespa/documents.js';
import { expiryOf } from './input.js';
import { positionOf } from './ids.js';
import type { MemoryItem, MemoryScope, TenantLife } from './tenantMemory.js';

/** Width of the schema's vectors. A shorter one is filled up with zeros, which leaves every cosine as it is. */
export const DIMENSIONS = 512;

/** What is stored of one memory, its vector apart. */
export interface StoredMemory {
  readonly id: string;
  readonly kind: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly embedder: string;
}

/** The fields that {@link readStored} needs. */
export const STORED_FIELDS = ['id', 'tenant_id', 'incarnation', 'kind', 'embedder', 'payload'] as const;

export function addressOf({ schema }: TenantLife, id: string): DocumentAddress {
  return { namespace: MEMORY_NAMESPACE, schema, id };
}

/**
 * The body of a put: what queries filter by as fields, and the whole payload as JSON text, so that nothing of it is lost
 * on the way. Never-expiring memories have `expires_at` 0, as what a field without a value matches is Vespa's own affair.
 *
 * @param embedding hex, as {@link vectorHex} makes it
 */
export function documentBody(life: TenantLife, memory: StoredMemory, embedding: string): Buffer {
  const { id, kind, payload, embedder } = memory;
  const json = JSON.stringify(payload);
  const created = timeOf(payload['createdAt']);
  const expires = payload['expiration_date'];
  const fields = {
    tenant_id: life.tenant,
    incarnation: life.incarnation,
    id,
    kind,
    text: textOf(payload['data']),
    text_lemmatized: textOf(payload['textLemmatized']),
    ...filtersOf(scopeOf(payload)),
    hash: textOf(payload['hash']),
    created_at: created,
    updated_at: payload['updatedAt'] === undefined ? created : timeOf(payload['updatedAt']),
    expires_at: typeof expires === 'string' ? expiryOf(expires) : 0,
    id_order: positionOf(id),
    embedder,
    payload: json,
    payload_bytes: Buffer.byteLength(json),
    embedding: { values: embedding },
  };
  return Buffer.from(JSON.stringify({ fields }));
}

/** @throws OpsError `VerificationFailed` for a document of another life: it is never an answer */
export function readStored(life: TenantLife, fields: Readonly<Record<string, unknown>>): StoredMemory {
  if (fields['tenant_id'] !== life.tenant || fields['incarnation'] !== life.incarnation)
    throw new OpsError(
      'VerificationFailed',
      `a memory in ${life.tenant}'s schema is not of this tenant: ${String(fields['id'])}`,
      'run: cvops isolation verify',
    );
  return {
    id: textOf(fields['id']),
    kind: textOf(fields['kind']),
    embedder: textOf(fields['embedder']),
    payload: JSON.parse(textOf(fields['payload'])) as Record<string, unknown>,
  };
}

/** What Mem0 and we write into a payload beside the caller's metadata. */
const OWN_NAMES = new Set([
  ...['user_id', 'agent_id', 'run_id', 'data', 'hash', 'textLemmatized'],
  ...['createdAt', 'updatedAt', 'expiration_date'],
]);

export function itemOf({ id, kind, payload }: StoredMemory, score?: number): MemoryItem {
  const updatedAt = payload['updatedAt'];
  const expiresOn = payload['expiration_date'];
  return {
    id,
    memory: textOf(payload['data']),
    hash: textOf(payload['hash']),
    createdAt: textOf(payload['createdAt']),
    ...(typeof updatedAt === 'string' ? { updatedAt } : {}),
    ...(typeof expiresOn === 'string' ? { expiresOn } : {}),
    ...scopeOf(payload),
    metadata: Object.fromEntries(Object.entries(payload).filter(([name]) => !OWN_NAMES.has(name))),
    kind,
    ...(score === undefined ? {} : { score }),
  };
}

export function scopeOf(payload: Readonly<Record<string, unknown>>): MemoryScope {
  const { user_id: userId, agent_id: agentId, run_id: runId } = payload;
  return {
    ...(typeof userId === 'string' ? { userId } : {}),
    ...(typeof agentId === 'string' ? { agentId } : {}),
    ...(typeof runId === 'string' ? { runId } : {}),
  };
}

/** Mem0's names of a scope. */
export function filtersOf({ userId, agentId, runId }: MemoryScope): Record<string, string> {
  return {
    ...(userId === undefined ? {} : { user_id: userId }),
    ...(agentId === undefined ? {} : { agent_id: agentId }),
    ...(runId === undefined ? {} : { run_id: runId }),
  };
}

/** Milliseconds since the epoch; 0 for what is no time. */
function timeOf(value: unknown): number {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? 0 : ms;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
