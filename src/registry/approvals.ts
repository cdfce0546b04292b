import { APPROVAL_MS, type ApprovalState, type GuardedVerb } from '../domain/approvals.js';
import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import type { Queryable } from './database.js';
import { storableJson, storableText } from './storable.js';

export interface ApprovalRow {
  readonly operation: OperationId;
  readonly verb: GuardedVerb;
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly workflowId: string;
  /** What is to be done, for whoever decides, and for what has nobody to remember it. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly askedBy: string;
  readonly reason: string;
  readonly askedAt: string;
  readonly expiresAt: string;
  readonly state: ApprovalState;
  readonly decidedBy: string | null;
  readonly decidedAt: string | null;
  readonly decision: string | null;
}

/** Whom a policy is for: one tenant, or `*` for every one. */
export type PolicyScope = TenantId | '*';

export interface ApprovalPolicy {
  readonly verb: GuardedVerb;
  readonly tenant: PolicyScope;
  readonly required: boolean;
  readonly changedBy: string;
  readonly changedAt: string;
  /** Who has asked that it be lifted, while that counts. */
  readonly waiverBy: string | null;
}

const COLUMNS = `operation, verb, tenant, incarnation, workflow_id as "workflowId", request, asked_by as "askedBy", reason,
  to_json(asked_at)#>>'{}' as "askedAt", to_json(expires_at)#>>'{}' as "expiresAt",
  case when state = 'waiting' and expires_at <= now() then 'expired' else state end as state,
  decided_by as "decidedBy", to_json(decided_at)#>>'{}' as "decidedAt", decision`;

export async function isRequired(db: Queryable, verb: GuardedVerb, tenant: TenantId): Promise<boolean> {
  const { rows } = await db.query(
    `select from approval_policies where verb = $1 and tenant in ('*', $2) and required`,
    [verb, tenant],
  );
  return rows.length > 0;
}

export async function listPolicies(db: Queryable): Promise<ApprovalPolicy[]> {
  const { rows } = await db.query<ApprovalPolicy>(
    `select verb, tenant, required, changed_by as "changedBy", to_json(changed_at)#>>'{}' as "changedAt",
       case when waiver_at > now() - make_interval(secs => $1) then waiver_by end as "waiverBy"
     from approval_policies order by verb, tenant`,
    [APPROVAL_MS / 1000],
  );
  return rows;
}

/** From now on the verb needs two. Again is fine, and takes a wish to lift it back. */
export async function requirePolicy(
  db: Queryable,
  verb: GuardedVerb,
  tenant: PolicyScope,
  by: string,
): Promise<void> {
  await db.query(
    `insert into approval_policies (verb, tenant, required, changed_by) values ($1, $2, true, $3)
     on conflict (verb, tenant) do update
       set required = true, changed_by = $3, changed_at = now(), waiver_by = null, waiver_at = null`,
    [verb, tenant, storableText(by)],
  );
}

/**
 * Lifts a policy when another one has wished that before; else it is the wish.
 *
 * @returns `none`: it is not required
 */
export async function waivePolicy(
  tx: Queryable,
  verb: GuardedVerb,
  tenant: PolicyScope,
  by: string,
): Promise<'none' | 'proposed' | 'waived'> {
  const lifted = await tx.query(
    `update approval_policies set required = false, changed_by = $3, changed_at = now(), waiver_by = null, waiver_at = null
     where verb = $1 and tenant = $2 and required and waiver_by <> $3
       and waiver_at > now() - make_interval(secs => $4)`,
    [verb, tenant, storableText(by), APPROVAL_MS / 1000],
  );
  if (lifted.rowCount === 1) return 'waived';
  const proposed = await tx.query(
    `update approval_policies set waiver_by = $3, waiver_at = now()
     where verb = $1 and tenant = $2 and required`,
    [verb, tenant, storableText(by)],
  );
  return proposed.rowCount === 1 ? 'proposed' : 'none';
}

export async function findApproval(db: Queryable, operation: OperationId): Promise<ApprovalRow | undefined> {
  const { rows } = await db.query<ApprovalRow>(`select ${COLUMNS} from approvals where operation = $1`, [
    operation,
  ]);
  return rows[0];
}

/** Newest first. */
export async function listApprovals(
  db: Queryable,
  options: { readonly tenant: TenantId | undefined; readonly all: boolean; readonly limit: number },
): Promise<ApprovalRow[]> {
  const { rows } = await db.query<ApprovalRow>(
    `select ${COLUMNS} from approvals
     where ($1::text is null or tenant = $1) and ($2 or (state = 'waiting' and expires_at > now()))
     order by asked_at desc, operation limit $3`,
    [options.tenant ?? null, options.all, options.limit],
  );
  return rows;
}

export interface Question extends Pick<
  ApprovalRow,
  'operation' | 'verb' | 'tenant' | 'incarnation' | 'workflowId' | 'request' | 'askedBy' | 'reason'
> {
  /** Shown with the request, and maybe other by the time that it is carried out: what is counted, or the state before. */
  readonly changing?: Readonly<Record<string, unknown>>;
}

export async function askApproval(db: Queryable, question: Question): Promise<ApprovalRow> {
  const { rows } = await db.query<ApprovalRow>(
    `insert into approvals (operation, verb, tenant, incarnation, workflow_id, request, asked_by, reason, expires_at, state)
     values ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9), 'waiting') returning ${COLUMNS}`,
    [
      ...[question.operation, question.verb, question.tenant, question.incarnation, question.workflowId],
      ...[
        JSON.stringify(storableJson({ ...question.request, ...question.changing })),
        storableText(question.askedBy),
      ],
      ...[storableText(question.reason), APPROVAL_MS / 1000],
    ],
  );
  return rows[0]!;
}

/**
 * Decides what waits, once. Nobody grants what they have asked for.
 *
 * @returns whether this call did
 */
export async function decide(
  db: Queryable,
  operation: OperationId,
  {
    state,
    by,
    why,
  }: { readonly state: 'granted' | 'refused' | 'withdrawn'; readonly by: string; readonly why: string },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update approvals set state = $2, decided_by = $3, decided_at = now(), decision = $4
     where operation = $1 and state = 'waiting' and ($2 = 'withdrawn' or expires_at > now())
       and ($2 <> 'granted' or asked_by <> $3)`,
    [operation, state, storableText(by), storableText(why)],
  );
  return rowCount === 1;
}
