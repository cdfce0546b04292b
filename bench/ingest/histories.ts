import type { Client, WorkflowHandle } from '@temporalio/client';

/** What a chain of runs left in Temporal, from the last continued-as-new back to the first. */
export interface ChainFigures {
  readonly runs: number;
  readonly events: number;
  /** Events of the longest run. */
  readonly longestRun: number;
  /** Bytes of the largest single payload. */
  readonly largestPayload: number;
  /** Where the time went that no turn was at work, by the last run. */
  readonly gaps: Gaps;
}

/** Milliseconds, by the server's clock. */
export interface Gaps {
  /** From the start of the run to that of its first turn: listing the source. */
  readonly before: number;
  /** From the end of the last turn to that of the run: counting. */
  readonly after: number;
  /** Between, summed over the lanes: lanes without a turn at work. */
  readonly idleLanes: number;
  readonly turns: number;
}

/** Walks every event of every run of a workflow id that ended. */
export async function chainFigures(
  client: Client,
  workflowId: string,
  concurrency: number,
): Promise<ChainFigures> {
  const figures = { runs: 0, events: 0, longestRun: 0, largestPayload: 0 };
  let gaps: Gaps | undefined;
  let runId: string | undefined = (await client.workflow.getHandle(workflowId).describe()).runId;
  while (runId) {
    const run: WorkflowHandle = client.workflow.getHandle(workflowId, runId);
    const events = await eventsOf(run);
    figures.runs++;
    figures.events += events.length;
    figures.longestRun = Math.max(figures.longestRun, events.length);
    figures.largestPayload = Math.max(figures.largestPayload, largestPayload(events));
    gaps ??= gapsOf(events, concurrency);
    runId = events[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId || undefined;
  }
  return { ...figures, gaps: gaps! };
}

type Events = Awaited<ReturnType<typeof eventsOf>>;

async function eventsOf(run: WorkflowHandle) {
  return (await run.fetchHistory()).events ?? [];
}

function gapsOf(events: Events, concurrency: number): Gaps {
  const scheduled = new Set<number>();
  const changes: { at: number; by: 1 | -1 }[] = [];
  for (const event of events) {
    const at = Number(event.eventTime!.seconds) * 1000 + event.eventTime!.nanos! / 1e6;
    const { activityTaskScheduledEventAttributes: asked } = event;
    if (asked?.activityType?.name === 'ingestTurn') scheduled.add(Number(event.eventId));
    const began = event.activityTaskStartedEventAttributes;
    if (began && scheduled.has(Number(began.scheduledEventId))) changes.push({ at, by: 1 });
    const ended = event.activityTaskCompletedEventAttributes ?? event.activityTaskFailedEventAttributes;
    if (ended && scheduled.has(Number(ended.scheduledEventId))) changes.push({ at, by: -1 });
  }
  const time = ({ eventTime }: Events[number]) => Number(eventTime!.seconds) * 1000 + eventTime!.nanos! / 1e6;
  changes.sort((a, b) => a.at - b.at);
  const [first, last] = [changes[0]?.at ?? 0, changes.at(-1)?.at ?? 0];
  let [busy, now, idleLanes] = [0, first, 0];
  for (const { at, by } of changes) {
    idleLanes += (concurrency - busy) * (at - now);
    [busy, now] = [busy + by, at];
  }
  return {
    before: Math.round(first - time(events[0]!)),
    after: Math.round(time(events.at(-1)!) - last),
    idleLanes: Math.round(idleLanes),
    turns: scheduled.size,
  };
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
