import { activityInfo } from '@temporalio/activity';
import type { RunOf } from '../src/access/workflowStart.js';

/** The run that an activity is of. */
export function runOf(): RunOf {
  const { workflowExecution } = activityInfo();
  if (workflowExecution === undefined) throw new Error('activities are for workflows');
  return workflowExecution;
}
