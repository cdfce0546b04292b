import { createHash } from 'node:crypto';
import { heartbeat, log } from '@temporalio/activity';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { heldBack, requireNoConsent } from '../src/access/secondPerson.js';
import type { RunOf } from '../src/access/workflowStart.js';
import { type GiveUpResources, giveUpAbandoned } from '../src/backup/giveUp.js';
import { checkInput } from '../src/contracts/common.js';
import { type HardDeleteInput, hardDeleteInput } from '../src/contracts/life.js';
import type { Held } from '../src/domain/approvals.js';
import { OpsError } from '../src/domain/errors.js';
import { workflowIds } from '../src/domain/naming.js';
import { requireState } from '../src/domain/states.js';
import { SharedDrain } from '../src/phoenix/drain.js';
import { deleteProject } from '../src/phoenix/projects.js';
import { deleteRetentionPolicies } from '../src/phoenix/retention.js';
import { stopOperations } from '../src/operations/stop.js';
import type { CertificateSigner } from '../src/purge/certificate.js';
import { METHODS, type Stores, countStores, deleteLedger } from '../src/purge/stores.js';
import { deleteConfig } from '../src/registry/config.js';
import { revokeTokensOf } from '../src/registry/access.js';
import { type Queryable, transaction } from '../src/registry/database.js';
import { beginOperation, closeOperation, endOperation } from '../src/registry/operationLog.js';
import { cancelOthers } from '../src/registry/operations.js';
import { memoryWritersOf } from '../src/registry/memoryWriters.js';
import { noteBefore, noteDeleted, noteReadBack } from '../src/registry/purgeStores.js';
import { beginPurging, endLives } from '../src/registry/retention.js';
import { releaseReserved, schemasOf } from '../src/registry/schemas.js';
import { type TenantLife, type TenantRow, findTenant, getLife, livesOf } from '../src/registry/tenants.js';
import { deleteTenantSchedules, pauseTenantSchedules } from '../src/schedules/tenantSchedules.js';
import { until } from './fence.js';
import { heartbeating } from './heartbeat.js';
import { runOf } from './run.js';
import type { PurgeActivities } from './types.js';

export interface PurgeDependencies extends Stores, GiveUpResources {
  readonly client: Client;
  readonly signer: CertificateSigner;
  /** Whether a person has started a run, not another operation as a part of itself. */
  readonly isAsked: (run: RunOf) => Promise<boolean>;
}

/** How long operations may take to end when their tenant goes; then they are terminated. */
const STOP_GRACE_MS = 120_000;
const DRAIN_MS = 10 * 60_000;
const MAX_RESIDUALS = 50;

