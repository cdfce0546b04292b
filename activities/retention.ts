import { log } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { heldBack } from '../src/access/secondPerson.js';
import { checkInput } from '../src/contracts/common.js';
import { extendRequest, retentionInput, retentionRequest } from '../src/contracts/life.js';
import { isHeld } from '../src/domain/approvals.js';
import { OpsError } from '../src/domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../src/domain/ids.js';
import { workflowIds } from '../src/domain/naming.js';
import { type OperationKind, requireState } from '../src/domain/states.js';
import { runningOperations, startedBefore } from '../src/registry/operations.js';
import { DEFAULT_RETENTION_DAYS } from '../src/domain/retention.js';
import type { Question } from '../src/registry/approvals.js';
import { appendAudit } from '../src/registry/audit.js';
import { type Pool, type Queryable, transaction } from '../src/registry/database.js';
import { beginOperation, closeOperation } from '../src/registry/operationLog.js';
import { deactivate, extendRetention, noteNotice, reactivate } from '../src/registry/retention.js';
import { type TenantRow, getLife, requireWhole } from '../src/registry/tenants.js';
import { type NoticeWebhook, type PurgeNotice, purgeNoticeKey } from '../src/notices/webhook.js';
import { pauseTenantSchedules, resumeTenantSchedules } from '../src/schedules/tenantSchedules.js';
import { RETENTION_KINDS, cancelOperations } from '../src/operations/stop.js';
import type { RetentionActivities } from './types.js';

export interface RetentionDependencies {
  readonly pool: Pool;
  readonly client: Client;
  /** Told of each notice; undefined when none is configured. */
  readonly webhook: NoticeWebhook | undefined;
}

