import { activityInfo } from '@temporalio/activity';
import { requireOwnTenant } from '../src/access/ownTenant.js';
import { checkInput } from '../src/contracts/common.js';
import {
  clearMemoryInput,
  importMemoryInput,
  pruneMemoryInput,
  scheduledPruneInput,
} from '../src/contracts/memory.js';
import { OpsError } from '../src/domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../src/domain/ids.js';
import { cutoffsOf, requireRetention } from '../src/domain/memory.js';
import { workflowIds } from '../src/domain/naming.js';
import { requireState } from '../src/domain/states.js';
import { whileWriting } from '../src/limits/memoryWriter.js';
import { checkMemoryFile, readMemoryFile } from '../src/memory/file/read.js';
import type { LongRemoval, RemovalProgress, TenantLife, TenantMemory } from '../src/memory/tenantMemory.js';
import { type Pool, type Queryable, transaction } from '../src/registry/database.js';
import { noteMemories, recountMemories, withRoomFor } from '../src/quotas/memories.js';
import { lowerFence, renewFence } from '../src/registry/fence.js';
import { beginOperation, closeOperation, endOperation } from '../src/registry/operationLog.js';
import { getOperation, noteCount } from '../src/registry/operations.js';
import { type TenantRow, getLife, lockTenant } from '../src/registry/tenants.js';
import { memoryOf } from '../src/tenants/memoryOf.js';
import type { Reach } from '../src/sources/reach.js';
import { mayPass } from './failures.js';
import { heartbeating } from './heartbeat.js';
import type { MemoryActivities, TenantKey } from './types.js';

const VERBS = {
  clearMemory: 'clear-memory',
  pruneMemory: 'prune-memory',
  importMemory: 'import-memory',
} as const;

type DataActivities = Pick<
  MemoryActivities,
  'clearMemory' | 'removeOldMemories' | 'checkMemoryFile' | 'importMemories'
>;

/** Another operation has closed the tenant to changes: come back later. */
export class TenantClosed extends Error {
  override readonly name = 'TenantClosed';
}

interface Begin {
  readonly kind: keyof typeof VERBS;
  readonly tenant: TenantId;
  readonly operation: OperationId;
  readonly workflowId: string;
  readonly principal: string;
  readonly principalTenant?: TenantId;
  readonly reason: string;
  readonly input?: Readonly<Record<string, unknown>>;
  /** The life that a schedule was made in. */
  readonly incarnation?: Incarnation;
}

/** The part that is short and needs only the registry. */
export function createMemoryLedgerActivities({
  pool,
}: {
  readonly pool: Pool;
}): Omit<MemoryActivities, keyof DataActivities> {
  return {
    async beginClearMemory(raw) {
      const input = checkInput(clearMemoryInput, raw);
      const workflowId = workflowIds.clearMemory(input.tenant, input.operation);
      return begin(pool, { ...input, kind: 'clearMemory', workflowId });
    },

    async finishClearMemory({ removed, ...key }) {
      await transaction(pool, async (tx) => {
        // This very step, run before.
        if ((await getOperation(tx, key.operation)).state === 'completed') return;
        if (!(await renewFence(tx, key)))
          throw new OpsError(
            'Conflict',
            `tenant ${key.tenant} was not closed to changes all the time its memory was cleared`,
            `clear it again: cvops memory clear ${key.tenant}`,
          );
        await noteMemories(tx, key, 0);
        await lowerFence(tx, key);
        await endOperation(tx, key.operation, VERBS.clearMemory, { state: 'completed', counts: { removed } });
      });
      return { tenant: key.tenant, operation: key.operation, removed };
    },

    async beginPruneMemory({ workflowId, ...raw }) {
      if ('principal' in raw) {
        const { retention, ...input } = checkInput(pruneMemoryInput, raw);
        requireRetention(retention);
        return begin(pool, { ...input, kind: 'pruneMemory', workflowId, input: { retention } });
      }
      const { operation, ...scheduled } = raw;
      const { tenant, incarnation, every, retention } = checkInput(scheduledPruneInput, scheduled);
      requireRetention(retention);
      const by = { principal: 'schedule:memory', reason: `scheduled prune of memories, ${every}` };
      return begin(pool, {
        ...{ kind: 'pruneMemory', tenant, incarnation, operation, workflowId, input: { retention }, ...by },
      });
    },

    async finishPruneMemory({ operation, removed }) {
      await closeOperation(pool, operation, VERBS.pruneMemory, { state: 'completed', counts: { removed } });
    },

    async beginImportMemory(raw) {
      const { file, ...input } = checkInput(importMemoryInput, raw);
      const workflowId = workflowIds.importMemory(input.tenant, input.operation);
      return begin(pool, { ...input, kind: 'importMemory', workflowId, input: { file } });
    },

    async finishImportMemory({ tenant, operation, memories }) {
      await closeOperation(pool, operation, VERBS.importMemory, { state: 'completed', counts: { memories } });
      return { tenant, operation, memories };
    },

    async failMemory({ kind, operation, state, failure }) {
      await closeOperation(pool, operation, VERBS[kind], { state, error: failure }, { ...failure });
    },
  };
}

