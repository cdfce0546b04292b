import { heartbeat } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { checkInput } from '../src/contracts/common.js';
import { deploySchemasInput } from '../src/contracts/rollout.js';
import { OpsError } from '../src/domain/errors.js';
import { workflowIds } from '../src/domain/naming.js';
import { waves } from '../src/domain/waves.js';
import { type Pool, type Queryable, transaction } from '../src/registry/database.js';
import { beginOperation, closeOperation } from '../src/registry/operationLog.js';
import { startedBefore } from '../src/registry/operations.js';
import {
  type RolloutItem,
  addRolloutItems,
  countRollout,
  endRolloutItem,
  rolloutItems,
  skipPendingItems,
} from '../src/registry/rollout.js';
import { schemasOf } from '../src/registry/schemas.js';
import { claimSchemas } from '../src/tenants/claimSchemas.js';
import type { ConfigServer } from '../src/vespa/configServer.js';
import { type TenantRow, everyTenant, requireTenant } from '../src/registry/tenants.js';
import type { BaseSchema } from '../src/domain/profiles.js';
import { sendSchemaChange } from './application.js';
import type { RolloutActivities } from './types.js';

export function createRolloutActivities({
  pool,
  client,
  configServer,
}: {
  readonly pool: Pool;
  readonly client: Client;
  readonly configServer: ConfigServer;
}): RolloutActivities {
  return {
    async beginRollout(raw) {
      const input = checkInput(deploySchemasInput, raw);
      const { operation, principal, reason } = input;
      await transaction(pool, async (tx) => {
        if (await startedBefore(tx, { operation, kind: 'deploySchemas', incarnation: null })) return;
        const tenants = await chosen(tx, input.tenants);
        const sizes = waves(tenants.length);
        const waveOf = sizes.flatMap((size, i) => Array.from({ length: size }, () => i + 1));
        await beginOperation(
          tx,
          {
            operation,
            kind: 'deploySchemas',
            tenant: null,
            incarnation: null,
            principal,
            reason,
            workflowId: workflowIds.deploySchemas(operation),
          },
          'deploy-schemas',
          { tenants: tenants.length, bases: input.bases, waves: sizes },
        );
        const items = tenants.map(({ tenant, incarnation }, i) => ({
          item: i + 1,
          tenant,
          incarnation,
          wave: waveOf[i]!,
        }));
        await addRolloutItems(tx, operation, items);
      });
      const items = await rolloutItems(pool, operation);
      return { tenants: items.length, waves: items.at(-1)?.wave ?? 0 };
    },

    async requestWave({ operation, cluster, bases, wave, replyTo }) {
      let requested = 0;
      for (const item of await rolloutItems(pool, operation, wave)) {
        if (item.state !== 'pending') continue;
        heartbeat({ item: item.item });
        const wanted = await claim(pool, configServer, item, bases);
        if ('reason' in wanted) {
          await endRolloutItem(pool, operation, item.item, wanted);
          continue;
        }
        await sendSchemaChange(pool, client, cluster, {
          id: `${operation}/${wave}/${item.item}`,
          tenant: item.tenant,
          incarnation: item.incarnation,
          add: wanted.bases,
          remove: [],
          replyTo,
        });
        requested++;
      }
      return { requested };
    },

    async settleWave({ operation, wave, answered, failures, last }) {
      const failed = new Map(failures.map(({ item, reason }) => [item, reason]));
      const done = new Set(answered);
      for (const { item, state, incarnation } of await rolloutItems(pool, operation, wave)) {
        if (state !== 'pending') continue;
        if (!last && !failed.has(item)) continue;
        const reason = failed.get(item) ?? (done.has(item) ? undefined : 'no answer came in time');
        if (reason !== undefined) await endRolloutItem(pool, operation, item, { state: 'failed', reason });
        else {
          const schemas = (await schemasOf(pool, incarnation)).map(({ schemaName }) => schemaName);
          await endRolloutItem(pool, operation, item, { state: 'done', schemas });
        }
        heartbeat({ item });
      }
      return { failed: (await countRollout(pool, operation)).failed };
    },

    async finishRollout({ operation, deployments, why }) {
      await skipPendingItems(pool, operation, why);
      const { done, failed, skipped } = await countRollout(pool, operation);
      const state = failed + skipped > 0 ? 'completed_with_failures' : 'completed';
      const counts = { done, failed, skipped, deployments };
      await closeOperation(pool, operation, 'deploy-schemas', { state, counts });
      return { operation, tenants: { done, failed, skipped }, deployments };
    },

    async failRollout({ operation, state, failure }) {
      await skipPendingItems(pool, operation, failure.message);
      await closeOperation(pool, operation, 'deploy-schemas', { state, error: failure }, { ...failure });
    },
  };
}

/** Whom it is for: named tenants must be active, `all` means those that are. */
async function chosen(tx: Queryable, tenants: 'all' | readonly TenantRow['tenant'][]): Promise<TenantRow[]> {
  if (tenants !== 'all') {
    const rows: TenantRow[] = [];
    for (const tenant of new Set(tenants)) rows.push(await requireTenant(tx, tenant, 'deploySchemas'));
    return rows;
  }
  return everyTenant(tx, 'active');
}

/** The base schemas to ask for, with their names claimed; or why this tenant gets none. */
async function claim(
  pool: Pool,
  configServer: ConfigServer,
  { tenant, incarnation }: RolloutItem,
  bases: readonly BaseSchema[] | null,
): Promise<{ bases: BaseSchema[] } | { state: 'failed' | 'skipped'; reason: string }> {
  try {
    const row = await requireTenant(pool, tenant, 'deploySchemas');
    if (row.incarnation !== incarnation) return { state: 'skipped', reason: 'it was re-created meanwhile' };
    if (bases !== null) {
      await claimSchemas(pool, configServer, tenant, incarnation, bases);
      return { bases: [...bases] };
    }
    const owned = (await schemasOf(pool, incarnation)).map(({ baseSchema }) => baseSchema);
    return owned.length > 0 ? { bases: owned } : { state: 'skipped', reason: 'it has no schemas' };
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return { state: error.type === 'WrongState' ? 'skipped' : 'failed', reason: error.message };
  }
}
