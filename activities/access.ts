import { activityInfo } from '@temporalio/activity';
import type { Gate, Message } from '../src/access/gate.js';

/** What a workflow asks before it does what it is told. */
export function createAccessActivities(gate: Gate) {
  return {
    /** @throws OpsError `PermissionDenied` */
    async authorizeMessage(message: Message): Promise<void> {
      const { workflowExecution, workflowType } = activityInfo();
      if (workflowExecution === undefined || workflowType === undefined)
        throw new Error('messages are of workflows');
      await gate.message({ ...workflowExecution, type: workflowType }, message);
    },
  };
}
