import { createHash } from 'node:crypto';
import { memoryIds } from '../../src/memory/ids.js';
import type { MemoryRecord } from '../../src/memory/tenantMemory.js';
import { vectorHex } from '../../src/memory/vectors.js';
import { vectorOf } from './memories.js';

/** Of {@link madeRecords}, from so many on. */
export const [USERS, AGENTS] = [1234, 11] as const;

/** Memories of many users and agents, a thousand of one moment, with vectors that are said to be the embedder's. */
export function* madeRecords(count: number, embedder: string): Generator<MemoryRecord> {
  for (let n = 0; n < count; n++) {
    const data = `note ${n} about topic ${n % 50}`;
    const scope = { userId: `user_${n % USERS}`, agentId: `agent_${n % AGENTS}` };
    yield {
      id: memoryIds(scope, 'import')(n),
      kind: 'memory',
      payload: {
        ...{ source: 'made', data, hash: createHash('md5').update(data).digest('hex') },
        createdAt: new Date(1.7e12 + Math.floor(n / 1000)).toISOString(),
        ...{ user_id: scope.userId, agent_id: scope.agentId },
      },
      embedder,
      embedding: vectorHex(vectorOf(data)),
    };
  }
}
