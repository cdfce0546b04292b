import { CancellationScope, setCurrentDetails, upsertMemo, uuid4, workflowInfo } from '@temporalio/workflow';
import type { TenantKey } from '../activities/types.js';
import type { PruneMemoryInput, PruneMemoryResult } from '../src/contracts/memory.js';
import type { OperationId } from '../src/domain/ids.js';
import { spokenRetention } from '../src/domain/memory.js';
import { endingOf, failureRecord, thrownFor } from './failures.js';
import { noteState } from './operationState.js';
import { memories, memoryData, titled } from './options.js';
import { versioned } from './versioning.js';

/**
 * Removes the memories of a tenant that are too old by its retention, as of the time it begins: asked for by hand, or by
 * the tenant's schedule, which gives each run an operation of its own.
 */
export async function pruneMemory(asked: PruneMemoryInput): Promise<PruneMemoryResult> {
  const { tenant, retention } = asked;
  const byHand = 'operation' in asked;
  const operation = byHand ? asked.operation : (uuid4() as OperationId);
  const now = Date.now();
  const show = (doing: string): void =>
    setCurrentDetails(`**Prune the memory of \`${tenant}\`**: ${doing}\n\n- ${spokenRetention(retention)}`);

  show('begins');
  let key: TenantKey;
  try {
    const begin = { ...asked, operation, workflowId: workflowInfo().workflowId };
    const { incarnation } = await titled(
      memories.beginPruneMemory,
      spokenRetention(retention).slice(0, 150),
      begin,
    );
    key = { tenant, incarnation, operation };
  } catch (error) {
    const { code, message } = failureRecord(error);
    // Refused for the state of the tenant: the schedule's next run may find it otherwise.
    if (byHand || code !== 'WrongState') throw thrownFor(error);
    upsertMemo({ why: message.slice(0, 500) });
    noteState('skipped');
    show(`did nothing: ${message}`);
    return { tenant, outcome: 'skipped', removed: 0, why: message };
  }

  try {
    // Told by the schedule's status before it ends.
    if (!byHand) upsertMemo({ operation });
    const { removed } = await titled(memoryData.removeOldMemories, 'step by step', {
      ...key,
      retention,
      now,
    });
    await titled(memories.finishPruneMemory, 'count', { ...key, removed });
    noteState('completed');
    show(`done, ${removed} removed`);
    return { tenant, outcome: 'done', removed, operation };
  } catch (error) {
    return CancellationScope.nonCancellable(async () => {
      const { state, failure, thrown } = endingOf(error, 'the prune was cancelled; what it removed is gone');
      const end = { ...key, kind: 'pruneMemory', state, failure } as const;
      await titled(memories.failMemory, failure.message.slice(0, 150), end);
      noteState(state);
      throw thrown;
    });
  }
}
versioned('PINNED', pruneMemory);
