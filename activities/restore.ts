import { heartbeat } from '@temporalio/activity';
import { checkInput } from '../src/contracts/common.js';
import { restoreTenantInput } from '../src/contracts/backupOperations.js';
import { requireOwnTenant } from '../src/access/ownTenant.js';
import { heldBack } from '../src/access/secondPerson.js';
import { ownBackup } from '../src/backup/ownership.js';
import { compareDocuments, restoreDocuments, schemaOf } from '../src/backup/restore/documents.js';
import { emptySchema } from '../src/backup/restore/emptySchema.js';
import { planRestore, requireQuiet } from '../src/backup/restore/plan.js';
import { restoreRegistry } from '../src/backup/restore/registry.js';
import { openSource } from '../src/backup/restore/source.js';
import { restoreTraces } from '../src/backup/restore/traces.js';
import { clearTraces } from '../src/backup/traces/clear.js';
import { verifyBackup } from '../src/backup/verify.js';
import type { BackupResources } from '../src/backup/writer.js';
import type { BackupId } from '../src/domain/backups.js';
import { OpsError } from '../src/domain/errors.js';
import { workflowIds } from '../src/domain/naming.js';
import { MEMORY_SCHEMA } from '../src/domain/profiles.js';
import { noteMemories } from '../src/quotas/memories.js';
import { forgetRestored } from '../src/registry/backupProgress.js';
import { lockCompleteBackup, noteVerified } from '../src/registry/backups.js';
import { transaction } from '../src/registry/database.js';
import { lowerFence, raiseFence, renewFence } from '../src/registry/fence.js';
import { beginOperation, closeOperation, endOperation } from '../src/registry/operationLog.js';
import { type OperationRow, attachOperation, getOperation } from '../src/registry/operations.js';
import { closeForRestore, openRestored } from '../src/registry/restores.js';
import { schemasOf } from '../src/registry/schemas.js';
import { getLife } from '../src/registry/tenants.js';
import { heartbeating } from './heartbeat.js';
import type { RestoreActivities } from './types.js';

export type RestoreLedgerActivities = Pick<
  RestoreActivities,
  'closeForRestore' | 'schemasThere' | 'finishRestore' | 'failRestore'
>;
export type RestoreDataActivities = Omit<RestoreActivities, keyof RestoreLedgerActivities>;

export function createRestoreLedgerActivities({
  pool,
}: Pick<BackupResources, 'pool'>): RestoreLedgerActivities {
  return {
    async closeForRestore({ wasOpen, ...key }) {
      await transaction(pool, async (tx) => {
        await attachOperation(tx, key.operation, key);
        // Its holder is whoever closes it: again by the same operation it is renewed.
        await raiseFence(tx, key);
        await closeForRestore(tx, key, wasOpen);
        // What began while the backup was verified. From here on nothing begins: the tenant is closed.
        await requireQuiet(tx, key, key.operation);
      });
    },

    async schemasThere({ incarnation }) {
      const owned = await schemasOf(pool, incarnation);
      return owned.filter(({ state }) => state === 'deployed').map(({ baseSchema }) => baseSchema);
    },

    async finishRestore({ opens, documents, spans, ...key }) {
      return transaction(pool, async (tx) => {
        const { state } = await getOperation(tx, key.operation);
        // This very step, run before.
        if (state === 'completed')
          return { state: (await getLife(tx, key)).state === 'active' ? 'active' : 'inactive' };
        if (!(await renewFence(tx, key)))
          throw new OpsError(
            'Conflict',
            `tenant ${key.tenant} was not closed to changes all the time it was restored into`,
            'restore again',
          );
        const end = await openRestored(tx, key, opens);
        await lowerFence(tx, key);
        const counts = { documents, spans };
        const detail = { backup: key.backup, ...counts };
        await forgetRestored(tx, key.operation);
        await endOperation(tx, key.operation, 'restore', { state: 'completed', counts }, detail);
        return { state: end };
      });
    },

    async failRestore({ state, failure, ...key }) {
      await lowerFence(pool, key);
      await forgetRestored(pool, key.operation);
      await closeOperation(pool, key.operation, 'restore', { state, error: failure }, { ...failure });
    },
  };
}

