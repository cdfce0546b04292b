import { createHash } from 'node:crypto';
import type { TenantMemories } from '../memory/tenantMemories.js';
import type { MemoryRecord, TenantLife } from '../memory/tenantMemory.js';
import { DIMENSIONS } from '../memory/documents.js';
import { vectorHex } from '../memory/vectors.js';

const TEXT = 'written, read back, removed';

/**
 * Writes a memory, reads it back, and removes it: the schema keeps what it is given. No embedder is asked; a tenant can
 * be made while that is away.
 *
 * @throws Error when it does not, worth another try
 */
export async function proveMemory(
  life: TenantLife,
  memories: Pick<TenantMemories, 'open' | 'embedder'>,
): Promise<void> {
  const memory = memories.open(life);
  // Another model's would be embedded anew.
  const probe = probeOf(life, memories.embedder);
  await memory.importRecords([probe]);
  const read = await memory.get(probe.id);
  await memory.delete(probe.id);
  if (read?.memory !== TEXT || (await memory.get(probe.id)) !== undefined)
    throw new Error(`memory schema ${life.schema} does not keep what is written, or keeps what is removed`);
}

/** One id a life: a try that was killed half-way leaves what the next one takes away. */
function probeOf({ incarnation }: TenantLife, embedder: string): MemoryRecord {
  return {
    id: incarnation,
    kind: 'probe',
    payload: {
      data: TEXT,
      hash: createHash('md5').update(TEXT).digest('hex'),
      createdAt: new Date().toISOString(),
      user_id: 'cvops',
    },
    embedder,
    embedding: vectorHex(Float32Array.from({ length: DIMENSIONS }, () => 1)),
  };
}
