import { z } from 'zod';
import type { ApprovalState } from '../domain/approvals.js';
import { operationId, principal, reason, tenantId } from './common.js';

/** Argument of the update `decideApproval`. */
export const approvalDecision = z.strictObject({
  tenant: tenantId,
  operation: operationId,
  grant: z.boolean(),
  principal,
  reason,
});
export type ApprovalDecision = z.infer<typeof approvalDecision>;

/** What the update answers with. */
export interface Decided {
  readonly operation: string;
  readonly state: ApprovalState;
}