export function createRestoreDataActivities(resources: BackupResources): RestoreDataActivities {
  const { pool, shelf, phoenix } = resources;
  const watch = (signal: AbortSignal) => ({ signal, heartbeat: () => heartbeat() });
  return {
    async beginRestore(raw) {
      const input = checkInput(restoreTenantInput, raw);
      const { tenant, operation, backup, principal, reason } = input;
      requireOwnTenant(input.principalTenant, tenant);
      const row = await ownBackup(pool, input.principalTenant, backup);
      return heartbeating(async (signal) => {
        const source = await openSource(resources, backup);
        const { create, bases, fresh, ...decision } = await planRestore(
          resources,
          input,
          source,
          watch(signal),
        );
        const { incarnation, opens, plan } = decision;
        if (!input.preview) {
          const held = await transaction(pool, async (tx) => {
            await lockCompleteBackup(tx, backup);
            if (plan.how === 'replace') {
              const held = await heldBack(tx, {
                ...{ operation, verb: 'backup restore', tenant, incarnation, askedBy: principal, reason },
                workflowId: workflowIds.restore(tenant),
                request: { backup, from: row.tenant },
                changing: { loses: plan.loses },
              });
              if (held) return held;
            }
            const life = create ? { tenant: null, incarnation: null } : { tenant, incarnation };
            const began = await beginOperation(
              tx,
              {
                ...{ operation, kind: 'restoreTenant', ...life, principal, reason },
                workflowId: workflowIds.restore(tenant),
                input: {
                  ...{ backup, into: tenant, opens, fresh },
                  // Only of an administrator's own start, and into the tenant it is of: see restoreRegistry.
                  vouches: input.principalTenant === undefined && row.tenant === tenant,
                },
              },
              'restore',
              { backup, from: row.tenant, into: tenant, how: plan.how },
            );
            if (!began) requireSame(await getOperation(tx, operation), backup);
            return undefined;
          });
          if (held) return held;
        }
        return { ...decision, create, bases: [...bases] };
      });
    },

    async checkBeforeRestore({ backup }) {
      const { place, row } = await openSource(resources, backup);
      const { ok, errors, parts, bytes } = await heartbeating(async (signal) =>
        verifyBackup(place, {
          ...(await shelf.verifyKeys(row)),
          signal,
          onProgress: (done) => heartbeat(done),
        }),
      );
      await noteVerified(pool, backup, ok);
      if (ok) return { parts, bytes };
      throw new OpsError(
        'VerificationFailed',
        `backup ${backup} is not what was written: ${errors.slice(0, 3).join('; ')}`,
        'restore from another one: cvops backup list',
      );
    },

    async restoreRegistry(key) {
      return heartbeating(async (signal) => {
        const source = await openSource(resources, key.backup);
        const by = await getOperation(pool, key.operation);
        return restoreRegistry(pool, source, key, { by, signal });
      });
    },

    async emptySchema({ base, ...key }) {
      const of = await schemaOf(pool, key, base);
      const emptied = await heartbeating((signal) => emptySchema(resources, of, watch(signal)));
      // A backup of a tenant without memory brings none that would be counted afterwards.
      if (base === MEMORY_SCHEMA) await noteMemories(pool, key, 0);
      return emptied;
    },

    async clearTraces(key) {
      const { phoenixProject } = await getLife(pool, key);
      await heartbeating((signal) => clearTraces(phoenix, phoenixProject, watch(signal)));
    },

    async restoreDocuments({ base, operation, backup, ...to }) {
      const source = await openSource(resources, backup);
      return heartbeating((signal) =>
        restoreDocuments(resources, source, { base, to, operation }, watch(signal)),
      );
    },

    async compareDocuments({ base, operation, backup, ...to }) {
      const source = await openSource(resources, backup);
      const found = await heartbeating((signal) =>
        compareDocuments(resources, source, { base, to, operation }, watch(signal)),
      );
      if (base === MEMORY_SCHEMA) await noteMemories(pool, to, found.documents);
      return found;
    },

    async restoreTraces({ backup, ...key }) {
      const source = await openSource(resources, backup);
      const life = await getLife(pool, key);
      return heartbeating((signal) => restoreTraces(resources, source, life, watch(signal)));
    },
  };
}

/** A second try goes on with the first one; an operation that has ended, or restores something else, is not begun by its id. */
function requireSame({ operation, state, input }: OperationRow, backup: BackupId): void {
  if (state === 'running' && input['backup'] === backup) return;
  throw new OpsError(
    'Conflict',
    `operation ${operation} has ended, or restores another backup`,
    'every operation has an id of its own',
  );
}
