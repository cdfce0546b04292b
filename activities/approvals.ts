import { decideQuestion, withdrawQuestion } from '../src/access/secondPerson.js';
import { approvalDecision } from '../src/contracts/approvals.js';
import { checkInput } from '../src/contracts/common.js';
import type { Pool } from '../src/registry/database.js';
import { runOf } from './run.js';
import type { ApprovalActivities } from './types.js';

export function createApprovalActivities({ pool }: { readonly pool: Pool }): ApprovalActivities {
  return {
    async decideApproval(raw) {
      return decideQuestion(pool, runOf().workflowId, checkInput(approvalDecision, raw));
    },

    async withdrawApproval({ operation }) {
      await withdrawQuestion(pool, operation);
    },
  };
}
