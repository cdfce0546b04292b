import { randomUUID } from 'node:crypto';
import type { Client, ScheduleOptions } from '@temporalio/client';
import { ApplicationFailure, defaultPayloadConverter } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createQuotaActivities } from '../../activities/quotas.js';
import { createReconcileActivities } from '../../activities/reconcile.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, scheduleIds, workflowIds } from '../../src/domain/naming.js';
import { askForDelivery } from '../../src/operations/start.js';
import { MEMORY_SCHEMA } from '../../src/domain/profiles.js';
import type { TenantMemory } from '../../src/memory/tenantMemory.js';
import { quotaStates } from '../../src/quotas/state.js';
import { type Pool, transaction } from '../../src/registry/database.js';
import { markDeployed, reserveSchemas } from '../../src/registry/schemas.js';
import type { DocumentClient } from '../../src/vespa/documents.js';
import { beginOperation } from '../../src/registry/operationLog.js';
import { findTenant } from '../../src/registry/tenants.js';
import { beginPurging, deactivate, endLives } from '../../src/registry/retention.js';
import { schedulesOf } from '../../src/registry/tenantSchedules.js';
import { ensureSystemSchedules } from '../../src/schedules/systemSchedules.js';
import {
  deleteTenantSchedules,
  ensureTenantSchedule,
  pauseTenantSchedules,
  resumeTenantSchedules,
  scheduleExists,
} from '../../src/schedules/tenantSchedules.js';
import { checkHealth } from '../../workflows/checkHealth.js';
import { reconcileQuotas } from '../../workflows/reconcileQuotas.js';
import { reconcileRetention } from '../../workflows/reconcileRetention.js';
import {
  type Life,
  type TestRegistry,
  makeTenant,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';
import { WorkflowBench } from '../support/workflows.js';

let registry: TestRegistry;
let bench: WorkflowBench;
let pool: Pool;
let client: Client;
beforeAll(async () => {
  [registry, bench] = await Promise.all([startTestRegistry(), WorkflowBench.start()]);
  pool = registry.pool;
  client = bench.client;
});
afterAll(async () => {
  await bench?.stop();
  await registry?.stop();
});

const options = ({ tenant }: Life, name: string, every: '15 minutes' | '30 minutes' = '15 minutes') =>
  ({
    scheduleId: `tenant/${tenant}/${name}`,
    spec: { intervals: [{ every }] },
    action: { type: 'startWorkflow', workflowType: 'checkHealth', taskQueue: 'nobody', args: [{ tenant }] },
  }) satisfies ScheduleOptions;
const ensure = (life: Life, name: string, every?: '30 minutes') =>
  ensureTenantSchedule(pool, client, life, 'checkHealth', options(life, name, every));
const handleOf = (life: Life, name: string) => client.schedule.getHandle(options(life, name).scheduleId);
const isPaused = async (life: Life, name: string) => (await handleOf(life, name).describe()).state.paused;
const rowsOf = async ({ incarnation }: Life) =>
  (await schedulesOf(pool, [incarnation])).map(({ scheduleId }) => scheduleId);

describe('schedules of a tenant', () => {
  test('are made with their row; made again they are brought up to date and stay paused', async () => {
    const life = await makeTenant(pool);
    await ensure(life, 'a');
    await handleOf(life, 'a').pause('a person');
    await ensure(life, 'a', '30 minutes');
    const { spec, state } = await handleOf(life, 'a').describe();
    expect(spec.intervals).toEqual([expect.objectContaining({ every: 30 * 60_000 })]);
    expect(state).toMatchObject({ paused: true, note: 'a person' });
    expect(await rowsOf(life)).toEqual([`tenant/${life.tenant}/a`]);
  });

  test('an id whose row is another life’s is refused, and that schedule stays as it is', async () => {
    const [life, other] = [await makeTenant(pool), await makeTenant(pool)];
    await ensure(life, 'a');
    const stolen = ensureTenantSchedule(pool, client, other, 'checkHealth', options(life, 'a', '30 minutes'));
    await expect(stolen).rejects.toMatchObject({ type: 'Conflict' });
    const { spec } = await handleOf(life, 'a').describe();
    expect(spec.intervals).toEqual([expect.objectContaining({ every: 15 * 60_000 })]);
    expect(await rowsOf(other)).toEqual([]);
  });

  test('what a person had paused stays paused after a reactivation; both steps may run twice', async () => {
    const life = await makeTenant(pool);
    for (const name of ['gone', 'persons', 'runs']) await ensure(life, name);
    await handleOf(life, 'persons').pause('a person');
    await handleOf(life, 'gone').delete();

    for (let i = 0; i < 2; i++) {
      await pauseTenantSchedules(pool, client, life.incarnation);
      expect([await isPaused(life, 'runs'), await isPaused(life, 'persons')]).toEqual([true, true]);
    }
    expect((await handleOf(life, 'persons').describe()).state.note).toBe('a person');

    expect(await resumeTenantSchedules(pool, client, life.incarnation)).toBe(1);
    expect(await resumeTenantSchedules(pool, client, life.incarnation)).toBe(0);
    expect([await isPaused(life, 'runs'), await isPaused(life, 'persons')]).toEqual([false, true]);
  });

  test('paused by a step that was killed before it could say so, it is resumed all the same', async () => {
    const life = await makeTenant(pool);
    await ensure(life, 'a');
    await pool.query('update tenant_schedules set paused_for_retention = true where incarnation = $1', [
      life.incarnation,
    ]);
    await pauseTenantSchedules(pool, client, life.incarnation);
    expect(await isPaused(life, 'a')).toBe(true);
    await resumeTenantSchedules(pool, client, life.incarnation);
    expect(await isPaused(life, 'a')).toBe(false);
  });

  test('are deleted with their rows, also one that is gone already, and nobody else’s', async () => {
    const [life, other] = [await makeTenant(pool), await makeTenant(pool)];
    for (const name of ['a', 'gone']) await ensure(life, name);
    await ensure(other, 'a');
    await handleOf(life, 'gone').delete();
    for (let i = 0; i < 2; i++) await deleteTenantSchedules(pool, client, [life.incarnation]);
    expect(await rowsOf(life)).toEqual([]);
    expect(await scheduleExists(client, `tenant/${life.tenant}/a`)).toBe(false);
    expect(await scheduleExists(client, `tenant/${other.tenant}/a`)).toBe(true);
    expect(await rowsOf(other)).toEqual([`tenant/${other.tenant}/a`]);
  });

  test('the installation’s own are made once, and what an operator changed of them stays', async () => {
    await ensureSystemSchedules(client, 'test');
    await client.schedule.getHandle('system/retention-reconcile').pause('maintenance');
    await ensureSystemSchedules(client, 'test');
    const { state, action } = await client.schedule.getHandle('system/retention-reconcile').describe();
    expect(state).toMatchObject({ paused: true, note: 'maintenance' });
    expect(action).toMatchObject({ workflowType: 'reconcileRetention', args: [{ cluster: 'test' }] });
    const isolation = await client.schedule.getHandle('system/isolation').describe();
    expect(isolation.action).toMatchObject({ workflowType: 'verifyIsolation', args: [{ version: 1 }] });
    const health = await client.schedule.getHandle(scheduleIds.system.health).describe();
    expect(health.action).toMatchObject({ workflowType: 'checkHealth', args: [{ tenant: null }] });
    expect(health.spec.intervals).toEqual([expect.objectContaining({ every: 15 * 60_000 })]);
    // What there was before anything was counted is not waited for until the night.
    const [first] = await vi.waitUntil(async () => {
      const { recentActions } = (await client.schedule.getHandle('system/quota-reconcile').describe()).info;
      return recentActions.length > 0 && recentActions;
    });
    const { workflowId } = first!.action.workflow;
    const { type } = await client.workflow.getHandle(workflowId).describe();
    expect(type).toBe('reconcileQuotas');
    await client.workflow.getHandle(workflowId).terminate('the next tests have workers');
  });
});

describe('reconcileRetention', () => {
  async function inactive(): Promise<Life> {
    const life = await makeTenant(pool);
    await deactivate(pool, life.incarnation, new Date(Date.now() + 90 * 86_400_000));
    return life;
  }
  async function purging(): Promise<Life> {
    const life = await makeTenant(pool);
    await beginPurging(pool, life.incarnation, newOperation(), ['active']);
    return life;
  }
  /** One whose retention ended, and whose purge had begun. */
  async function expired(): Promise<Life> {
    const life = await purging();
    const { purgeOperation: operation } = (await findTenant(pool, life.tenant))!;
    const asked = { operation: operation!, principal: 'alice', reason: 'contract ended' };
    const row = { ...asked, ...life, kind: 'hardDeleteTenant', workflowId: 'lost' } as const;
    await transaction(pool, (tx) => beginOperation(tx, row, 'delete', { trigger: 'expiry' }));
    return life;
  }
  /** Something that runs under this id: no worker ever takes it. */
  const occupy = (workflowId: string) =>
    client.workflow.start('softDeleteTenant', { workflowId, taskQueue: 'nobody' });
  /** Without workers: what it starts stays as it was started. */
  const reconcile = () => {
    const activities = createReconcileActivities({
      pool,
      client,
      phoenix: new PhoenixClient('http://127.0.0.1:9'),
    });
    return new MockActivityEnvironment().run(() => activities.reconcileRetention({ cluster: 'test' }));
  };

  async function startedInput(workflowId: string): Promise<unknown> {
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
    const { input } = events![0]!.workflowExecutionStartedEventAttributes!;
    return defaultPayloadConverter.fromPayload(input!.payloads![0]!);
  }

  test('starts exactly what is missing, under the ids that everybody uses, and nothing the next time', async () => {
    const [waits, lost] = [await inactive(), await inactive()];
    const [purges, stuck] = [await purging(), await expired()];
    const [active, gone] = [await makeTenant(pool), await purging()];
    await endLives(pool, [gone.incarnation]);
    const waiting = await occupy(workflowIds.retention(waits.tenant));
    const purge = await occupy(workflowIds.purge(purges.tenant));
    // It ended without doing its work.
    const terminated = await occupy(workflowIds.purge(stuck.tenant));
    await terminated.terminate('an operator');

    expect(await reconcile()).toEqual({ retentions: 1, purges: 1 });
    expect(await startedInput(workflowIds.retention(lost.tenant))).toEqual({
      version: 1,
      tenant: lost.tenant,
      incarnation: lost.incarnation,
      cluster: 'test',
    });
    expect(await startedInput(workflowIds.purge(stuck.tenant))).toMatchObject({
      tenant: stuck.tenant,
      incarnation: stuck.incarnation,
      cluster: 'test',
      principal: 'system',
      reason: 'reconciled: alice had asked for it: contract ended',
      trigger: 'expiry',
    });
    const description = await client.workflow.getHandle(workflowIds.purge(stuck.tenant)).describe();
    expect(description).toMatchObject({ type: 'hardDeleteTenant', taskQueue: TASK_QUEUES.control });
    // Those that ran are the ones that run.
    for (const handle of [waiting, purge])
      expect((await client.workflow.getHandle(handle.workflowId).describe()).runId).toBe(
        handle.firstExecutionRunId,
      );
    for (const id of [active, gone].flatMap(({ tenant }) => [
      workflowIds.retention(tenant),
      workflowIds.purge(tenant),
    ]))
      await expect(client.workflow.getHandle(id).describe()).rejects.toThrow();

    expect(await reconcile()).toEqual({ retentions: 0, purges: 0 });
    for (const id of [workflowIds.retention(lost.tenant), workflowIds.purge(stuck.tenant)])
      await client.workflow.getHandle(id).terminate('the next test has workers');
  });

  test('the workflow answers with what its step did', async () => {
    const asked: unknown[] = [];
    const activities = {
      reconcileRetention: async (input: { cluster: string }) => {
        asked.push(input);
        return { retentions: 2, purges: 1 };
      },
    };
    await bench.withWorkers(activities, async () => {
      const result = await client.workflow.execute(reconcileRetention, {
        workflowId: `test/${randomUUID()}`,
        taskQueue: TASK_QUEUES.control,
        args: [{ cluster: 'test' }],
      });
      expect(result).toEqual({ retentions: 2, purges: 1 });
      expect(asked).toEqual([{ cluster: 'test' }]);
    });
  });
});

describe('health', () => {
  const lookAt = (tenant: string | null) =>
    bench.client.workflow.execute(checkHealth, {
      workflowId: `test/${randomUUID()}`,
      taskQueue: TASK_QUEUES.control,
      args: [{ tenant: tenant === null ? null : parseTenantId(tenant) }],
    });

  test('checkHealth goes through all pages, sums up, and has it told; of a tenant that is not there it fails', async () => {
    const asked: unknown[] = [];
    let requests = 0;
    const activities = {
      checkInstallation: async () => ({ opened: 1, resolved: 0 }),
      checkTenants: async (input: { tenant: string | null; after: string }) => {
        asked.push(input);
        if (input.tenant === 'nobody')
          throw ApplicationFailure.create({ type: 'NotFound', message: 'no tenant', nonRetryable: true });
        return { checked: 25, opened: 2, resolved: 1, next: input.after === '' ? 'm' : null };
      },
      requestDelivery: async () => void requests++,
    };
    await bench.withWorkers(activities, async () => {
      expect(await lookAt(null)).toEqual({ checked: 50, opened: 5, resolved: 2 });
      expect(asked).toEqual([
        { tenant: null, after: '' },
        { tenant: null, after: 'm' },
      ]);
      expect(requests).toBe(1);
      await expect(lookAt('nobody')).rejects.toThrow();
    });
  });

  test('deliverAlerts tries until all is told; asked again while it runs it is the same one', async () => {
    let tries = 0;
    const activities = {
      deliverAlerts: async () => {
        tries++;
        return tries < 3
          ? { told: 0, pending: 1, dueInSeconds: 0 }
          : { told: 1, pending: 0, dueInSeconds: 0 };
      },
    };
    await bench.withWorkers(activities, async (client) => {
      await askForDelivery(client);
      const handle = client.workflow.getHandle(workflowIds.alertDelivery);
      const { runId } = await handle.describe();
      await askForDelivery(client);
      expect(await handle.result()).toEqual({ told: 1 });
      expect((await handle.describe()).runId).toBe(runId);
      expect(tries).toBeGreaterThanOrEqual(3);
    });
  });
});

describe('reconcileQuotas', () => {
  /** Whose usage says that it has a video more than it has. */
  async function wrong(): Promise<Life> {
    const life = await makeTenant(pool);
    await pool.query(`insert into quota_usage (incarnation, resource, used) values ($1, 'videos', 1)`, [
      life.incarnation,
    ]);
    return life;
  }
  const usedOf = async ({ incarnation }: Life) =>
    (await quotaStates(pool, incarnation)).find(({ resource }) => resource === 'videos')!.used;

  test('goes through all tenants in pages; one that fails does not stop the others', async () => {
    const [first, broken, last] = [await wrong(), await wrong(), await wrong()];
    const activities = createQuotaActivities({
      ...{ pool, client, pageSize: 2 },
      // Asked of tenants with schemas only: these have none.
      documents: {} as DocumentClient,
      memories: {
        open: ({ tenant }) => {
          if (tenant === broken.tenant) throw new Error('its memory does not answer');
          return { count: async () => 0 } as TenantMemory;
        },
      },
    });
    for (const { tenant, incarnation } of [first, broken, last]) {
      await reserveSchemas(pool, tenant, incarnation, [MEMORY_SCHEMA]);
      await markDeployed(pool, incarnation, [MEMORY_SCHEMA], 1);
    }
    await bench.withWorkers(activities, async () => {
      const result = await client.workflow.execute(reconcileQuotas, {
        ...{ workflowId: `test/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [] },
      });
      expect(result.corrected).toBeGreaterThanOrEqual(2);
      // Tenants of other tests have no memory schema, which is as much of a failure as this one's.
      expect(result.failed).toBeGreaterThanOrEqual(1);
    });
    for (const life of [first, last]) expect(await usedOf(life)).toBe(0);
  });
});
