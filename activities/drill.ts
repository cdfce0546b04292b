import { requireOwnTenant } from '../src/access/ownTenant.js';
import { drilledBackup } from '../src/backup/drilled.js';
import { ownBackup } from '../src/backup/ownership.js';
import { drillRestoreInput } from '../src/contracts/backupOperations.js';
import { checkInput } from '../src/contracts/common.js';
import { drillTenant, parseBackupId } from '../src/domain/backups.js';
import { OpsError } from '../src/domain/errors.js';
import { workflowIds } from '../src/domain/naming.js';
import { lockCompleteBackup, noteProven } from '../src/registry/backups.js';
import { type Pool, transaction } from '../src/registry/database.js';
import { beginOperation, closeOperation, endOperation } from '../src/registry/operationLog.js';
import { findOperation } from '../src/registry/operations.js';
import type { DrillActivities } from './types.js';

export function createDrillActivities({ pool }: { readonly pool: Pool }): DrillActivities {
  return {
    async beginDrill(raw) {
      const input = checkInput(drillRestoreInput, raw);
      const { tenant, operation, principal, reason } = input;
      requireOwnTenant(input.principalTenant, tenant);
      return transaction(pool, async (tx) => {
        const into = drillTenant(operation);
        const before = await findOperation(tx, operation);
        // A newer one may be complete by now: a second attempt stays with its own.
        if (before?.kind === 'drillRestore' && before.tenant === tenant)
          return { backup: parseBackupId(before.input['backup']), into };
        const wanted = await drilledBackup(tx, tenant, input.backup);
        await ownBackup(tx, input.principalTenant, wanted);
        const row = await lockCompleteBackup(tx, wanted);
        if (row.tenant !== tenant)
          throw new OpsError('NotFound', `backup ${wanted} is none of tenant ${tenant}`);
        await beginOperation(
          tx,
          {
            ...{ operation, kind: 'drillRestore', tenant, incarnation: row.incarnation, principal, reason },
            workflowId: workflowIds.drill(tenant, operation),
            input: { backup: wanted, into },
          },
          'restore-drill',
          { backup: wanted, into },
        );
        return { backup: wanted, into };
      });
    },

    async finishDrill({ operation, backup, documents, memories, spans }) {
      await transaction(pool, async (tx) => {
        const counts = { documents, memories, spans };
        const detail = { backup, ...counts };
        if (await endOperation(tx, operation, 'restore-drill', { state: 'completed', counts }, detail))
          await noteProven(tx, backup);
      });
    },

    async failDrill({ operation, state, failure }) {
      await closeOperation(pool, operation, 'restore-drill', { state, error: failure }, { ...failure });
    },
  };
}
