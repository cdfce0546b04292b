import { CancellationScope } from '@temporalio/workflow';
import type { VerifyBackupInput, VerifyBackupResult } from '../src/contracts/backupOperations.js';
import { endingOf, thrownFor } from './failures.js';
import { noteState } from './operationState.js';
import { backupData, backups, titled } from './options.js';
import { Progress } from './progress.js';
import { versioned } from './versioning.js';

/** Reads a backup, or a sample of it, and says whether it is what was written. A bad one is a result, not a failure. */
export async function verifyBackup(input: VerifyBackupInput): Promise<VerifyBackupResult> {
  const { backup, operation, sample } = input;
  await titled(backups.beginVerify, backup, input).catch((error: unknown) => {
    throw thrownFor(error);
  });
  const steps = new Progress(`Verify backup \`${backup}\``);
  try {
    const result = await steps.step(
      sample ? `sample ${sample.n} of ${sample.t}` : 'every part',
      () => titled(backupData.checkBackup, 'read', input),
      ({ ok, parts, documents }) =>
        ok ? `${parts} parts, ${documents} documents, nothing wrong` : 'not what was written',
    );
    const state = result.ok ? 'completed' : 'completed_with_failures';
    noteState(state);
    return result;
  } catch (error) {
    return CancellationScope.nonCancellable(async () => {
      const { state, failure, thrown } = endingOf(error, 'the verification was cancelled');
      await titled(backups.failVerify, failure.message.slice(0, 150), { operation, state, failure });
      noteState(state);
      throw thrown;
    });
  }
}
versioned('PINNED', verifyBackup);
