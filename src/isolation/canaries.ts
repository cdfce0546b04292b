import { createHash } from 'node:crypto';
import { CANARY_LIFE, CANARY_NAMESPACE, CANARY_SPAN } from '../domain/canaries.js';
import type { Incarnation } from '../domain/ids.js';
import { type BaseSchema, MEMORY_SCHEMA } from '../domain/profiles.js';
import { DIMENSIONS, documentBody } from '../memory/documents.js';
import type { TenantLife } from '../memory/tenantMemory.js';
import { vectorHex } from '../memory/vectors.js';
import type { DocumentAddress } from '../vespa/documents.js';
import type { Member } from './member.js';

/** Where the canary of a life is in a schema. */
export function canaryAt(schema: string, { incarnation }: Pick<Member, 'incarnation'>): DocumentAddress {
  return { namespace: CANARY_NAMESPACE, schema, id: incarnation };
}

/** Field of a schema that holds the token; an attribute, so that a search gives it back from memory. */
export function tokenField(base: BaseSchema): 'run_id' | 'video_id' {
  return base === MEMORY_SCHEMA ? 'run_id' : 'video_id';
}

/** Body of a put. Of memory it is a memory, which a search by vector finds. */
export function canaryBody(base: BaseSchema, schema: string, member: Member): Buffer {
  const { tenant, token } = member;
  if (base === MEMORY_SCHEMA) return memoryBody(canaryLife(member, schema), member);
  const fields = { tenant_id: tenant, incarnation: CANARY_LIFE, [tokenField(base)]: token };
  return Buffer.from(JSON.stringify({ fields }));
}

/** As which a tenant searches its memory for canaries: nobody else's search names this life. */
export function canaryLife({ tenant }: Pick<Member, 'tenant'>, schema: string): TenantLife {
  return { tenant, incarnation: CANARY_LIFE as Incarnation, schema };
}

/** Id of no model: no real query finds its vectors, and none is asked for. */
export const CANARY_EMBEDDER = 'canary';
export const CANARY_VECTOR: ArrayLike<number> = Float32Array.from({ length: DIMENSIONS }, () => 1);

/** @param life that the memory says it is of */
export function memoryBody(life: TenantLife, { incarnation, token }: Omit<Member, 'tenant'>): Buffer {
  const payload = { data: '', hash: '', createdAt: new Date().toISOString(), run_id: token };
  const memory = { id: incarnation, kind: 'canary', payload, embedder: CANARY_EMBEDDER };
  return documentBody(life, memory, vectorHex(CANARY_VECTOR));
}

/** Attribute of the span that holds the token. */
export const TOKEN_ATTRIBUTE = 'cvops.canary';

/**
 * A span as Phoenix takes it by REST. Its ids are of the life and token: ids are global in Phoenix, and one that is known
 * is not stored again. It names a parent that there is none of, as a span without one counts as a request.
 */
export function canarySpan({ tenant, incarnation, token }: Member) {
  const id = (what: string, digits: number) =>
    createHash('sha256').update(`canary/${incarnation}/${token}/${what}`).digest('hex').slice(0, digits);
  const now = new Date().toISOString();
  return {
    name: CANARY_SPAN,
    context: { trace_id: id('trace', 32), span_id: id('span', 16) },
    parent_id: id('parent', 16),
    span_kind: 'CHAIN',
    start_time: now,
    end_time: now,
    status_code: 'OK',
    attributes: { tenant_id: tenant, [TOKEN_ATTRIBUTE]: token },
  };
}