export interface MemoryData {
  readonly pool: Pool;
  readonly memory: (life: TenantLife) => TenantMemory;
  /** Of the principal of the run that asks. */
  readonly reach: () => Promise<Reach>;
}

/** The part that touches memories; on the data workers. */
export function createMemoryDataActivities({ pool, memory, reach }: MemoryData): DataActivities {
  return {
    async clearMemory(key) {
      const of = memory(await memoryOf(pool, await openLife(pool, key)));
      return removing(key, (stop, call) => mayPass(of.clear({ signal: stop, ...call })));
    },

    async removeOldMemories({ retention, now, ...key }) {
      const cutoffs = cutoffsOf(retention, now);
      return removing(key, (stop, call) =>
        changing(key, stop, async (of, signal) => {
          const removed = await of.removeOlderThan(cutoffs, { signal, ...call });
          await recountMemories(pool, key, of, { writers: 1, signal });
          return removed;
        }),
      );
    },

    async checkMemoryFile({ file }) {
      return heartbeating(async (signal) => checkMemoryFile(file, { signal, reach: await reach() }));
    },

    async importMemories({ file, sha256, ...key }) {
      return heartbeating((stop) =>
        changing(key, stop, async (of, signal) => {
          const how = { sha256, signal, reach: await reach() };
          const records = () => readMemoryFile(file, how);
          const memories = await withRoomFor(
            pool,
            { life: key, operation: key.operation },
            of,
            () => of.countNew(records(), signal),
            () => of.importRecords(records(), { signal }),
          );
          return { memories };
        }),
      );
    },
  };

  /** What is removed is counted over all tries: the count in the ledger, the place in the heartbeats. */
  function removing<T>(
    { operation }: TenantKey,
    work: (stop: AbortSignal, call: Omit<LongRemoval, 'signal'>) => Promise<T>,
  ): Promise<T> {
    // What the try before has told last.
    const resume = (activityInfo().heartbeatDetails as RemovalProgress | undefined | null) ?? undefined;
    let progress = resume;
    const call = {
      ...(resume ? { resume } : {}),
      noteFound: (found: number) => noteCount(pool, operation, 'found', found),
      onProgress: (made: RemovalProgress) => void (progress = made),
    };
    return heartbeating(
      (stop) => work(stop, call),
      () => progress,
    );
  }

  function changing<T>(
    key: TenantKey,
    stop: AbortSignal,
    work: (of: TenantMemory, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return whileWriting(
      pool,
      async (tx) => {
        await tx.query('select 1 from tenants where incarnation = $1 for share', [key.incarnation]);
        const row = await openLife(tx, key);
        if (row.fence !== null)
          throw new TenantClosed(`tenant ${key.tenant} is closed to changes by operation ${row.fence}`);
        return row;
      },
      async (row, signal) => mayPass(work(memory(await memoryOf(pool, row)), signal)),
      { signal: stop },
    );
  }
}

async function begin(pool: Pool, asked: Begin): Promise<{ incarnation: Incarnation }> {
  const { kind, tenant, operation, workflowId, principal, principalTenant, reason, input } = asked;
  requireOwnTenant(principalTenant, tenant);
  return transaction(pool, async (tx) => {
    const row = await lockTenant(tx, tenant, 'remember');
    const { incarnation } = row;
    if (asked.incarnation !== undefined && asked.incarnation !== incarnation)
      throw new OpsError('WrongState', `tenant ${tenant} was re-created since this was scheduled`);
    await memoryOf(tx, row);
    const begun = { operation, kind, tenant, incarnation, principal, reason, workflowId };
    await beginOperation(tx, { ...begun, ...(input ? { input } : {}) }, VERBS[kind], input ?? {});
    return { incarnation };
  });
}

/** The life of an operation under way; deactivated meanwhile, and let end, is fine. */
async function openLife(db: Queryable, key: TenantKey): Promise<TenantRow> {
  const row = await getLife(db, key);
  requireState('continueMemory', key.tenant, row.state, row.purgeAt);
  return row;
}
