import { heartbeat } from '@temporalio/activity';
import { planPrune, removeBackup } from '../src/backup/prune.js';
import { openStore } from '../src/backup/store/open.js';
import { pruneBackupsInput } from '../src/contracts/backupKeeping.js';
import { checkInput } from '../src/contracts/common.js';
import { OpsError } from '../src/domain/errors.js';
import { requireKeepPolicy } from '../src/domain/keepPolicy.js';
import { workflowIds } from '../src/domain/naming.js';
import { backupsToKeepOrNot, newestComplete } from '../src/registry/backupKeeping.js';
import { type Pool, transaction } from '../src/registry/database.js';
import { beginOperation, closeOperation } from '../src/registry/operationLog.js';
import { getOperation } from '../src/registry/operations.js';
import { getTenant } from '../src/registry/tenants.js';
import type { Settings } from '../src/settings.js';
import { heartbeating } from './heartbeat.js';
import type { PruneActivities, ScheduledBackupActivities } from './types.js';

/** Bounds what one plan puts into a history. */
const PAGE = 100;

export function createPruneActivities({
  pool,
}: {
  readonly pool: Pool;
}): Omit<PruneActivities, 'removeBackup'> & ScheduledBackupActivities {
  return {
    async beginPrune(raw) {
      const input = checkInput(pruneBackupsInput, raw);
      const { tenant, operation, principal, principalTenant, reason } = input;
      const policy = requireKeepPolicy(input.policy);
      if (principalTenant !== undefined && principalTenant !== tenant)
        throw new OpsError('PermissionDenied', `${principal} may not prune the backups of tenant ${tenant}`);
      await transaction(pool, async (tx) => {
        // In any state: what is left of a purged tenant's backups is pruned as well.
        const { incarnation } = await getTenant(tx, tenant);
        const workflowId = workflowIds.prune(tenant);
        await beginOperation(
          tx,
          {
            ...{ operation, kind: 'pruneBackups', tenant, incarnation, principal, reason, workflowId },
            input: { policy },
          },
          'prune-backups',
          { policy },
        );
      });
    },

    async planPrune({ tenant, policy, now, after }) {
      const verdicts = await planPrune(pool, tenant, policy, new Date(now));
      const left = verdicts
        .filter(({ verdict, backup }) => verdict === 'remove' && (after === null || backup > after))
        .toReversed();
      const remove = left.slice(0, PAGE).map(({ backup, reasons }) => ({ backup, why: reasons.join('; ') }));
      return { remove, more: left.length > PAGE };
    },

    async finishPrune({ tenant, operation, removed, objects, bytes, failed, unremoved }) {
      const kept = (await backupsToKeepOrNot(pool, tenant)).filter(({ state }) => state !== 'removed').length;
      const counts = { removed, kept, failed, objects, bytes };
      const state = failed > 0 ? 'completed_with_failures' : 'completed';
      await closeOperation(pool, operation, 'prune-backups', { state, counts }, { ...counts, unremoved });
      return { tenant, operation, ...counts, unremoved };
    },

    async failPrune({ operation, state, failure }) {
      await closeOperation(pool, operation, 'prune-backups', { state, error: failure }, { ...failure });
    },

    async newestBackup({ incarnation }) {
      return newestComplete(pool, incarnation);
    },
  };
}

/** On the data workers: a store that is a folder lies on their machine. */
export function createRemovalActivities({
  pool,
  settings,
}: {
  readonly pool: Pool;
  readonly settings: Pick<Settings, 's3Endpoint'>;
}): Pick<PruneActivities, 'removeBackup'> {
  return {
    async removeBackup({ operation, backup, why }) {
      const by = await getOperation(pool, operation);
      const { principal, reason } = by;
      // Of the store that the backup's row names: by now the setting may name another.
      const open = (location: string) => openStore(location, settings);
      return heartbeating((signal) =>
        removeBackup(
          pool,
          open,
          { backup, why, by: { operation, principal, reason } },
          { signal, onProgress: (objects) => heartbeat({ objects }) },
        ),
      );
    },
  };
}
