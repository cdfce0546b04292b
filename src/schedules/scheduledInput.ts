import type { ScheduleDescription } from '@temporalio/client';
import { OpsError } from '../domain/errors.js';

/**
 * What was put into a schedule of ours: it lies in its action's argument.
 *
 * @param otherwise what the schedule is when it is none of these: `is no watch of this version`
 * @throws OpsError `WrongState` when it is none of ours, or of a version that is not known here
 */
export function scheduledInput<T extends { readonly version: 1 }>(
  { scheduleId, action }: ScheduleDescription,
  workflowType: string,
  otherwise: string,
): T {
  const input = action.args?.[0] as T | undefined;
  if (action.workflowType === workflowType && input?.version === 1) return input;
  throw new OpsError(
    'WrongState',
    `schedule ${scheduleId} ${otherwise}`,
    'remove it, or use the version that made it',
  );
}
