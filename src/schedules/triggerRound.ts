import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, type ScheduleDescription, ScheduleOverlapPolicy } from '@temporalio/client';
import { encodeScheduleOverlapPolicy } from '@temporalio/client/lib/schedule-types.js';
import { msToTs } from '@temporalio/common/lib/time.js';
import { OpsError } from '../domain/errors.js';

/** How long the server may take to start what it was asked for. */
const START_MS = 30_000;
const POLL_MS = 100;

type Action = ScheduleDescription['info']['recentActions'][number]['action'];
type Round = Action['workflow'];

/**
 * Starts a schedule's action now, unless one runs, and finds what was started. The server names it by the second of its
 * time and drops one whose name was there; so it is asked, past the SDK's `trigger`, for a second that no recent one has.
 *
 * @throws OpsError `Conflict` while one runs, `Unavailable` when none begins
 */
export async function triggerRound(client: Client, scheduleId: string): Promise<Round> {
  const handle = client.schedule.getHandle(scheduleId);
  const { info, action } = await handle.describe();
  if (info.runningActions.length > 0) throw running();
  const known = new Set(info.recentActions.map((recent) => recent.action.workflow.workflowId));
  let second = Math.floor(Date.now() / 1000) * 1000;
  while (known.has(`${action.workflowId}-${new Date(second).toISOString().replace('.000', '')}`))
    second += 1000;
  await client.workflowService.patchSchedule({
    namespace: client.options.namespace,
    scheduleId,
    requestId: randomUUID(),
    patch: {
      triggerImmediately: {
        // Left out, it would run beside one that began meanwhile.
        overlapPolicy: encodeScheduleOverlapPolicy(ScheduleOverlapPolicy.SKIP) ?? null,
        scheduledTime: msToTs(second),
      },
    },
  });
  for (const deadline = Date.now() + START_MS; Date.now() < deadline; await delay(POLL_MS)) {
    const { recentActions } = (await handle.describe()).info;
    const started = recentActions.findLast((recent) => !known.has(recent.action.workflow.workflowId));
    if (started !== undefined) return started.action.workflow;
  }
  throw new OpsError('Unavailable', `nothing of schedule ${scheduleId} began`, 'see it in the Temporal UI');
}

function running(): OpsError {
  return new OpsError('Conflict', 'a round runs already', 'see it with: cvops watch list');
}
