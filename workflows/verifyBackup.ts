import { CancellationScope, isCancellation, upsertSearchAttributes } from '@temporalio/workflow';
import type { VerifyBackupInput, VerifyBackupResult } from '../src/contracts/backupOperations.js';
import { SEARCH_ATTRIBUTES } from '../src/domain/searchAttributes.js';
import { failureRecord, operationFailure } from './failures.js';
import { backupData, backups, titled } from './options.js';
import { Progress } from './progress.js';
import { versioned } from './versioning.js';

/** Reads a backup, or a sample of it, and says whether it is what was written. A bad one is a result, not a failure. */
export async function verifyBackup(input: VerifyBackupInput): Promise<VerifyBackupResult> {
  const { backup, operation, sample } = input;
  await titled(backups.beginVerify, backup, input).catch((error: unknown) => {
    throw isCancellation(error) ? error : operationFailure(failureRecord(error));
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
    upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.operationState, value: state }]);
    return result;
  } catch (error) {
    return CancellationScope.nonCancellable(async () => {
      const cancelled = isCancellation(error);
      const failure = cancelled
        ? ({ code: 'Conflict', message: 'the verification was cancelled' } as const)
        : failureRecord(error);
      const state = cancelled ? 'cancelled' : 'failed';
      await titled(backups.failVerify, failure.message.slice(0, 150), { operation, state, failure });
      upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.operationState, value: state }]);
      throw cancelled ? error : operationFailure(failure);
    });
  }
}
versioned('PINNED', verifyBackup);
