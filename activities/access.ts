import { activityInfo } from '@temporalio/activity';
import type { Gate, Message } from '../src/access/gate.js';
import type { SourcePlace } from '../src/domain/sourcePlaces.js';
import { type Reach, reachOf } from '../src/sources/reach.js';
import { runOf } from './run.js';

/** What a workflow asks before it does what it is told. */
export function createAccessActivities(gate: Gate) {
  return {
    /** @throws OpsError `PermissionDenied` */
    async authorizeMessage(message: Message): Promise<void> {
      const { workflowType: type } = activityInfo();
      if (type === undefined) throw new Error('messages are of workflows');
      await gate.message({ ...runOf(), type }, message);
    },
  };
}

/**
 * What the run of the activity under way may have read: by the principal for whom it was let in, whatever its input says.
 *
 * @param places of the installation
 */
export function reachOfRun(gate: Gate, places: readonly SourcePlace[]): () => Promise<Reach> {
  return async () => reachOf(places, await gate.tenantOf(runOf()));
}
