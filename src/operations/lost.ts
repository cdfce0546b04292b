import type { Client, WorkflowExecutionStatusName } from '@temporalio/client';
import type { TenantState } from '../domain/states.js';
import type { OperationRow } from '../registry/operations.js';
import { describeRun, isRunning } from './runs.js';
import { RETENTION_KINDS } from './stop.js';

/** How long a workflow must be gone before what its operation holds is released: its last activities have ended by then. */
export const LOST_AFTER_MS = 5 * 60_000;

/** An operation that says it runs, and nothing does. */
export interface LostOperation {
  readonly row: OperationRow;
  /** What became of its workflow. */
  readonly why: string;
  /** Milliseconds since the epoch: gone at least since then. */
  readonly since: number;
}

const ENDS: Readonly<Partial<Record<WorkflowExecutionStatusName, string>>> = {
  TERMINATED: 'was terminated',
  TIMED_OUT: 'timed out',
  CANCELLED: 'was cancelled',
  FAILED: 'failed',
};

/**
 * What became of the workflow of an operation that says it runs, by the Temporal server.
 *
 * @returns undefined while it runs
 */
export async function lossOf(client: Client, row: OperationRow): Promise<LostOperation | undefined> {
  const run = await describeRun(client, row.workflowId);
  const began = Date.parse(row.startedAt);
  if (run === undefined) return { row, why: 'Temporal has no such workflow', since: began };
  const { status, closeTime, startTime } = run;
  if (!isRunning(run)) {
    const why = `its workflow ${ENDS[status.name] ?? 'has ended'}`;
    return { row, why, since: closeTime?.getTime() ?? began };
  }
  // Of one id only one runs at a time; a retention is asked things by operations that are not the one it began with.
  const operation = run.memo?.['operation'];
  if (operation === undefined || operation === row.operation || RETENTION_KINDS.includes(row.kind))
    return undefined;
  return { row, why: 'its workflow has ended, and another one has its id', since: startTime.getTime() };
}

/** Whether it has been gone for so long that nothing of it is at work any more. */
export function isOver({ since }: LostOperation, now: number): boolean {
  return now - since >= LOST_AFTER_MS;
}

/** Whether it is what the state of its tenant waits for: that is to be gone on with, by whoever looks after such states. */
export function isAwaited({ kind }: Pick<OperationRow, 'kind'>, state: TenantState): boolean {
  if (state === 'creating') return kind === 'createTenant';
  if (state === 'purging') return kind === 'hardDeleteTenant';
  return state === 'inactive' && RETENTION_KINDS.includes(kind);
}
