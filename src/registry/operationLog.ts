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
