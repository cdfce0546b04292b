import type { Verb } from '../domain/access.js';
import { OpsError } from '../domain/errors.js';
import type { OperationId, TenantId } from '../domain/ids.js';
import { findApproval } from '../registry/approvals.js';
import type { Queryable } from '../registry/database.js';
import { type OperationRow, findOperation, getOperation } from '../registry/operations.js';
import type { Connections } from './connections.js';

/**
 * An operation, for who may do this with it. One over many tenants, such as a rollout, is an administrator's and who
 * asked for it.
 *
 * @throws OpsError `NotFound`, `PermissionDenied`: to a principal of one tenant the same of another's and of none
 */
export async function ownOperation(
  connections: Connections,
  verb: Verb,
  operation: OperationId,
): Promise<OperationRow> {
  const { pool, principal, principalTenant: own } = connections;
  await connections.authorize(verb);
  const row = await findOperation(pool, operation);
  if (row === undefined) await requireNotHeld(pool, own, operation);
  if (own === undefined) return getOperation(pool, operation);
  if (row === undefined) return connections.denyTo(own, verb);
  if (row.tenant !== null) await connections.authorize(verb, row.tenant);
  else if (row.principal !== principal) return connections.denyTo(own, verb);
  return row;
}

/** An operation that has not begun, as it takes two: it has no row yet. @throws OpsError `WrongState` */
async function requireNotHeld(
  db: Queryable,
  own: TenantId | undefined,
  operation: OperationId,
): Promise<void> {
  const asked = await findApproval(db, operation);
  if (asked?.state !== 'waiting' || (own !== undefined && asked.tenant !== own)) return;
  throw new OpsError(
    'WrongState',
    `operation ${operation} waits for a second administrator until ${asked.expiresAt}`,
    `another one than ${asked.askedBy} agrees with: cvops approval grant ${operation}`,
  );
}

/** It was to be steered or stopped, and is over. @param state how it ended, where that is known */
export function hasEnded(operation: OperationId, state?: string): OpsError {
  return new OpsError('WrongState', `operation ${operation} has ended${state ? `: ${state}` : ''}`);
}
