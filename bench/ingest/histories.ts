import type { Client, WorkflowHandle } from '@temporalio/client';

/** What a chain of runs left in Temporal, from the last continued-as-new back to the first. */
export interface ChainFigures {
  readonly runs: number;
  readonly events: number;
  /** Events of the longest run. */
  readonly longestRun: number;
  /** Bytes of the largest single payload. */
  readonly largestPayload: number;
}

/** Walks every event of every run of a workflow id that ended. */
export async function chainFigures(client: Client, workflowId: string): Promise<ChainFigures> {
  const figures = { runs: 0, events: 0, longestRun: 0, largestPayload: 0 };
  let runId: string | undefined = (await client.workflow.getHandle(workflowId).describe()).runId;
  while (runId) {
    const run: WorkflowHandle = client.workflow.getHandle(workflowId, runId);
    const events = await eventsOf(run);
    figures.runs++;
    figures.events += events.length;
    figures.longestRun = Math.max(figures.longestRun, events.length);
    figures.largestPayload = Math.max(figures.largestPayload, largestPayload(events));
    runId = events[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId || undefined;
  }
  return figures;
}

async function eventsOf(run: WorkflowHandle) {
  return (await run.fetchHistory()).events ?? [];
}

/** Wherever they are in an event: what holds `metadata` and `data` is a payload. */
function largestPayload(value: unknown): number {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return 0;
  const { metadata, data } = value as { metadata?: unknown; data?: unknown };
  if (metadata !== undefined && data instanceof Uint8Array) return data.length;
  let most = 0;
  for (const inner of Object.values(value)) most = Math.max(most, largestPayload(inner));
  return most;
}
