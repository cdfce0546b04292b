import type { Client, WorkflowStartOptions } from '@temporalio/client';
import { TASK_QUEUES, workflowIds } from '../domain/naming.js';
import { type OperationStart, operationMarks } from '../domain/operationMarks.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';

export type { OperationStart } from '../domain/operationMarks.js';

/** How every operation's workflow is started by a client: one id has only one run at a time. */
export function operationOptions(start: OperationStart, input: object): WorkflowStartOptions {
  return {
    ...operationMarks(start),
    taskQueue: TASK_QUEUES.control,
    args: [input],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowIdConflictPolicy: 'FAIL',
  };
}

/** How the one writer of a cluster's application package is started, with whatever it is asked first. */
export function applicationStart(cluster: string) {
  return {
    workflowId: workflowIds.vespaApplication(cluster),
    taskQueue: TASK_QUEUES.control,
    args: [{ version: 1, cluster, waiting: [], deploys: 0, requests: 0, generation: 0 }],
    staticSummary: `the one writer of the Vespa application package of ${cluster}`,
    typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.operationKind, value: 'vespaApplication' }],
  };
}

/** Starts what tells of alerts, or makes it look again. */
export async function askForDelivery(client: Client): Promise<void> {
  await client.workflow.signalWithStart('deliverAlerts', {
    workflowId: workflowIds.alertDelivery,
    taskQueue: TASK_QUEUES.control,
    args: [{}],
    signal: 'alertsChanged',
    signalArgs: [],
    staticSummary: 'tells log and webhook of alerts',
    typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.operationKind, value: 'deliverAlerts' }],
  });
}
