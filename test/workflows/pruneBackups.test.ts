import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PruneBackupsInput } from '../../src/contracts/backupKeeping.js';
import { type BackupId, backupId } from '../../src/domain/backups.js';
import { parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../../src/domain/searchAttributes.js';
import { pruneBackups } from '../../workflows/pruneBackups.js';
import { type FakeActivities, WorkflowBench } from '../support/workflows.js';

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
});
afterAll(async () => {
  await bench?.stop();
});

const input: PruneBackupsInput = {
  ...{ tenant: parseTenantId('acme_corp'), operation: parseOperationId(randomUUID()), policy: { last: 1 } },
  ...{ principal: 'tests', reason: '' },
};
const idOf = (n: number): BackupId =>
  backupId(new Date(Date.UTC(2026, 0, 1) + n * 60_000), n.toString(16).padStart(8, '0'));
const refused = (type: string, message: string) =>
  ApplicationFailure.create({ type, message, nonRetryable: true, category: 'BENIGN' });

/** A store of so many backups that are to go, given in pages. */
function world(count: number, pageSize: number, remove?: (backup: BackupId) => Promise<void>) {
  const all = Array.from({ length: count }, (_, i) => idOf(i));
  const seen = { removed: [] as BackupId[], ended: [] as string[], times: new Set<string>() };
  const activities: FakeActivities = {
    beginPrune: async () => {},
    planPrune: async ({ now, after }) => {
      seen.times.add(now);
      const left = all.filter((backup) => after === null || backup > after);
      const page = left.slice(0, pageSize).map((backup) => ({ backup, why: 'no rule keeps it' }));
      return { remove: page, more: left.length > pageSize };
    },
    removeBackup: async ({ backup }) => {
      await remove?.(backup);
      seen.removed.push(backup);
      return { objects: 3, bytes: 10 };
    },
    finishPrune: async ({ tenant, ...counts }) => {
      seen.ended.push('completed');
      return { tenant, ...counts, kept: 1 };
    },
    failPrune: async ({ state, failure }) => {
      seen.ended.push(`${state}: ${failure.code}`);
    },
  };
  return { activities, seen, all };
}

async function prune(activities: FakeActivities) {
  return bench.withWorkers(activities, async (client) => {
    const handle = await client.workflow.start(pruneBackups, {
      ...{ workflowId: `test/prune/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [input] },
    });
    const result = await handle.result().catch((error: unknown) => error as Error);
    const last = client.workflow.getHandle(handle.workflowId);
    const { typedSearchAttributes, runId } = await last.describe();
    return {
      ...{ result, noted: typedSearchAttributes.get(SEARCH_ATTRIBUTES.operationState) },
      runs: runId === handle.firstExecutionRunId ? 'one' : 'several',
    };
  });
}

describe('pruneBackups', () => {
  test('removes page after page, one backup after the other, and counts', async () => {
    const { activities, seen, all } = world(7, 3);
    const { result, noted } = await prune(activities);
    expect(seen.removed).toEqual(all);
    expect(result).toMatchObject({ removed: 7, objects: 21, bytes: 70, failed: 0, kept: 1, unremoved: [] });
    expect([noted, seen.ended]).toEqual(['completed', ['completed']]);
  });

  test('goes on after one that stays, and says which and why', async () => {
    const held = idOf(1);
    const { activities, seen } = world(3, 100, async (backup) => {
      if (backup === held) throw refused('WrongState', `backup ${held} stays: it is held: lawsuit`);
    });
    const { result, noted } = await prune(activities);
    expect(seen.removed).toEqual([idOf(0), idOf(2)]);
    expect(result).toMatchObject({
      ...{ removed: 2, failed: 1 },
      unremoved: [{ backup: held, why: `backup ${held} stays: it is held: lawsuit` }],
    });
    expect(noted).toBe('completed_with_failures');
  });

  test('with many to remove it goes on in new runs, as of the same time, and loses no count', async () => {
    const { activities, seen, all } = world(200, 90);
    const { result, runs } = await prune(activities);
    expect(seen.removed).toEqual(all);
    expect(result).toMatchObject({ removed: 200, objects: 600, bytes: 2000 });
    expect([runs, seen.times.size]).toEqual(['several', 1]);
  });

  test('refused at its start it fails with that, and nothing was removed', async () => {
    const { activities, seen } = world(3, 100);
    const begin = refused('InvalidInput', 'a policy without a rule would keep nothing');
    const { result, noted } = await prune({
      ...activities,
      beginPrune: async () => {
        throw begin;
      },
    });
    expect(result).toMatchObject({ cause: { type: 'InvalidInput', message: begin.message } });
    expect([noted, seen.removed, seen.ended]).toEqual(['failed', [], ['failed: InvalidInput']]);
  });

  test('cancelled, it ends after the backup it is at', async () => {
    const [working, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { activities, seen } = world(3, 100, async () => {
      working.resolve();
      await go.promise;
    });
    await bench.withWorkers(activities, async (client) => {
      const handle = await client.workflow.start(pruneBackups, {
        ...{ workflowId: `test/prune/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [input] },
      });
      await working.promise;
      await handle.cancel();
      go.resolve();
      await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    });
    expect([seen.removed, seen.ended]).toEqual([[idOf(0)], ['cancelled: Conflict']]);
  });
});
