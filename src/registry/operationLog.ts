import { OpsError } from '../domain/errors.js';
import type { OperationId } from '../domain/ids.js';
import { type AuditEntry, appendAudit } from './audit.js';
import { type Pool, type Queryable, transaction } from './database.js';
import { findOperation, finishOperation, startOperation } from './operations.js';

/** How the audit log names what belongs to no single tenant. */
const MANY_TENANTS = '-';

type Begin = Parameters<typeof startOperation>[1];

/**
 * Writes the row of a run and its audit entry, once: a second attempt of the same step writes neither.
 *
 * @returns whether this call wrote them
 */
export async function beginOperation(
  tx: Queryable,
  row: Begin,
  verb: string,
  detail: AuditEntry['detail'] = {},
): Promise<boolean> {
  if (!(await startOperation(tx, row))) return false;
  const { principal, reason, operation } = row;
  await appendAudit(tx, {
    principal,
    verb,
    tenant: row.tenant ?? MANY_TENANTS,
    operation,
    outcome: 'started',
    reason,
    detail,
  });
  return true;
}

/** Ends a run and says so in the audit log, once. One that never was registered has nothing to end. */
export async function endOperation(
  tx: Queryable,
  operation: OperationId,
  verb: string,
  end: Parameters<typeof finishOperation>[2],
  detail?: AuditEntry['detail'],
): Promise<boolean> {
  const row = await findOperation(tx, operation);
  if (row?.state !== 'running' || !(await finishOperation(tx, operation, end))) return false;
  await appendAudit(tx, {
    principal: row.principal,
    verb,
    tenant: row.tenant ?? MANY_TENANTS,
    operation,
    outcome: end.state,
    reason: row.reason,
    detail: detail ?? { ...end.counts },
  });
  return true;
}

export async function closeOperation(
  pool: Pool,
  operation: OperationId,
  verb: string,
  end: Parameters<typeof finishOperation>[2],
  detail?: AuditEntry['detail'],
): Promise<void> {
  await transaction(pool, (tx) => endOperation(tx, operation, verb, end, detail));
}

/**
 * A change that is no operation: the audit log says that it begins before it does, and afterwards how it ended. An entry
 * without its end is a change that was cut off, and may have happened.
 *
 * @param outcomeOf how a result is called; `completed` when left out
 */
export async function audited<T>(
  pool: Pool,
  entry: Omit<AuditEntry, 'outcome'>,
  work: () => Promise<T>,
  outcomeOf: (result: T) => string = () => 'completed',
): Promise<T> {
  const append = (outcome: string, detail = entry.detail) =>
    transaction(pool, (tx) => appendAudit(tx, { ...entry, outcome, ...(detail ? { detail } : {}) }));
  await append('started');
  let result: T;
  try {
    result = await work();
  } catch (error) {
    // The code only: a message from outside may hold what does not belong here.
    const code = error instanceof OpsError ? error.type : 'Failed';
    // What went wrong first is what the caller hears of.
    await append('failed', { ...entry.detail, code }).catch(() => undefined);
    throw error;
  }
  await append(outcomeOf(result));
  return result;
}
