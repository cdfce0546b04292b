import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { optionalTsToMs } from '@temporalio/common/lib/time.js';
import { CREDENTIAL_HEADER } from '../domain/access.js';
import { type Presented, presented } from './proofs.js';

export interface RunOf {
  readonly workflowId: string;
  readonly runId: string;
}

/** How a run began, by the server's word: nobody who starts or runs a workflow can say otherwise. */
export interface WorkflowStart extends RunOf {
  readonly type: string;
  readonly taskQueue: string;
  /** Of the chain of runs that continue each other. */
  readonly firstRunId: string;
  readonly at: Date;
  readonly parent: RunOf | undefined;
  readonly args: readonly unknown[];
  /** What its starter has shown, whatever that is worth. */
  readonly shown: Presented | undefined;
}

/** @returns undefined when the server has no such run any more */
export async function readWorkflowStart(client: Client, run: RunOf): Promise<WorkflowStart | undefined> {
  const { namespace, loadedDataConverter } = client.options;
  const { history } = await client.workflowService
    .getWorkflowExecutionHistory({ namespace, execution: run, maximumPageSize: 1 })
    .catch((error: unknown) => {
      if ((error as { code?: unknown }).code === NOT_FOUND) return { history: undefined };
      throw error;
    });
  const event = history?.events?.[0];
  const begun = event?.workflowExecutionStartedEventAttributes;
  if (event === undefined || !begun) return undefined;
  const { parentWorkflowExecution: parent, header, input } = begun;
  return {
    ...run,
    type: begun.workflowType?.name ?? '',
    taskQueue: begun.taskQueue?.name ?? '',
    firstRunId: begun.firstExecutionRunId || run.runId,
    at: new Date(optionalTsToMs(event.eventTime) ?? 0),
    parent:
      parent?.workflowId && parent.runId ? { workflowId: parent.workflowId, runId: parent.runId } : undefined,
    args: await decodeArrayFromPayloads(loadedDataConverter, input?.payloads),
    shown: shownIn(header?.fields?.[CREDENTIAL_HEADER]),
  };
}

/** `NOT_FOUND` of gRPC. */
const NOT_FOUND = 5;

function shownIn(payload: Parameters<typeof defaultPayloadConverter.fromPayload>[0] | undefined) {
  if (!payload) return undefined;
  try {
    const parsed = presented.safeParse(defaultPayloadConverter.fromPayload(payload));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
