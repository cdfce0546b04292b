import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SliceKey } from '../../activities/types.js';
import { toOpsError } from '../../src/client/failures.js';
import type { BackupTenantInput } from '../../src/contracts/backupOperations.js';
import { type Consistency, backupId } from '../../src/domain/backups.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { backupTenant } from '../../workflows/backupTenant.js';
import {
  type Answers,
  Play,
  Stage,
  cancelIn,
  currentDetails,
  forGood,
  gate,
  operationState,
} from '../support/stage.js';

const BASE = 'video_colpali_smol500_mv_frame';
const SLICES = 6;
const FROM = '2026-11-28T15:45:00+00:00';
const defaults = {
  beginBackup: () => ({
    incarnation: parseIncarnation(randomUUID()),
    slices: Array.from({ length: SLICES }, (_, slice) => ({ base: BASE, slice })),
  }),
  raiseFence: () => ({ from: FROM }),
  awaitWriters: () => undefined,
  renewFence: () => ({ held: true }),
  lowerFence: () => undefined,
  backUpSlice: () => ({ documents: 10 }),
  compareSlice: () => ({ same: true }),
  restartSlice: () => undefined,
  backUpRegistry: () => ({ versions: 2, videos: 3 }),
  backUpTraces: () => ({ spans: 4, annotations: 5, notes: 6 }),
  finishBackup: (ending: object) => ({ ending }),
  failBackup: () => undefined,
} satisfies Answers;

const stage = new Stage(Object.keys(defaults));
beforeAll(() => stage.start());
afterAll(() => stage.stop());

