import { randomUUID } from 'node:crypto';
import { ApplicationFailure, defaultPayloadConverter } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ScheduledBackupInput } from '../../src/contracts/backupKeeping.js';
import { type BackupId, backupId, parseBackupId } from '../../src/domain/backups.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../../src/domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../../src/domain/searchAttributes.js';
import type { TenantState } from '../../src/domain/states.js';
import { scheduledBackup } from '../../workflows/scheduledBackup.js';
import { bundleOf } from '../support/bundles.js';
import { type FakeActivities, WorkflowBench } from '../support/workflows.js';

let bench: WorkflowBench;
const bundle = bundleOf('./scheduledChildren.ts');
beforeAll(async () => {
  bench = await WorkflowBench.start();
});
afterAll(async () => {
  await bench?.stop();
});

const tenant = parseTenantId('acme_corp');
const common = { version: 1, tenant, incarnation: parseIncarnation(randomUUID()), every: '1d' } as const;
const SCHEDULES = {
  backup: { ...common, what: 'backup', consistency: 'settled' },
  verify: { ...common, what: 'verify', samples: 1 },
  prune: { ...common, what: 'prune', policy: { last: 2, daily: 7 } },
  drill: { ...common, what: 'drill', cluster: 'default' },
} as const satisfies Record<string, ScheduledBackupInput>;
const NEWEST = backupId(new Date('2026-11-27T01:00:00Z'), '0123abcd');
const refused = (type: string, message: string) =>
  ApplicationFailure.create({ type, message, nonRetryable: true, category: 'BENIGN' });

/** What an operation was started with. */
interface ChildInput {
  readonly operation: string;
  readonly backup?: string;
  readonly sample?: object;
}

function world({
  state = 'active',
  newest = NEWEST,
  verifications = 0,
  child = async () => ({ ok: true, errors: [], failed: 0, removed: 1 }),
}: {
  state?: TenantState;
  newest?: BackupId | null;
  verifications?: number;
  child?: (kind: string) => Promise<unknown>;
}) {
  const started: [string, ChildInput][] = [];
  const activities = {
    readRetention: async () => ({ state, purgeAt: null }),
    newestBackup: async () => ({ backup: newest, verifications }),
    child: async (kind: string, input: ChildInput) => {
      started.push([kind, input]);
      return child(kind);
    },
  } as FakeActivities;
  return { activities, started };
}