export function createRetentionActivities({
  pool,
  client,
  webhook,
}: RetentionDependencies): RetentionActivities {
  const row = (input: Asked, kind: OperationKind) => ({
    operation: input.operation,
    kind,
    tenant: input.tenant,
    incarnation: input.incarnation,
    principal: input.principal,
    reason: input.reason,
    workflowId: workflowIds.retention(input.tenant),
  });

  return {
    async beginRetention({ purgeAt, ...raw }) {
      const input = checkInput(retentionInput, raw);
      const { tenant, incarnation, begin } = input;
      if (begin === undefined) throw new OpsError('InvalidInput', 'nothing to begin');
      return transaction(pool, async (tx) => {
        const asked = row({ ...begin, tenant, incarnation }, 'softDeleteTenant');
        if (await startedBefore(tx, asked)) return undefined;
        const { retentionDays } = begin;
        if (retentionDays < DEFAULT_RETENTION_DAYS) {
          await requireMay(tx, input, 'deactivate');
          const held = await heldBack(
            tx,
            question(asked, 'tenant deactivate', { retentionDays, running: begin.running }),
          );
          if (held) return held;
        }
        if (!(await deactivate(tx, incarnation, new Date(purgeAt))))
          throw await refused(tx, input, 'deactivate');
        await beginOperation(tx, asked, 'deactivate', {
          purgeAt: new Date(purgeAt).toISOString(),
          running: begin.running,
        });
        return undefined;
      });
    },

    async pauseSchedules({ incarnation }) {
      return { schedules: await pauseTenantSchedules(pool, client, incarnation) };
    },

    async resumeSchedules({ incarnation, operation }) {
      const schedules = await resumeTenantSchedules(pool, client, incarnation);
      await closeOperation(pool, operation, 'reactivate', { state: 'completed' }, { schedules });
      return { schedules };
    },

    async stopRunning({ incarnation, running }) {
      const rows = await runningOperations(pool, incarnation);
      const others = rows.filter(({ kind }) => !RETENTION_KINDS.includes(kind));
      if (running === 'cancel') await cancelOperations(client, others);
      return { running: others.length };
    },

    async endDeactivation({ operation }) {
      await closeOperation(pool, operation, 'deactivate', { state: 'completed' });
    },

    async readRetention(key) {
      const { state, purgeAt } = await getLife(pool, key);
      return { state, purgeAt: purgeAt === null ? null : Date.parse(purgeAt) };
    },

    async giveNotice({ tenant, incarnation, purgeAt, days }) {
      const at = new Date(purgeAt);
      await transaction(pool, async (tx) => {
        if (!(await noteNotice(tx, incarnation, at, days))) return;
        await appendAudit(tx, {
          principal: 'system',
          verb: 'purge-notice',
          tenant,
          outcome: 'notice',
          reason: `the purge is ${days} day(s) away`,
          detail: { days, purgeAt: at.toISOString() },
        });
      });
      log.warn('tenant will be purged', { tenant, days, purgeAt: at.toISOString() });
      const purge = { tenant, incarnation, days, purgeAt: at.toISOString() };
      const notice: PurgeNotice = { event: 'purge-notice', ...purge };
      await webhook?.send(purgeNoticeKey(notice), notice);
    },

    async reactivate({ now, ...raw }) {
      const input = checkInput(retentionRequest, raw);
      return transaction(pool, async (tx) => {
        const asked = row(input, 'reactivateTenant');
        if (await startedBefore(tx, asked)) return;
        if (!(await reactivate(tx, input.incarnation, new Date(now))))
          throw await refused(tx, input, 'reactivate');
        await beginOperation(tx, asked, 'reactivate');
      });
    },

    async extendRetention({ now, ...raw }) {
      const { days, ...input } = checkInput(extendRequest, raw);
      return transaction(pool, async (tx) => {
        const asked = row(input, 'extendRetention');
        if (await startedBefore(tx, asked))
          return { purgeAt: Date.parse((await getLife(tx, input)).purgeAt!) };
        await requireMay(tx, input, 'extend');
        const held = await heldBack(tx, question(asked, 'tenant extend', { ...input, days }));
        if (held) return held;
        const purgeAt = await extendRetention(tx, input.incarnation, days, new Date(now));
        if (purgeAt === undefined) throw await refused(tx, input, 'extend');
        await beginOperation(tx, asked, 'extend', { days, purgeAt: purgeAt.toISOString() });
        return { purgeAt: purgeAt.getTime() };
      }).then(async (answer) => {
        if (isHeld(answer)) return answer;
        await closeOperation(pool, input.operation, 'extend', { state: 'completed' }, { days });
        return answer;
      });
    },
  };
}

interface Asked {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly operation: OperationId;
  readonly principal: string;
  readonly reason: string;
}

/** Before anybody is asked to agree. @throws OpsError `WrongState` */
async function requireMay(
  tx: Queryable,
  key: Pick<TenantRow, 'tenant' | 'incarnation'>,
  verb: 'deactivate' | 'extend',
): Promise<void> {
  const { tenant, state, purgeAt } = await getLife(tx, key);
  requireState(verb, tenant, state, purgeAt);
}

function question(
  { operation, tenant, incarnation, principal, reason, workflowId }: Asked & { readonly workflowId: string },
  verb: Question['verb'],
  request: Question['request'],
): Question {
  return { operation, verb, tenant, incarnation, workflowId, request, askedBy: principal, reason };
}

/** Why a move was not possible, by the state there is now. */
async function refused(
  tx: Parameters<typeof getLife>[0],
  key: Pick<TenantRow, 'tenant' | 'incarnation'>,
  verb: 'deactivate' | 'reactivate' | 'extend',
): Promise<OpsError> {
  const life = await getLife(tx, key);
  const { tenant, state, purgeAt } = life;
  try {
    requireState(verb, tenant, state, purgeAt);
    requireWhole(verb, life);
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
  return new OpsError(
    'WrongState',
    `the retention of tenant ${tenant} ended at ${purgeAt}: cannot ${verb}`,
    `it is about to be purged; follow it with: cvops op list --tenant ${tenant}`,
  );
}
