import { isDeepStrictEqual } from 'node:util';
import type { ApprovalDecision, Decided } from '../contracts/approvals.js';
import { GUARDED, type Held } from '../domain/approvals.js';
import { OpsError } from '../domain/errors.js';
import type { OperationId, TenantId } from '../domain/ids.js';
import {
  type ApprovalRow,
  type Question,
  askApproval,
  decide,
  findApproval,
  isRequired,
} from '../registry/approvals.js';
import { appendAudit } from '../registry/audit.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import { storableJson } from '../registry/storable.js';

/**
 * Holds a guarded step back until a second administrator has agreed to just this operation. In the transaction of what the
 * step changes: whether it may is the registry's word, not that of a workflow that remembers an answer.
 *
 * @param isExempt asked only where the policy holds it back
 * @returns undefined when it may go on
 * @throws OpsError `PermissionDenied` once it was refused, or nobody has agreed in time
 */
export async function heldBack(
  tx: Queryable,
  question: Question,
  isExempt: () => Promise<boolean> = async () => false,
): Promise<Held | undefined> {
  const asked = await findApproval(tx, question.operation);
  if (asked === undefined) {
    if (!(await isRequired(tx, question.verb, question.tenant)) || (await isExempt())) return undefined;
    await note(tx, question, question.askedBy, 'asked', question.reason);
    return held(await askApproval(tx, question));
  }
  if (!isSame(asked, question))
    throw new OpsError(
      'Conflict',
      `operation ${question.operation} was asked for as something else: ${asked.verb} of tenant ${asked.tenant}`,
      'every operation has an id of its own; see what was asked with: cvops approval list --all -o json',
    );
  switch (asked.state) {
    case 'granted':
      return undefined;
    case 'waiting':
      return held(asked);
    case 'expired':
      throw no(asked, `nobody agreed by ${asked.expiresAt}`);
    case 'refused':
    case 'withdrawn':
      throw no(
        asked,
        `it was ${asked.state} by ${asked.decidedBy}${asked.decision ? `: ${asked.decision}` : ''}`,
      );
  }
}

/**
 * A retention is not ended at once where deleting takes two: its answer begins a purge and does not wait for anybody.
 *
 * @throws OpsError `Conflict`
 */
export async function requireNoConsent(db: Queryable, tenant: TenantId): Promise<void> {
  if (!(await isRequired(db, 'tenant delete', tenant))) return;
  throw new OpsError(
    'Conflict',
    `tenant ${tenant} is deleted only when a second administrator agrees`,
    `ask for that with: cvops tenant delete ${tenant} --hard`,
  );
}

/**
 * A second administrator's answer. The same one again, as of a second attempt, is the same decision.
 *
 * @param workflowId of the run that was told
 * @throws OpsError `PermissionDenied` to who has asked; `WrongState` when it is decided, or its time is over
 */
export async function decideQuestion(
  pool: Pool,
  workflowId: string,
  { operation, grant, principal, reason }: ApprovalDecision,
): Promise<Decided & Pick<ApprovalRow, 'verb' | 'request'>> {
  return transaction(pool, async (tx) => {
    const asked = await getApproval(tx, operation);
    if (asked.workflowId !== workflowId) throw notFound(operation);
    const state = decisionOn(asked, { grant, principal });
    const answer = { operation, state, verb: asked.verb, request: asked.request } as const;
    if (asked.state === state) return answer;
    if (!(await decide(tx, operation, { state, by: principal, why: reason }))) throw decided(asked);
    await note(tx, asked, principal, state, reason);
    return answer;
  });
}

/**
 * What an answer would make of a question; of one that has the same answer from the same person, what it is.
 *
 * @throws OpsError as {@link decideQuestion}
 */
export function decisionOn(
  asked: ApprovalRow,
  { grant, principal }: Pick<ApprovalDecision, 'grant' | 'principal'>,
): 'granted' | 'refused' | 'withdrawn' {
  const own = asked.askedBy === principal;
  if (grant && own)
    throw new OpsError(
      'PermissionDenied',
      `${principal} has asked for it: somebody else has to agree`,
      `another administrator grants it with: cvops approval grant ${asked.operation}`,
    );
  const state = grant ? 'granted' : own ? 'withdrawn' : 'refused';
  const again = asked.state === state && asked.decidedBy === principal;
  // What came too late to be answered can still be taken back.
  const open = asked.state === 'waiting' || (asked.state === 'expired' && state === 'withdrawn');
  if (again || open) return state;
  throw decided(asked);
}

/** What was asked is not wanted any more: its run was cancelled. */
export async function withdrawQuestion(pool: Pool, operation: OperationId): Promise<void> {
  await transaction(pool, async (tx) => {
    const asked = await findApproval(tx, operation);
    if (asked === undefined) return;
    const [by, why] = [asked.askedBy, 'its run was cancelled'];
    if (await decide(tx, operation, { state: 'withdrawn', by, why }))
      await note(tx, asked, by, 'withdrawn', why);
  });
}

/** @throws OpsError `NotFound` */
export async function getApproval(db: Queryable, operation: OperationId): Promise<ApprovalRow> {
  const asked = await findApproval(db, operation);
  if (asked === undefined) throw notFound(operation);
  return asked;
}

/** Whether a question is the one that was put: who agreed to it has agreed to nothing else. */
function isSame(asked: ApprovalRow, { changing, ...question }: Question): boolean {
  const what = ({ verb, incarnation, workflowId, askedBy, request }: Question) =>
    storableJson({ verb, incarnation, workflowId, askedBy, request: { ...request, ...changing } });
  return isDeepStrictEqual(what(asked), what(question));
}

function held({ operation, expiresAt }: ApprovalRow): Held {
  return { held: { operation, expiresAt: Date.parse(expiresAt) } };
}

function note(
  tx: Queryable,
  { operation, tenant, verb, request }: Pick<Question, 'operation' | 'tenant' | 'verb' | 'request'>,
  principal: string,
  outcome: string,
  reason: string,
): Promise<void> {
  return appendAudit(tx, {
    ...{ principal, verb: 'approval', tenant, operation, outcome, reason },
    detail: { of: verb, request },
  });
}

function no({ verb, operation }: ApprovalRow, why: string): OpsError {
  return new OpsError(
    'PermissionDenied',
    `${GUARDED[verb]} needs a second administrator, and ${why} (operation ${operation})`,
    'ask anew, and have somebody else agree with: cvops approval grant OPERATION',
  );
}

function decided({ operation, state }: ApprovalRow): OpsError {
  return new OpsError(
    'WrongState',
    `operation ${operation} does not wait for consent: ${state}`,
    'see what does with: cvops approval list',
  );
}

function notFound(operation: OperationId): OpsError {
  return new OpsError(
    'NotFound',
    `nothing waits for consent as operation ${operation}`,
    'see what does with: cvops approval list',
  );
}
