import type { Client } from '@temporalio/client';
import { parseBackupId } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import type { Incarnation } from '../domain/ids.js';
import { settle } from '../quotas/reservations.js';
import { appendAudit } from '../registry/audit.js';
import { forgetRestored } from '../registry/backupProgress.js';
import { noteBackupFailed } from '../registry/backups.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import { lowerFence } from '../registry/fence.js';
import { type OperationRow, finishOperation } from '../registry/operations.js';
import { rolloutItems, skipPendingItems } from '../registry/rollout.js';
import { releaseNames, reservedNames } from '../registry/schemas.js';
import { setTenantState } from '../registry/tenants.js';
import { readPackage } from '../vespa/activePackage.js';
import type { ConfigServer } from '../vespa/configServer.js';
import { LOST_AFTER_MS, type LostOperation, isOver, lossOf } from './lost.js';
import { isPolled } from './runs.js';

export interface EndLostOptions {
  readonly pool: Pool;
  readonly client: Client;
  readonly configServer: ConfigServer;
  /** Who asks, for the audit log. */
  readonly by: { readonly principal: string; readonly reason: string };
  /** Milliseconds since the epoch; the default is now. */
  readonly now?: number;
}

/**
 * Ends as failed an operation whose workflow is gone, and releases what it would have released itself: its fence, what it
 * had reserved of quotas, the names of schemas that were never deployed, its hold on a backup or a name. No document,
 * trace or stored part is taken away.
 *
 * @returns the names that are free again
 * @throws OpsError `WrongState` while its workflow runs, or is gone for less than {@link LOST_AFTER_MS}; `Unavailable` when
 *   no worker asks this Temporal namespace for work: it may be another one than the operation's
 */
export async function endLost(
  { pool, client, configServer, by, now }: EndLostOptions,
  row: OperationRow,
): Promise<{ released: readonly string[] }> {
  const { operation, kind } = row;
  const loss = await requireLost(client, row, now);
  const names = await undeployed(pool, configServer, row);
  return transaction(pool, async (tx) => {
    const error = { code: 'Unavailable', message: loss.why, hint: 'start it again' };
    if (!(await finishOperation(tx, operation, { state: 'failed', counts: row.counts, error })))
      return { released: [] };
    await release(tx, row);
    const released = await releaseNames(tx, names);
    await appendAudit(tx, {
      ...{ ...by, verb: 'repair', tenant: row.tenant ?? '-', operation, outcome: 'completed' },
      detail: { ended: kind, why: loss.why, released },
    });
    return { released };
  });
}

/** That an operation may be ended here. @throws OpsError as {@link endLost} */
export async function requireLost(
  client: Client,
  row: OperationRow,
  now = Date.now(),
): Promise<LostOperation> {
  const { operation } = row;
  if (!(await isPolled(client, 'control')))
    throw new OpsError(
      'Unavailable',
      `no control worker asks Temporal namespace ${client.options.namespace} for work: what it does not know may run elsewhere`,
      'see it with: cvops status',
    );
  const loss = await lossOf(client, row);
  if (loss === undefined)
    throw new OpsError(
      'WrongState',
      `operation ${operation} runs`,
      `follow it with: cvops op watch ${operation}`,
    );
  if (!isOver(loss, now))
    throw new OpsError(
      'WrongState',
      `operation ${operation}: ${loss.why}, less than ${LOST_AFTER_MS / 60_000} minutes ago`,
      'what it had begun may still be at work: try again in some minutes',
    );
  return loss;
}

async function release(tx: Queryable, { operation, kind, tenant, incarnation, input }: OperationRow) {
  if (kind === 'deploySchemas') await skipPendingItems(tx, operation, 'its rollout was lost');
  if (kind === 'restoreTenant') await forgetRestored(tx, operation);
  if (tenant === null || incarnation === null) return;
  const life = { tenant, incarnation };
  await lowerFence(tx, { ...life, operation });
  await settle(tx, { life, key: operation });
  // What is stored of it goes with the next prune, where its store is at hand.
  if (kind === 'backupTenant') await noteBackupFailed(tx, parseBackupId(input['backup']));
  if (kind === 'createTenant') await setTenantState(tx, incarnation, ['creating'], 'creation_failed');
}

/** Names that it claimed and that never came into a package; none while another operation may have claimed them. */
async function undeployed(pool: Pool, configServer: ConfigServer, row: OperationRow): Promise<string[]> {
  const lives = await claimants(pool, row);
  const names = await reservedNames(pool, lives, row.operation);
  if (names.length === 0) return [];
  // One that is in the package is its owner's, though the note of it was cut off.
  const { files, mapped } = await readPackage(configServer);
  return names.filter((name) => !files.has(name) && !mapped.has(name));
}

async function claimants(pool: Pool, { operation, kind, incarnation }: OperationRow): Promise<Incarnation[]> {
  if (kind === 'deploySchemas') {
    const items = await rolloutItems(pool, operation);
    return items.filter(({ state }) => state === 'pending').map((item) => item.incarnation);
  }
  const claims = kind === 'createTenant' || kind === 'restoreTenant';
  return claims && incarnation !== null ? [incarnation] : [];
}