export function createPurgeActivities(dependencies: PurgeDependencies): PurgeActivities {
  const { pool, client, phoenix, signer } = dependencies;
  const drain = new SharedDrain(phoenix, DRAIN_MS);

  /**
   * By policy: the end of a retention is nobody's wish, also when somebody had a wish before, and what is being purged is lost
   * already.
   */
  const holdBack = async (
    tx: Queryable,
    { tenant, incarnation, operation, trigger, principal, reason, rehearsal }: HardDeleteInput,
    { state, purgeAt }: TenantRow,
  ): Promise<Held | undefined> => {
    const ends = state === 'inactive' && purgeAt !== null ? Date.parse(purgeAt) : Infinity;
    if (trigger === 'expiry' || state === 'purging' || ends <= Date.now()) return undefined;
    if (trigger === 'purgeNow') {
      await requireNoConsent(tx, tenant);
      return undefined;
    }
    requireState('delete', tenant, state, purgeAt);
    const question = {
      ...{ operation, verb: 'tenant delete' as const, tenant, incarnation, askedBy: principal, reason },
      workflowId: workflowIds.purge(tenant),
      request: { rehearsed: rehearsal !== null },
      changing: { from: state },
    };
    // A drill's copy, or what a test has made, goes with what made it.
    const waits = await heldBack(tx, question, async () => !(await dependencies.isAsked(runOf())));
    return waits && { held: { ...waits.held, expiresAt: Math.min(waits.held.expiresAt, ends) } };
  };

  return {
    async beginPurge({ now, creationStopped, ...raw }) {
      const input = checkInput(hardDeleteInput, raw);
      const { tenant, incarnation, operation, trigger, principal, reason } = input;
      // Now, and not when everything is gone: without a key there would be no proof.
      await signer.check();
      return transaction(pool, async (tx) => {
        const row = await getLife(tx, input);
        // This very step, run before.
        if (row.state === 'purging' && row.purgeOperation === operation) return { state: 'purging' };
        if (row.state === 'creation_failed') await requireNoOtherLife(tx, row);
        const held = await holdBack(tx, input, row);
        if (held) return held;
        if (row.state === 'creating' && !creationStopped) return { state: 'creating' };
        const expired = trigger === 'expiry' ? new Date(now) : undefined;
        const from =
          trigger === 'requested'
            ? (['creating', 'active', 'inactive', 'creation_failed'] as const)
            : (['inactive'] as const);
        if (!(await beginPurging(tx, incarnation, operation, from, expired))) {
          requireState(trigger === 'requested' ? 'delete' : 'purgeNow', tenant, row.state, row.purgeAt);
          throw new OpsError(
            'WrongState',
            `the retention of tenant ${tenant} ends at ${row.purgeAt}, not now`,
          );
        }
        await beginOperation(
          tx,
          {
            operation,
            kind: 'hardDeleteTenant',
            tenant,
            incarnation,
            principal,
            reason,
            workflowId: workflowIds.purge(tenant),
          },
          'delete',
          { trigger, from: row.state, rehearsed: input.rehearsal !== null },
        );
        return { state: 'purging' };
      });
    },

    async stopCreation({ incarnation, operation }) {
      await heartbeating((signal) =>
        stopOperations(pool, client, incarnation, { except: operation, graceMs: STOP_GRACE_MS, signal }),
      );
    },

    async stopOperations({ tenant, incarnation, operation }) {
      await pauseTenantSchedules(pool, client, incarnation);
      try {
        // It waits for a retention that is over.
        await client.workflow.getHandle(workflowIds.retention(tenant)).signal('wake');
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      }
      return heartbeating(async (signal) => {
        const options = { except: operation, graceMs: STOP_GRACE_MS, signal };
        const stopped = await stopOperations(pool, client, incarnation, options);
        await giveUpAbandoned(dependencies, incarnation, signal);
        // What a caller adds is no operation; one that began before the tenant was `purging` is let end.
        await until(async () => (await memoryWritersOf(pool, incarnation)) === 0, signal);
        return stopped;
      });
    },

    async drainTraces() {
      await heartbeating((signal) => drain.wait(signal));
    },

    async countStores(key) {
      return heartbeating(async () => {
        const found = await countStores(dependencies, key);
        await noteBefore(
          pool,
          key.incarnation,
          found.map(({ store, name, count }) => ({ store, name, method: METHODS[store], before: count })),
        );
        return { things: found.length, total: found.reduce((sum, { count }) => sum + count, 0) };
      });
    },

    async schemasToPurge(key) {
      const lives = await livesOf(pool, key);
      const owned = await Promise.all(lives.map((incarnation) => schemasOf(pool, incarnation)));
      return {
        lives: lives.map((incarnation, i) => ({
          incarnation,
          bases: owned[i]!.map(({ baseSchema }) => baseSchema),
          names: owned[i]!.map(({ schemaName }) => schemaName),
        })),
      };
    },

    async noteSchemasErased(key) {
      // Claimed and never deployed: the package knows nothing of these.
      for (const incarnation of await livesOf(pool, key)) await releaseReserved(pool, incarnation);
      await noteDeleted(pool, key.incarnation, ['documents', 'memory', 'schemas']);
    },

    async eraseTraces(key) {
      const { phoenixProject } = await getLife(pool, key);
      await heartbeating(async (signal) => {
        await drain.wait(signal);
        heartbeat({ drained: true });
        await deleteProject(phoenix, phoenixProject);
        await deleteRetentionPolicies(phoenix, phoenixProject);
      });
      await noteDeleted(pool, key.incarnation, ['traces']);
    },

    async eraseSchedules(key) {
      await deleteTenantSchedules(pool, client, await livesOf(pool, key));
      await noteDeleted(pool, key.incarnation, ['schedules']);
    },

    async eraseLedger(key) {
      await deleteLedger(pool, await livesOf(pool, key));
      await noteDeleted(pool, key.incarnation, ['ledger']);
    },

    async eraseConfiguration(key) {
      for (const incarnation of await livesOf(pool, key)) await deleteConfig(pool, incarnation);
      await noteDeleted(pool, key.incarnation, ['configuration']);
    },

    async readBack({ look, ...key }) {
      return heartbeating(async () => {
        const found = await countStores(dependencies, key);
        // What turned up since the first count is not in the rows yet; as something that was not there before.
        await noteBefore(
          pool,
          key.incarnation,
          found.map(({ store, name }) => ({ store, name, method: METHODS[store], before: 0 })),
        );
        for (const count of found) await noteReadBack(pool, key.incarnation, look, count);
        const residuals = found.filter(({ count }) => count > 0);
        if (residuals.length > 0)
          log.warn('stores are not empty yet', { tenant: key.tenant, look, residuals });
        return { residuals: residuals.slice(0, MAX_RESIDUALS) };
      });
    },

    async issueCertificate(raw) {
      const input = checkInput(hardDeleteInput, raw);
      const { tenant, incarnation, operation } = input;
      return transaction(pool, async (tx) => {
        const document = await signer.issue(tx, input);
        const sha256 = createHash('sha256').update(document).digest('hex');
        await endLives(tx, await livesOf(tx, input));
        await revokeTokensOf(tx, tenant);
        // The retention's own row, had it still been draining.
        await cancelOthers(tx, incarnation, operation);
        await endOperation(tx, operation, 'delete', { state: 'completed' }, { certificateSha256: sha256 });
        return { tenant, incarnation, state: 'purged', operation, certificateSha256: sha256 };
      });
    },

    async failPurge({ operation, failure }) {
      await closeOperation(pool, operation, 'delete', { state: 'failed', error: failure }, { ...failure });
    },
  };
}

/** A failed creation is deleted by itself only while its id has no other life: with that one it goes anyway. */
async function requireNoOtherLife(tx: Queryable, { tenant, incarnation }: TenantLife): Promise<void> {
  const present = await findTenant(tx, tenant);
  if (present === undefined || present.incarnation === incarnation) return;
  if (present.state === 'creation_failed' || present.state === 'purged') return;
  throw new OpsError(
    'Conflict',
    `tenant ${tenant} was created anew meanwhile, and is ${present.state}`,
    `to delete that one: cvops tenant delete ${tenant} --hard`,
  );
}
