import { CancellationScope } from '@temporalio/workflow';
import type { ClearMemoryInput, ClearMemoryResult } from '../src/contracts/memory.js';
import { endingOf, thrownFor } from './failures.js';
import { Fence } from './fence.js';
import { noteState } from './operationState.js';
import { memories, memoryData, titled } from './options.js';
import { Progress } from './progress.js';
import { versioned } from './versioning.js';

/**
 * Removes every memory of a tenant. The tenant is closed to changes meanwhile: of what is added while the last ones go
 * nobody could say whether it was meant.
 */
export async function clearMemory(input: ClearMemoryInput): Promise<ClearMemoryResult> {
  const { tenant, operation } = input;
  const { incarnation } = await titled(memories.beginClearMemory, `register ${tenant}`, input).catch(
    (error: unknown) => {
      throw thrownFor(error);
    },
  );
  const key = { tenant, incarnation, operation };
  const fence = new Fence(key);
  const steps = new Progress(`Clear the memory of \`${tenant}\``);
  try {
    await steps.step('close to changes', () => fence.raise());
    const { removed } = await steps.step(
      'remove',
      () => titled(memoryData.clearMemory, 'all of them', key),
      (cleared) => `${cleared.removed} memories, none is left`,
    );
    const result = await titled(memories.finishClearMemory, 'count', { ...key, removed });
    await fence.lower();
    noteState('completed');
    return result;
  } catch (error) {
    return CancellationScope.nonCancellable(async () => {
      const { state, failure, thrown } = endingOf(
        error,
        'the clearing was cancelled; what it removed is gone',
      );
      await fence.lower();
      const end = { ...key, kind: 'clearMemory', state, failure } as const;
      await titled(memories.failMemory, failure.message.slice(0, 150), end);
      noteState(state);
      throw thrown;
    });
  }
}
versioned('PINNED', clearMemory);
