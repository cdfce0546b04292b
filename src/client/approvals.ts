import { randomUUID } from 'node:crypto';
import { WorkflowNotFoundError } from '@temporalio/client';
import { decisionOn, getApproval } from '../access/secondPerson.js';
import { type ApprovalDecision, type Decided, approvalDecision } from '../contracts/approvals.js';
import { checkInput } from '../contracts/common.js';
import { GUARDED, type GuardedVerb } from '../domain/approvals.js';
import { OpsError } from '../domain/errors.js';
import type { OperationId, TenantId } from '../domain/ids.js';
import { isOpen } from '../operations/runs.js';
import {
  type ApprovalPolicy,
  type ApprovalRow,
  type PolicyScope,
  listApprovals,
  listPolicies,
  requirePolicy,
  waivePolicy,
} from '../registry/approvals.js';
import { appendAudit } from '../registry/audit.js';
import { rehearsed, transaction } from '../registry/database.js';
import type { Connections } from './connections.js';
import { toOpsError } from './failures.js';

export interface PolicyChange {
  readonly verb: GuardedVerb;
  readonly tenant: PolicyScope;
  readonly state: 'required' | 'proposed' | 'waived';
}

/** What an answer would come to. */
export interface DecisionPlan extends Decided, Pick<ApprovalRow, 'verb' | 'tenant' | 'askedBy'> {}

export interface PolicyShown extends Pick<ApprovalPolicy, 'verb' | 'tenant' | 'required' | 'waiverBy'> {
  readonly what: string;
}

/** What one person cannot do alone. */
export class ApprovalClient {
  constructor(private readonly connections: Connections) {}

  /** What waits, or with `all` also what has been decided; newest first. @throws OpsError `PermissionDenied` */
  async list(
    tenant: TenantId | undefined,
    { all, limit }: { readonly all: boolean; readonly limit: number },
  ): Promise<ApprovalRow[]> {
    const of = await this.connections.authorizeList('approval list', tenant);
    return listApprovals(this.connections.pool, { tenant: of, all, limit });
  }

  /** @throws OpsError `PermissionDenied` to who has asked for it, `NotFound`, `WrongState` */
  grant(operation: OperationId, reason: string): Promise<Decided> {
    return this.decide(operation, true, reason);
  }

  /** Of who has asked for it, it takes the question back. @throws OpsError as {@link grant} */
  refuse(operation: OperationId, reason: string): Promise<Decided> {
    return this.decide(operation, false, reason);
  }

  /** What a grant, or a refusal, would come to. @throws OpsError as {@link grant} */
  async plan(operation: OperationId, grant: boolean): Promise<DecisionPlan> {
    const asked = await this.question(operation, grant);
    const { principal } = this.connections;
    const state = decisionOn(asked, { grant, principal });
    if (!(await isOpen(await this.connections.temporal(), asked.workflowId))) throw over(operation);
    const { verb, tenant, askedBy } = asked;
    return { operation, state, verb, tenant, askedBy };
  }

  /** Every verb that can need a second administrator, and whether it does. @throws OpsError `PermissionDenied` */
  async policies(): Promise<PolicyShown[]> {
    await this.connections.authorize('approval policy');
    const there = (await listPolicies(this.connections.pool)).filter(({ required }) => required);
    return (Object.keys(GUARDED) as GuardedVerb[]).flatMap((verb): PolicyShown[] => {
      const what = GUARDED[verb];
      const rows = there.filter((row) => row.verb === verb);
      if (rows.length === 0) return [{ verb, what, tenant: '*', required: false, waiverBy: null }];
      return rows.map(({ tenant, waiverBy }) => ({ verb, what, tenant, required: true, waiverBy }));
    });
  }

  /** A dry run says what would be. @throws OpsError `PermissionDenied` */
  async require(
    verb: GuardedVerb,
    tenant: PolicyScope,
    reason: string,
    dryRun = false,
  ): Promise<PolicyChange> {
    return this.change({ verb, tenant, reason, dryRun }, async (tx, by) => {
      await requirePolicy(tx, verb, tenant, by);
      return 'required';
    });
  }

  /**
   * Lifts a policy, which takes two as well: the first one's wish is `proposed`, and counts for three days. A dry run says
   * what would be.
   *
   * @throws OpsError `PermissionDenied`; `WrongState` when it is not required
   */
  async waive(verb: GuardedVerb, tenant: PolicyScope, reason: string, dryRun = false): Promise<PolicyChange> {
    return this.change({ verb, tenant, reason, dryRun }, async (tx, by) => {
      const state = await waivePolicy(tx, verb, tenant, by);
      if (state === 'none')
        throw new OpsError(
          'WrongState',
          `there is no policy that ${verb} of ${tenant === '*' ? 'every tenant' : tenant} needs two`,
          'see: cvops approval policy',
        );
      return state;
    });
  }

  private async change(
    { verb, tenant, reason, dryRun }: PolicyRequest,
    work: (tx: Parameters<typeof appendAudit>[0], by: string) => Promise<PolicyChange['state']>,
  ): Promise<PolicyChange> {
    await this.connections.authorize('approval policy', tenant === '*' ? undefined : tenant);
    const { pool, principal } = this.connections;
    return (dryRun ? rehearsed : transaction)(pool, async (tx) => {
      const state = await work(tx, principal);
      await appendAudit(tx, {
        ...{
          principal,
          verb: 'approval-policy',
          tenant: tenant === '*' ? '-' : tenant,
          outcome: state,
          reason,
        },
        detail: { of: verb },
      });
      return { verb, tenant, state };
    });
  }

  private async decide(operation: OperationId, grant: boolean, reason: string): Promise<Decided> {
    const { principal } = this.connections;
    const { tenant, workflowId } = await this.question(operation, grant);
    const decision: ApprovalDecision = { tenant, operation, grant, principal, reason };
    const client = await this.connections.temporal();
    try {
      return await client.workflow
        .getHandle(workflowId)
        .executeUpdate<Decided, [ApprovalDecision]>('decideApproval', {
          updateId: randomUUID(),
          args: [checkInput(approvalDecision, decision)],
        });
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw over(operation);
      throw toOpsError(error);
    }
  }

  private async question(operation: OperationId, grant: boolean): Promise<ApprovalRow> {
    const { pool, principalTenant } = this.connections;
    // Before the look: without the role nobody hears what waits.
    await this.connections.authorize(grant ? 'approval grant' : 'approval refuse', principalTenant);
    return getApproval(pool, operation);
  }
}

interface PolicyRequest {
  readonly verb: GuardedVerb;
  readonly tenant: PolicyScope;
  readonly reason: string;
  readonly dryRun: boolean;
}

function over(operation: OperationId): OpsError {
  return new OpsError(
    'WrongState',
    `operation ${operation} does not run any more`,
    'whoever still wants it asks anew',
  );
}
