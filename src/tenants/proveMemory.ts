import { createHash } from 'node:crypto';
import type { MemoryRecord, TenantLife, TenantMemory } from '../memory/tenantMemory.js';
import { DIMENSIONS } from '../memory/documents.js';
import { vectorHex } from '../memory/vectors.js';

const TEXT = 'written, read back, removed';

/**
 * Writes a memory, reads it back, and removes it: the schema keeps what it is given. No embedder is asked; a tenant can
 * be made while that is away.
 *
 * @throws Error when it does not, worth another try
 */
export async function proveMemory(life: TenantLife, memory: TenantMemory): Promise<void> {
  const probe = probeOf(life);
  await memory.importRecords([probe]);
  const read = await memory.get(probe.id);
  await memory.delete(probe.id);
  if (read?.memory !== TEXT || (await memory.get(probe.id)) !== undefined)
    throw new Error(`memory schema ${life.schema} does not keep what is written, or keeps what is removed`);
}

/** One id a life: a try that was killed half-way leaves what the next one takes away. */
function probeOf({ incarnation }: TenantLife): MemoryRecord {
  return {
    id: incarnation,
    kind: 'probe',
    payload: {
      data: TEXT,
      hash: createHash('md5').update(TEXT).digest('hex'),
      createdAt: new Date().toISOString(),
      user_id: 'cvops',
    },
    embedder: 'none',
    embedding: vectorHex(Float32Array.from({ length: DIMENSIONS }, () => 1)),
  };
}
