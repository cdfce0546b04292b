import { createHash } from 'node:crypto';
import { z } from 'zod';
import { OpsError } from '../domain/errors.js';
import { parseKind } from '../domain/memory.js';
import { type StoredMemory, scopeOf } from './documents.js';
import { isMemoryId } from './ids.js';
import { checkScope, checkText, expiryOf } from './input.js';
import type { Fields } from './readAll.js';
import type { MemoryRecord } from './tenantMemory.js';
import { isVectorHex } from './vectors.js';

/** Fields that {@link recordOf} needs. */
export const RECORD_FIELDS = ['id', 'kind', 'embedder', 'payload', 'embedding'] as const;

/** Of a document as a visit with tensors in hex gives it. The names come in one order, so that equal is equal bytes. */
export function recordOf(fields: Fields): MemoryRecord {
  const { values } = fields['embedding'] as { values: string };
  return {
    id: String(fields['id']),
    kind: String(fields['kind']),
    payload: JSON.parse(String(fields['payload'])) as Record<string, unknown>,
    embedder: String(fields['embedder']),
    embedding: values,
  };
}

const isoTime = z.iso.datetime({ offset: true });
const shape = z.strictObject({
  id: z.string().refine(isMemoryId),
  kind: z.string(),
  payload: z.looseObject({
    data: z.string(),
    hash: z.string(),
    createdAt: isoTime,
    updatedAt: isoTime.optional(),
    textLemmatized: z.string().optional(),
    expiration_date: z.string().optional(),
    user_id: z.string().optional(),
    agent_id: z.string().optional(),
    run_id: z.string().optional(),
  }),
  embedder: z.string().regex(/^[\x21-\x7e]{1,300}$/),
  embedding: z.string().refine(isVectorHex),
});

/**
 * A record that comes from outside, as it was exported.
 *
 * @param at its place among the records, from 1, for the error
 * @throws OpsError `InvalidInput` saying which field is wrong
 */
export function checkRecord(value: unknown, at: number): MemoryRecord {
  const parsed = shape.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw bad(at, `${issue?.path.join('.') || 'it'} is wrong`);
  }
  const { kind, payload } = parsed.data;
  try {
    parseKind(kind);
    checkScope(scopeOf(payload));
    checkText(payload.data);
    if (payload.expiration_date !== undefined) expiryOf(payload.expiration_date);
  } catch (error) {
    throw bad(at, error instanceof Error ? error.message : String(error));
  }
  if (payload.hash !== createHash('md5').update(payload.data).digest('hex'))
    throw bad(at, 'its hash is not that of its text');
  // As it came: a schema's own order of names is another.
  return value as MemoryRecord;
}

export function storedOf({ id, kind, payload, embedder }: MemoryRecord): StoredMemory {
  return { id, kind, payload, embedder };
}

function bad(at: number, why: string): OpsError {
  return new OpsError(
    'InvalidInput',
    `memory ${at} cannot be imported: ${why}`,
    'memories before it may be stored; again is harmless',
  );
}
