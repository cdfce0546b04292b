/** Workflow code for tests of backup schedules: the real run of one, and operations that only say what they were given. */
import { proxyActivities } from '@temporalio/workflow';
import { failureRecord, operationFailure } from '../../workflows/failures.js';

export { scheduledBackup } from '../../workflows/scheduledBackup.js';

const { child } = proxyActivities<{
  child(kind: string, input: unknown): Promise<unknown>;
}>({ startToCloseTimeout: '1m', taskQueue: 'control' });

const standIn = (kind: string) => (input: unknown) =>
  child(kind, input).catch((error: unknown) => {
    throw operationFailure(failureRecord(error));
  });

export const backupTenant = standIn('backupTenant');
export const verifyBackup = standIn('verifyBackup');
export const pruneBackups = standIn('pruneBackups');
export const drillRestore = standIn('drillRestore');
