import { randomBytes, randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toOpsError } from '../../src/client/failures.js';
import type { DrillRestoreInput, RestoreTenantInput } from '../../src/contracts/backupOperations.js';
import type { HardDeleteInput } from '../../src/contracts/life.js';
import { backupId, drillTenant } from '../../src/domain/backups.js';
import { parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../../src/domain/naming.js';
import { drillRestore } from '../../workflows/drillRestore.js';
import { type Answers, Play, Stage, cancelIn, forGood, gate, operationState } from '../support/stage.js';

const BASE = 'video_colpali_smol500_mv_frame';
const defaults = {
  beginDrill: () => undefined,
  finishDrill: () => undefined,
  failDrill: () => undefined,
  beginRestore: ({ incarnation, tenant, backup }: RestoreTenantInput) => ({
    plan: { tenant, backup, how: 'fill', documents: 20, memories: 5, spans: 7 },
    ...{ incarnation, create: null, bases: [BASE], opens: true },
  }),
  checkBeforeRestore: () => ({ parts: 9, bytes: 99 }),
  raiseFence: () => ({ from: '2026-11-28T15:45:00+00:00' }),
  awaitWriters: () => undefined,
  lowerFence: () => undefined,
  closeForRestore: () => undefined,
  schemasThere: () => [BASE],
  restoreRegistry: () => ({ versions: 2, videos: 3 }),
  restoreDocuments: () => ({ documents: 20 }),
  compareDocuments: () => ({ documents: 20 }),
  restoreTraces: () => ({ spans: 7 }),
  finishRestore: () => ({ state: 'active' }),
  failRestore: () => undefined,
  beginPurge: () => ({ state: 'purging' }),
  stopOperations: () => ({ stopped: 0, terminated: 0 }),
  drainTraces: () => undefined,
  countStores: () => ({ things: 1, total: 1 }),
  schemasToPurge: () => ({ lives: [] }),
  noteSchemasErased: () => undefined,
  eraseTraces: () => undefined,
  eraseSchedules: () => undefined,
  eraseLedger: () => undefined,
  eraseConfiguration: () => undefined,
  readBack: () => ({ residuals: [] }),
  issueCertificate: ({ tenant, incarnation, operation }: HardDeleteInput) => ({
    ...{ tenant, incarnation, operation, state: 'purged', certificateSha256: 'ab'.repeat(32) },
  }),
  failPurge: () => undefined,
} satisfies Answers;

const stage = new Stage(Object.keys(defaults));
beforeAll(() => stage.start());
afterAll(() => stage.stop());

async function begin(own: Answers = {}, before?: Play['before']) {
  const input: DrillRestoreInput = {
    ...{ tenant: parseTenantId('acme_corp'), operation: parseOperationId(randomUUID()) },
    ...{ cluster: 'test', principal: 'tester', reason: '' },
  };
  const into = drillTenant(input.operation);
  const backup = backupId(new Date(), randomBytes(4).toString('hex'));
  const play = new Play(defaults, { beginDrill: () => ({ backup, into }), ...own });
  if (before) play.before = before;
  stage.plays.set(input.operation, play).set(into, play).set(backup, play);
  const handle = await stage.client.workflow.start(drillRestore, {
    ...{ workflowId: `test/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [input] },
  });
  return { play, input, into, handle, ended: () => handle.result().catch((e: unknown) => toOpsError(e)) };
}

const PURGE_END = 'issueCertificate';
const neverMade = () => {
  throw ApplicationFailure.create({ type: 'NotFound', message: 'no such life', nonRetryable: true });
};

describe.concurrent('drillRestore', () => {
  test('restores, deletes for good, and only then says that the backup is proven', async ({ expect }) => {
    const { play, handle, into, ended } = await begin();
    expect(await ended()).toMatchObject({ into, documents: 20, memories: 5, spans: 7 });
    const at = (call: string) => play.calls.indexOf(call);
    expect(at('finishRestore')).toBeLessThan(at('beginPurge'));
    expect(play.calls.slice(-2)).toEqual([PURGE_END, 'finishDrill']);
    expect(await operationState(handle)).toBe('completed');
  });

  test('what is restored is what is deleted: the throw-away tenant, in the one life it was given', async ({
    expect,
  }) => {
    const restored: object[] = [];
    const deleted: object[] = [];
    const { into, ended } = await begin({
      beginRestore: (input: RestoreTenantInput) => (restored.push(input), defaults.beginRestore(input)),
      beginPurge: (input: HardDeleteInput) => (deleted.push(input), defaults.beginPurge()),
    });
    await ended();
    const [{ incarnation }] = restored as [RestoreTenantInput];
    expect(restored).toMatchObject([{ tenant: into, replace: false, preview: false }]);
    expect(deleted).toMatchObject([{ tenant: into, incarnation, trigger: 'requested' }]);
  });

  test.each(['checkBeforeRestore', 'restoreDocuments', 'compareDocuments', 'finishRestore'])(
    'the restore fails in %s: the throw-away tenant is deleted, nothing is proven, its reason is kept',
    async (step) => {
      const message = `${step} is broken`;
      const { play, handle, ended } = await begin({}, (call) => {
        if (call === step) throw forGood(message);
      });
      expect(await ended()).toMatchObject({ type: 'Rejected', message, hint: 'do this' });
      expect(play.calls.slice(-2)).toEqual([PURGE_END, `failDrill failed Rejected: ${message}`]);
      expect(play.calls.indexOf('beginPurge')).toBeGreaterThan(
        play.calls.indexOf(`failRestore failed Rejected: ${message}`),
      );
      expect(play.calls).not.toContain('finishDrill');
      expect(await operationState(handle)).toBe('failed');
    },
  );

  test('a tenant that never was made is gone: the drill ends with the reason of the restore', async ({
    expect,
  }) => {
    const { play, ended } = await begin({ beginPurge: neverMade }, (call) => {
      if (call === 'checkBeforeRestore') throw forGood('bad bytes');
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'bad bytes' });
    expect(play.calls.at(-1)).toBe('failDrill failed Rejected: bad bytes');
    expect(play.calls).toContain('beginPurge');
  });

  test('a throw-away tenant that cannot be deleted: the drill has failed, whatever was restored', async ({
    expect,
  }) => {
    const { play, ended } = await begin({}, (call) => {
      if (call === 'eraseTraces') throw forGood('Phoenix refuses');
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'Phoenix refuses' });
    expect(play.calls).not.toContain('finishDrill');
    expect(play.calls.at(-1)).toBe('failDrill failed Rejected: Phoenix refuses');
  });

  test.each(['checkBeforeRestore', 'restoreDocuments', 'restoreTraces'])(
    'cancelled in %s: the restore has ended before its tenant is deleted, and the drill is cancelled',
    async (step) => {
      const hold = gate();
      const { play, into, handle, ended } = await begin({
        beginRestore: async (input: RestoreTenantInput) => (await hold.pass(), defaults.beginRestore(input)),
      });
      const child = stage.client.workflow.getHandle(workflowIds.restore(into));
      const cancelled = cancelIn(handle, play, step, child);
      hold.open();
      await cancelled;
      await ended();
      expect((await handle.describe()).status.name).toBe('CANCELLED');
      const at = (call: string) => play.calls.indexOf(call);
      expect(at('failRestore cancelled Conflict: the restore was cancelled')).toBeGreaterThan(at(step));
      expect(at('beginPurge')).toBe(at('failRestore cancelled Conflict: the restore was cancelled') + 1);
      expect(play.calls.slice(-2)).toEqual([
        ...[PURGE_END, 'failDrill cancelled Conflict: the drill was cancelled'],
      ]);
    },
  );

  test('terminated while it deletes, as by a purge of the original: the copy is deleted all the same', async ({
    expect,
  }) => {
    const deleting = gate();
    const { play, handle } = await begin({ drainTraces: () => deleting.pass() });
    await deleting.reached;
    await handle.terminate('its tenant is purged');
    deleting.open();
    await expect.poll(() => play.calls.at(-1)).toBe(PURGE_END);
  });

  test('a drill that may not begin', async ({ expect }) => {
    const { play, ended } = await begin({}, () => {
      throw forGood('no complete backup');
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'no complete backup' });
    expect(play.calls).toEqual(['beginDrill']);
  });
});
