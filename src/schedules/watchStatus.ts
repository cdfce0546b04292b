import { type Client, type ScheduleDescription, WorkflowNotFoundError } from '@temporalio/client';
import type { TenantId } from '../domain/ids.js';
import { scheduleIds } from '../domain/naming.js';
import type { ProfileName } from '../domain/profiles.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';
import type { WatchName } from '../domain/watches.js';
import { describeSchedule } from './tenantSchedules.js';
import { watchOf } from './watchSchedules.js';

export interface WatchStatus {
  readonly tenant: TenantId;
  readonly name: string;
  readonly source: string | null;
  readonly profile: ProfileName | null;
  /** `15m`, or a cron expression. */
  readonly every: string | null;
  /** ISO 8601; null while it is paused. */
  readonly next: string | null;
  readonly paused: boolean;
  readonly note: string;
  /** The last round: how it ended, or `running`; its operation when something was new or changed. */
  readonly last: {
    readonly state: string;
    readonly at: string;
    readonly operation?: string;
    readonly why?: string;
  } | null;
  /** The registry has it and Temporal does not: lost with its namespace. */
  readonly missing?: true;
}

/** How the watch of a registry's row stands. */
export async function watchStatus(
  client: Client,
  {
    tenant,
    scheduleId,
  }: {
    readonly tenant: TenantId;
    readonly scheduleId: string;
  },
): Promise<WatchStatus> {
  const description = await describeSchedule(client, scheduleId);
  if (description === undefined) {
    const name = scheduleId.slice(scheduleIds.watch(tenant, '' as WatchName).length);
    return {
      ...{ tenant, name, source: null, profile: null, every: null, next: null, last: null },
      ...{ paused: false, note: 'Temporal has no such schedule: add it again', missing: true },
    };
  }
  const { name, source, profile, every } = watchOf(description);
  const { paused, note = '' } = description.state;
  const next = paused ? null : (description.info.nextActionTimes[0]?.toISOString() ?? null);
  return {
    tenant,
    name,
    source,
    profile,
    every,
    next,
    paused,
    note,
    last: await lastRound(client, description),
  };
}

async function lastRound(client: Client, { info }: ScheduleDescription): Promise<WatchStatus['last']> {
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
