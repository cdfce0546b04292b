import { type Client, type WorkflowExecutionDescription, WorkflowNotFoundError } from '@temporalio/client';
import proto from '@temporalio/proto';
import { TASK_QUEUES } from '../domain/naming.js';

/** The last run of a workflow's id; undefined: the server has none. */
export async function describeRun(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** Whether a workflow has begun and not ended. */
export async function isOpen(client: Client, workflowId: string): Promise<boolean> {
  const run = await describeRun(client, workflowId);
  return run !== undefined && isRunning(run);
}

/** @param run of {@link describeRun} */
export function isRunning({ status }: Pick<WorkflowExecutionDescription, 'status'>): boolean {
  return status.name === 'RUNNING' || status.name === 'PAUSED';
}

export type TaskQueueName = keyof typeof TASK_QUEUES;

const { TaskQueueType } = proto.temporal.api.enums.v1;
/** What workers of a queue ask for before all else. */
const ASKED_FOR: Readonly<Record<TaskQueueName, number>> = {
  control: TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
  data: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
};

/** Whether a worker of the queue has asked for work of late: the server keeps that for five minutes. */
export async function isPolled(client: Client, queue: TaskQueueName): Promise<boolean> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: TASK_QUEUES[queue] },
    taskQueueType: ASKED_FOR[queue],
  });
  return (pollers ?? []).length > 0;
}
