import { type Client, type ScheduleDescription, WorkflowNotFoundError } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';

/** How a schedule of a tenant stands. */
export interface ScheduleStatus {
  /** ISO 8601; null while it is paused. */
  readonly next: string | null;
  readonly paused: boolean;
  readonly note: string;
  /** The last round: how it ended, or `running`; its operation when it came to have one. */
  readonly last: {
    readonly state: string;
    readonly at: string;
    readonly operation?: string;
    readonly why?: string;
  } | null;
  /** The registry has it and Temporal does not: lost with its namespace. */
  readonly missing?: true;
}

/** @param description undefined when Temporal has no such schedule */
export async function scheduleStatus(
  client: Client,
  description: ScheduleDescription | undefined,
): Promise<ScheduleStatus> {
  if (description === undefined) {
    const note = 'Temporal has no such schedule: add it again';
    return { next: null, last: null, paused: false, note, missing: true };
  }
  const { paused, note = '' } = description.state;
  const next = paused ? null : (description.info.nextActionTimes[0]?.toISOString() ?? null);
  return { next, paused, note, last: await lastRound(client, description) };
}

async function lastRound(client: Client, { info }: ScheduleDescription): Promise<ScheduleStatus['last']> {
  const action = info.recentActions.at(-1);
  if (action === undefined) return null;
  const { workflowId, firstExecutionRunId } = action.action.workflow;
  try {
    const round = await client.workflow.getHandle(workflowId, firstExecutionRunId).describe();
    const { operation, why } = (round.memo ?? {}) as { operation?: string; why?: string };
    const noted = round.typedSearchAttributes.get(SEARCH_ATTRIBUTES.operationState);
    // Terminated, it could not note its end.
    const lost = round.status.name !== 'RUNNING' && noted === 'running';
    const state = lost ? round.status.name.toLowerCase() : (noted ?? round.status.name.toLowerCase());
    return {
      state,
      at: (round.closeTime ?? round.startTime).toISOString(),
      // Refused at its start, the operation has no row.
      ...(operation === undefined || state === 'skipped' ? {} : { operation }),
      ...(why === undefined ? {} : { why }),
    };
  } catch (error) {
    // Older than the namespace keeps histories.
    if (error instanceof WorkflowNotFoundError) return { state: 'unknown', at: action.takenAt.toISOString() };
    throw error;
  }
}
