import type { OperationId, TenantId } from './ids.js';
import { SEARCH_ATTRIBUTES } from './searchAttributes.js';
import type { OperationKind } from './states.js';

/** Header by which an activity hears whose it is: it inherits the workflow's fairness key, and is not told of it. */
export const TENANT_HEADER = 'cvops-tenant';

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
 * What the workflow of every operation carries, started by a client or as a child: a business id, the search attributes
 * and the memo that the Temporal UI shows, and the tenant as fairness key, so that one tenant's backlog is not in front
 * of another's.
 */
export function operationMarks(start: OperationStart) {
  const { operation, principal, reason } = start;
  return { ...workflowMarks(start), memo: { operation, principal, reason } };
}

/** The same for a workflow that is no operation with a row of its own. */
export function workflowMarks({
  kind,
  workflowId,
  tenant,
  summary,
  priority,
}: Pick<OperationStart, 'workflowId' | 'tenant' | 'summary' | 'priority'> & { readonly kind: string }) {
  return {
    workflowId,
    typedSearchAttributes: [
      ...(tenant === null ? [] : [{ key: SEARCH_ATTRIBUTES.tenantId, value: tenant }]),
      { key: SEARCH_ATTRIBUTES.operationKind, value: kind },
      { key: SEARCH_ATTRIBUTES.operationState, value: 'running' },
    ],
    staticSummary: summary,
    priority: { priorityKey: priority, ...(tenant === null ? {} : { fairnessKey: tenant }) },
  };
}
