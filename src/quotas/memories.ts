import { setTimeout as delay } from 'node:timers/promises';
import type { OperationId } from '../domain/ids.js';
import type { MemoryRoom } from '../memory/addRun.js';
import type { TenantMemory } from '../memory/tenantMemory.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import { memoryWritersOf } from '../registry/memoryWriters.js';
import type { TenantLife } from '../registry/tenants.js';
import { reserve, settle, withinQuota } from './reservations.js';
import { quotaStates } from './state.js';
import { OPEN } from './statements.js';
import { consume, giveBack } from './take.js';

/** Memories are counted before they are stored: what a killed caller leaves is too high, until they are counted anew. */
export function memoryRoom(pool: Pool, life: TenantLife): MemoryRoom {
  return {
    take: (memories) => consume(pool, life, 'memories', memories),
    giveBack: (memories) => giveBack(pool, life, { memories }),
  };
}

/**
 * Runs an import with room for all of it reserved: over the quota none of it is stored. The same operation again has what
 * it reserved. At the end the memories are counted anew.
 *
 * @param countNew how many the import would add; asked only when there is a limit
 * @throws OpsError `QuotaExceeded`; what `work` throws
 */
export async function withRoomFor<T>(
  pool: Pool,
  { life, operation }: { readonly life: TenantLife; readonly operation: OperationId },
  memory: Pick<TenantMemory, 'count'>,
  countNew: () => Promise<number>,
  work: () => Promise<T>,
): Promise<T> {
  const key = { life, key: operation, operation };
  const states = await quotaStates(pool, life.incarnation);
  if (states.some(({ resource, max }) => resource === 'memories' && max !== null)) {
    const memories = await countNew();
    await withinQuota(pool, (tx) => reserve(tx, key, { memories }));
  }
  const result = await work();
  await recountMemories(pool, life, memory, { writers: 1, also: (tx) => settle(tx, key) });
  return result;
}

const LOOKS = 5;
const LOOK_EVERY_MS = 200;

/**
 * Counts the memories anew after many were changed. A count is of a moment in which nobody else changes any, when there is
 * one within a second; else it may be off by what is under way, until the daily reconciliation.
 *
 * @param options.writers of the caller itself
 * @param options.also in the same transaction
 * @returns what was counted, and what had been
 */
export async function recountMemories(
  pool: Pool,
  life: TenantLife,
  memory: Pick<TenantMemory, 'count'>,
  options: {
    readonly writers?: number;
    readonly also?: (tx: Queryable) => Promise<unknown>;
    readonly signal?: AbortSignal;
  } = {},
): Promise<{ readonly was: number; readonly is: number }> {
  const { writers = 0, also, signal } = options;
  const usedNow = async () => {
    const states = await quotaStates(pool, life.incarnation);
    return states.find(({ resource }) => resource === 'memories')!.used;
  };
  for (let look = 1; ; look++) {
    const was = await usedNow();
    const quiet = (await memoryWritersOf(pool, life.incarnation)) <= writers;
    const is = await memory.count(signal);
    if ((quiet && (await usedNow()) === was) || look === LOOKS) {
      await transaction(pool, async (tx) => {
        await also?.(tx);
        await noteMemories(tx, life, is);
      });
      return { was, is };
    }
    await delay(LOOK_EVERY_MS);
  }
}

/** That a tenant has so many memories. */
export async function noteMemories(tx: Queryable, life: TenantLife, count: number): Promise<void> {
  await tx.query(
    `insert into quota_usage as u (incarnation, resource, used)
     select incarnation, 'memories', $2 from tenants
     where incarnation = $1 and ${OPEN}
     on conflict (incarnation, resource, period_start) do update set used = excluded.used`,
    [life.incarnation, count],
  );
}
