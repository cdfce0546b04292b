import { proxyActivities } from '@temporalio/workflow';

export { scheduledBackup } from '../../workflows/scheduledBackup.js';

/** The real schedule's workflow, with operations that only say what they were given. */
const { child } = proxyActivities<{
  child(kind: string, input: unknown): Promise<unknown>;
}>({ startToCloseTimeout: '1m', taskQueue: 'control' });

export const backupTenant = (input: unknown) => child('backupTenant', input);
export const verifyBackup = (input: unknown) => child('verifyBackup', input);
export const pruneBackups = (input: unknown) => child('pruneBackups', input);
export const drillRestore = (input: unknown) => child('drillRestore', input);
