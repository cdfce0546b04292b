import type { WorkflowStartOptions } from '@temporalio/client';
import type { OperationId, TenantId } from '../domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';
import type { OperationKind } from '../domain/states.js';

/** Who starts what for whom; `tenant` is null for an operation over many. */
export interface OperationStart {
  readonly kind: OperationKind;
  readonly workflowId: string;
  readonly tenant: TenantId | null;
  readonly operation: OperationId;
  readonly principal: string;
  readonly reason: string;
  readonly summary: string;
  /** 1 (first) to 5: bulk work yields to interactive. */
  readonly priority: number;
}

/**
 * How every operation's workflow is started, whoever starts it: a business id that only one run has at a time, the
 * search attributes and the memo that the Temporal UI shows, and the tenant as fairness key, so that one tenant's
 * backlog is not in front of another's.
 */
export function operationOptions(start: OperationStart, input: object): WorkflowStartOptions {
  const { operation, principal, reason, tenant } = start;
  return {
    workflowId: start.workflowId,
    taskQueue: TASK_QUEUES.control,
    args: [input],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowIdConflictPolicy: 'FAIL',
    typedSearchAttributes: [
      ...(tenant === null ? [] : [{ key: SEARCH_ATTRIBUTES.tenantId, value: tenant }]),
      { key: SEARCH_ATTRIBUTES.operationKind, value: start.kind },
      { key: SEARCH_ATTRIBUTES.operationState, value: 'running' },
    ],
    memo: { operation, principal, reason },
    staticSummary: start.summary,
    priority: { priorityKey: start.priority, ...(tenant === null ? {} : { fairnessKey: tenant }) },
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