async function run(activities: FakeActivities, input: ScheduledBackupInput) {
  const work = async () => {
    const handle = await bench.client.workflow.start(scheduledBackup, {
      ...{ workflowId: `test/scheduled/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [input] },
    });
    const result = await handle.result().catch((error: unknown) => error as Error);
    const { memo, typedSearchAttributes } = await handle.describe();
    const { events } = await handle.fetchHistory();
    const noted = typedSearchAttributes.get(SEARCH_ATTRIBUTES.operationState);
    return { result, memo, noted, events: events ?? [] };
  };
  return bench.withWorkers(activities, work, bundle);
}

describe('a scheduled backup', () => {
  test('backs up as an operation of its own, under an id of its time', async () => {
    const { activities, started } = world({});
    const { result, noted, memo, events } = await run(activities, SCHEDULES.backup);
    const [[kind, input]] = started as [[string, ChildInput]];
    const { operation, backup } = input;
    const by = { principal: 'schedule:backup', reason: 'scheduled backup, 1d' };
    expect([kind, input]).toEqual([
      'backupTenant',
      { operation, backup, tenant, consistency: 'settled', ...by },
    ]);
    expect([parseOperationId(operation), parseBackupId(backup)]).toEqual([operation, backup]);
    expect(result).toEqual({ outcome: 'done', operation, backup });
    expect([noted, memo]).toEqual(['completed', { operation }]);

    const initiated = events.find(
      (e) => e.startChildWorkflowExecutionInitiatedEventAttributes,
    )!.startChildWorkflowExecutionInitiatedEventAttributes!;
    expect(initiated.workflowId).toBe(workflowIds.backup(tenant, parseBackupId(backup)));
    expect(initiated.priority).toMatchObject({ priorityKey: 4, fairnessKey: tenant });
    const attributes = Object.entries(initiated.searchAttributes!.indexedFields!);
    expect(
      Object.fromEntries(attributes.map(([k, v]) => [k, defaultPayloadConverter.fromPayload(v)])),
    ).toEqual({
      ...{ TenantId: tenant, OperationKind: 'backupTenant', OperationState: 'running' },
    });
  });

  test.each([
    [0, 1],
    [1, 2],
    [6, 7],
    [7, 1],
    [15, 2],
  ])('after %i verifications takes sample %i of 7 of the newest backup', async (verifications, n) => {
    const { activities, started } = world({ verifications });
    const { result } = await run(activities, { ...SCHEDULES.verify, samples: 7 });
    expect(started).toMatchObject([['verifyBackup', { backup: NEWEST, sample: { n, t: 7 } }]]);
    expect(result).toMatchObject({ outcome: 'done', backup: NEWEST });
  });

  test('that verifies all of it names no sample, and fails loudly when the backup is not sound', async () => {
    const child = async () => ({ ok: false, errors: ['part config.json is missing', 'and another'] });
    const { activities, started } = world({ child });
    const { result, noted, memo } = await run(activities, SCHEDULES.verify);
    expect(started[0]![1]).not.toHaveProperty('sample');
    const message = `backup ${NEWEST} is not sound: part config.json is missing`;
    expect(result).toMatchObject({ cause: { type: 'VerificationFailed', message } });
    expect([noted, memo]).toEqual(['failed', { operation: started[0]![1].operation, why: message }]);
  });

  test('prunes by its policy, and says when some of it could not be', async () => {
    const clean = world({});
    expect((await run(clean.activities, SCHEDULES.prune)).result).toMatchObject({ outcome: 'done' });
    expect(clean.started).toMatchObject([
      ['pruneBackups', { tenant, policy: { last: 2, daily: 7 }, principal: 'schedule:prune' }],
    ]);
    const partly = world({ child: async () => ({ removed: 3, failed: 2 }) });
    const { result, noted } = await run(partly.activities, SCHEDULES.prune);
    expect(result).toMatchObject({ outcome: 'done_with_failures', why: '3 removed, 2 could not be' });
    expect(noted).toBe('completed_with_failures');
  });

  test('proves the newest backup by a restore', async () => {
    const { activities, started } = world({});
    const { result } = await run(activities, SCHEDULES.drill);
    expect(started).toMatchObject([['drillRestore', { tenant, backup: NEWEST, cluster: 'default' }]]);
    expect(result).toMatchObject({ outcome: 'done', backup: NEWEST });
  });

  test.each(['verify', 'drill'] as const)('skips a %s while there is no backup', async (what) => {
    const { activities, started } = world({ newest: null });
    const { result, noted } = await run(activities, SCHEDULES[what]);
    expect(result).toEqual({ outcome: 'skipped', why: `tenant ${tenant} has no complete backup yet` });
    expect([noted, started]).toEqual(['skipped', []]);
  });

  test.each(['backup', 'verify', 'prune', 'drill'] as const)(
    'does no %s of a life that is not active',
    async (what) => {
      for (const state of ['inactive', 'purged'] as const) {
        const { activities, started } = world({ state });
        const { result, noted } = await run(activities, SCHEDULES[what]);
        expect(result).toEqual({ outcome: 'skipped', why: `this life of tenant ${tenant} is ${state}` });
        expect([noted, started]).toEqual(['skipped', []]);
      }
    },
  );

  test('is skipped when its operation finds the tenant closed, and fails with what the operation failed with', async () => {
    const closed = world({
      child: () => Promise.reject(refused('WrongState', 'tenant acme_corp is inactive')),
    });
    expect((await run(closed.activities, SCHEDULES.backup)).result).toEqual({
      ...{ outcome: 'skipped', why: 'tenant acme_corp is inactive' },
    });
    const broken = world({ child: () => Promise.reject(refused('Unavailable', 'no room in the store')) });
    const { result, noted, memo } = await run(broken.activities, SCHEDULES.backup);
    expect(result).toMatchObject({ cause: { type: 'Unavailable', message: 'no room in the store' } });
    expect([noted, memo]).toMatchObject(['failed', { why: 'no room in the store' }]);
  });

  test('leaves a prune alone that somebody has asked for by hand', async () => {
    const { activities } = world({});
    const workflowId = workflowIds.prune(tenant);
    const byHand = await bench.client.workflow.start('pruneBackups', { workflowId, taskQueue: 'nobody' });
    const { result } = await run(activities, SCHEDULES.prune);
    await byHand.terminate();
    expect(result).toEqual({
      ...{ outcome: 'skipped', why: 'one that was asked for by hand is under way' },
    });
  });
});