async function begin(consistency: Consistency, own: Answers = {}, before?: Play['before']) {
  const play = new Play(defaults, own);
  if (before) play.before = before;
  const input: BackupTenantInput = {
    tenant: parseTenantId('acme_corp'),
    operation: parseOperationId(randomUUID()),
    backup: backupId(new Date(), randomBytes(4).toString('hex')),
    ...{ consistency, principal: 'tester', reason: '' },
  };
  stage.plays.set(input.operation, play).set(input.backup, play);
  const handle = await stage.client.workflow.start(backupTenant, {
    ...{ workflowId: `test/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [input] },
  });
  const ended = () => handle.result().catch((error: unknown) => toOpsError(error));
  return { play, handle, ended };
}

const slices = (what: string, count = SLICES) => Array.from({ length: count }, () => what);
const ENDING = ['backUpRegistry', 'backUpTraces', 'finishBackup'];
const FUZZY = ['beginBackup', ...slices('backUpSlice'), ...ENDING];
const RAISE = ['raiseFence', 'awaitWriters'];
const FENCED = ['beginBackup', ...RAISE, ...slices('backUpSlice'), ...ENDING, 'lowerFence'];

describe.concurrent('backupTenant', () => {
  test('fuzzy: documents, registry, traces; the manifest last, and no fence', async ({ expect }) => {
    const { play, handle, ended } = await begin('fuzzy');
    expect(await ended()).toMatchObject({ ending: { passes: 1, settled: false, fencedFrom: null } });
    expect(play.calls).toEqual(FUZZY);
    expect(await operationState(handle)).toBe('completed');
    expect(await currentDetails(handle)).toMatch(
      /- \[x\] documents: 60 in 6 slices\n.*\n.*\n- \[x\] manifest$/,
    );
  });

  test('fenced: closed before the first read, and opened after the manifest', async ({ expect }) => {
    const { play, ended } = await begin('fenced');
    expect(await ended()).toMatchObject({ ending: { fencedFrom: FROM, settled: false } });
    expect(play.calls).toEqual(FENCED);
  });

  test('settled: only what changed is read again, until a whole pass finds nothing', async ({ expect }) => {
    const compared: number[] = [];
    const stored: number[] = [];
    const { play, ended } = await begin('settled', {
      backUpSlice: ({ slice }: SliceKey) => (stored.push(slice), { documents: 1 }),
      compareSlice: ({ slice }: SliceKey) => {
        compared.push(slice);
        return { same: !(slice === 2 && compared.length <= 2 * SLICES) };
      },
    });
    expect(await ended()).toMatchObject({ ending: { passes: 4, settled: true } });
    expect(compared).toHaveLength(3 * SLICES);
    expect(stored.toSorted()).toEqual([0, 1, 2, 2, 2, 3, 4, 5]);
    const pass = slices('compareSlice');
    const again = [...pass, 'restartSlice', 'backUpSlice'];
    expect(play.calls).toEqual([
      'beginBackup',
      ...slices('backUpSlice'),
      ...again,
      ...again,
      ...pass,
      ...ENDING,
    ]);
  });

  test('settled is given up after six passes, and what was achieved is said', async ({ expect }) => {
    const { play, ended } = await begin('settled', {
      compareSlice: ({ slice }: SliceKey) => ({ same: slice > 0 }),
    });
    expect(await ended()).toMatchObject({ ending: { passes: 6, settled: false } });
    expect(play.count('restartSlice')).toBe(5);
  });

  test('at most four slices are in work', async ({ expect }) => {
    let [working, most] = [0, 0];
    const full = gate();
    const { play, ended } = await begin('fuzzy', {
      backUpSlice: async () => {
        most = Math.max(most, ++working);
        if (working === 4) full.open();
        await full.pass();
        working--;
        return { documents: 1 };
      },
    });
    await ended();
    expect([most, play.count('backUpSlice')]).toEqual([4, SLICES]);
  });

  test('a slice that fails: no other is begun, those in work end before anything is taken away', async ({
    expect,
  }) => {
    const inWork = gate();
    const { play, ended } = await begin('fuzzy', {
      backUpSlice: async ({ slice }: SliceKey) => {
        if (slice === 0) throw forGood('slice 0 is broken');
        await inWork.pass();
        play.calls.push(`slice ${slice} ends`);
        return { documents: 1 };
      },
    });
    await inWork.reached;
    await expect.poll(() => play.count('backUpSlice')).toBe(4);
    expect(play.calls).not.toContain('failBackup failed Rejected: slice 0 is broken');
    inWork.open();
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'slice 0 is broken', hint: 'do this' });
    expect(play.count('backUpSlice')).toBe(4);
    expect(play.calls.slice(-5).toSorted()).toEqual([
      'failBackup failed Rejected: slice 0 is broken',
      'lowerFence',
      'slice 1 ends',
      'slice 2 ends',
      'slice 3 ends',
    ]);
    expect(play.calls.at(-1)).toMatch(/^failBackup/);
  });

  test.each(['raiseFence', 'awaitWriters', 'backUpSlice', 'backUpRegistry', 'backUpTraces', 'finishBackup'])(
    '%s fails for good: the tenant is opened, what was stored is taken away, the reason is kept',
    async (step) => {
      const { play, handle, ended } = await begin('fenced', {}, (call) => {
        if (call === step) throw forGood(`${step} is broken`);
      });
      const message = `${step} is broken`;
      expect(await ended()).toMatchObject({ type: 'Rejected', message, hint: 'do this' });
      expect(play.calls.slice(-2)).toEqual(['lowerFence', `failBackup failed Rejected: ${message}`]);
      const begun = [...new Set(FENCED)];
      expect([...new Set(play.calls.slice(0, -2))]).toEqual(begun.slice(0, begun.indexOf(step) + 1));
      expect(await operationState(handle)).toBe('failed');
    },
  );

  test.each(['raiseFence', 'awaitWriters', 'backUpSlice', 'backUpRegistry', 'backUpTraces'])(
    'cancelled in %s: the step ends, then the tenant is opened and what was stored is taken away',
    async (step) => {
      const hold = gate();
      const { play, handle, ended } = await begin('fenced', {
        beginBackup: async () => (await hold.pass(), defaults.beginBackup()),
      });
      const cancelled = cancelIn(handle, play, step);
      hold.open();
      await cancelled;
      await ended();
      expect((await handle.describe()).status.name).toBe('CANCELLED');
      expect(play.calls.slice(-2)).toEqual([
        'lowerFence',
        'failBackup cancelled Conflict: the backup was cancelled',
      ]);
      expect(play.calls).not.toContain('finishBackup');
      expect(await operationState(handle)).toBe('cancelled');
    },
  );

  test('cancelled when the manifest is written: it is complete, and says so', async ({ expect }) => {
    const hold = gate();
    const { play, handle, ended } = await begin('fenced', {
      beginBackup: async () => (await hold.pass(), defaults.beginBackup()),
    });
    const cancelled = cancelIn(handle, play, 'finishBackup');
    hold.open();
    await cancelled;
    expect(await ended()).toMatchObject({ ending: { fencedFrom: FROM } });
    expect(play.calls).toEqual(FENCED);
    expect(await operationState(handle)).toBe('completed');
  });

  test('a backup that may not begin: nothing is done but ending what a lost attempt may have registered', async ({
    expect,
  }) => {
    const { play, handle, ended } = await begin('fenced', {}, (call) => {
      if (call === 'beginBackup') throw forGood('not in this state');
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'not in this state' });
    expect(play.calls).toEqual(['beginBackup', 'failBackup failed Rejected: not in this state']);
    expect(await operationState(handle)).toBe('failed');
  });
});
