import type { Verb } from '../domain/access.js';
import type { OperationId } from '../domain/ids.js';
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
  if (own === undefined) return getOperation(pool, operation);
  const row = await findOperation(pool, operation);
  if (row === undefined) return connections.denyTo(own, verb);
  if (row.tenant !== null) await connections.authorize(verb, row.tenant);
  else if (row.principal !== principal) return connections.denyTo(own, verb);
  return row;
}
