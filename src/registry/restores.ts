import { OpsError } from '../domain/errors.js';
import type { Incarnation, OperationId } from '../domain/ids.js';
import { DAY_MS, DEFAULT_RETENTION_DAYS } from '../domain/retention.js';
import type { Queryable } from './database.js';
import { type FenceKey } from './fence.js';
import { setTenantState } from './tenants.js';

/**
 * A life that a restore is about to write to: it is `inactive`, and stays so until {@link openRestored}. Its retention
 * begins now when it was active.
 *
 * @param wasOpen how the restore found it: one that was deactivated since then is not to be opened by it
 * @throws OpsError `WrongState` when it is neither active nor inactive any more, or was deactivated meanwhile
 */
export async function closeForRestore(
  tx: Queryable,
  { tenant, incarnation, operation }: FenceKey,
  wasOpen: boolean,
): Promise<void> {
  const { rows } = await tx.query<{ deactivated: boolean }>(
    `select state = 'inactive' and unfinished_restore is null as deactivated from tenants where incarnation = $1 for update`,
    [incarnation],
  );
  if (wasOpen && rows[0]?.deactivated)
    throw new OpsError(
      'WrongState',
      `tenant ${tenant} was deactivated after this restore began`,
      'restore again: it stays inactive then',
    );
  if (!(await closeUntilRestored(tx, incarnation, 'active', operation)))
    throw new OpsError('WrongState', `tenant ${tenant} is no longer there to be restored into`);
}

/**
 * `from`, or `inactive` already: `inactive` until {@link openRestored}, by this restore or a later one. Its retention
 * begins now.
 *
 * @returns false when it is in another state
 */
export async function closeUntilRestored(
  tx: Queryable,
  incarnation: Incarnation,
  from: 'creating' | 'active',
  restore: OperationId,
): Promise<boolean> {
  const purgeAt = new Date(Date.now() + DEFAULT_RETENTION_DAYS * DAY_MS);
  if (!(await setTenantState(tx, incarnation, [from], 'inactive', purgeAt))) return false;
  await tx.query('update tenants set unfinished_restore = $2 where incarnation = $1', [incarnation, restore]);
  return true;
}

/** It is whole again, and open if it is to be. @returns the state it is in */
export async function openRestored(
  tx: Queryable,
  { tenant, incarnation, operation }: FenceKey,
  opens: boolean,
): Promise<'active' | 'inactive'> {
  const { rowCount } = await tx.query(
    `update tenants set unfinished_restore = null, updated_at = now(),
       state = case when $3 then 'active' else state end,
       purge_at = case when $3 then null else purge_at end,
       deactivated_at = case when $3 then null else deactivated_at end
     where incarnation = $1 and state = 'inactive' and unfinished_restore = $2`,
    [incarnation, operation, opens],
  );
  if (rowCount === 1) return opens ? 'active' : 'inactive';
  throw new OpsError(
    'WrongState',
    `tenant ${tenant} was deleted, or restored into by another operation, meanwhile`,
    `see its operations: cvops op list --tenant ${tenant}`,
  );
}
