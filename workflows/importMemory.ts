import { CancellationScope } from '@temporalio/workflow';
import type { ImportMemoryInput, ImportMemoryResult } from '../src/contracts/memory.js';
import { endingOf, thrownFor } from './failures.js';
import { noteState } from './operationState.js';
import { memories, memoryData, titled } from './options.js';
import { Progress } from './progress.js';
import { versioned } from './versioning.js';

/** Puts the memories of an exported file into a tenant, when the whole file is what was exported. */
export async function importMemory(input: ImportMemoryInput): Promise<ImportMemoryResult> {
  const { tenant, operation, file } = input;
  const { incarnation } = await titled(memories.beginImportMemory, `register ${tenant}`, input).catch(
    (error: unknown) => {
      throw thrownFor(error);
    },
  );
  const key = { tenant, incarnation, operation };
  const steps = new Progress(`Import memories into \`${tenant}\``);
  try {
    const { sha256 } = await steps.step(
      'read the file',
      () => titled(memoryData.checkMemoryFile, 'to its end', { file }),
      (found) => `${found.memories} memories`,
    );
    const stored = await steps.step(
      'store',
      () => titled(memoryData.importMemories, 'each under its id', { ...key, file, sha256 }),
      (done) => `${done.memories} memories`,
    );
    const result = await titled(memories.finishImportMemory, 'count', { ...key, ...stored });
    noteState('completed');
    return result;
  } catch (error) {
    return CancellationScope.nonCancellable(async () => {
      const { state, failure, thrown } = endingOf(error, 'the import was cancelled; what it stored stays');
      const end = { ...key, kind: 'importMemory', state, failure } as const;
      await titled(memories.failMemory, failure.message.slice(0, 150), end);
      noteState(state);
      throw thrown;
    });
  }
}
versioned('PINNED', importMemory);
