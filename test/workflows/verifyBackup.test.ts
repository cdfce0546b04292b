import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { toOpsError } from '../../src/client/failures.js';
import type { VerifyBackupInput } from '../../src/contracts/backupOperations.js';
import { backupId } from '../../src/domain/backups.js';
import { parseOperationId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { verifyBackup } from '../../workflows/verifyBackup.js';
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

const good = { ok: true, errors: [], parts: 9, documents: 25, bytes: 99 };
const defaults = {
  beginVerify: () => ({ tenant: 'acme_corp' }),
  checkBackup: () => good,
  failVerify: () => undefined,
} satisfies Answers;

const stage = new Stage(Object.keys(defaults));
beforeAll(() => stage.start());
afterAll(() => stage.stop());

async function begin(own: Answers = {}, more: Partial<VerifyBackupInput> = {}) {
  const play = new Play(defaults, own);
  const input: VerifyBackupInput = {
    backup: backupId(new Date(), randomBytes(4).toString('hex')),
    operation: parseOperationId(randomUUID()),
    ...{ principal: 'tester', reason: '', ...more },
  };
  stage.plays.set(input.backup, play).set(input.operation, play);
  const handle = await stage.client.workflow.start(verifyBackup, {
    ...{ workflowId: `test/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [input] },
  });
  return { play, handle, ended: () => handle.result().catch((error: unknown) => toOpsError(error)) };
}

describe.concurrent('verifyBackup', () => {
  test('a good one', async ({ expect }) => {
    const { play, handle, ended } = await begin();
    expect(await ended()).toEqual(good);
    expect(play.calls).toEqual(['beginVerify', 'checkBackup']);
    expect(await operationState(handle)).toBe('completed');
    expect(await currentDetails(handle)).toContain('- [x] every part: 9 parts, 25 documents, nothing wrong');
  });

  test('a bad one is a result, with its own state', async ({ expect }) => {
    const bad = { ...good, ok: false, errors: ['part x: other bytes'] };
    const { play, handle, ended } = await begin({ checkBackup: () => bad });
    expect(await ended()).toEqual(bad);
    expect(play.calls).toEqual(['beginVerify', 'checkBackup']);
    expect(await operationState(handle)).toBe('completed_with_failures');
    expect(await currentDetails(handle)).toContain('- [x] every part: not what was written');
  });

  test('a sample is asked for as it was wanted, and is called one', async ({ expect }) => {
    const sample = { n: 2, t: 7 };
    const { handle, ended } = await begin(
      { checkBackup: (input: object) => ({ ...good, ...input }) },
      { sample },
    );
    expect(await ended()).toMatchObject({ sample });
    expect(await currentDetails(handle)).toContain('sample 2 of 7');
  });

  test('what cannot be read is a failure: no verdict is made up', async ({ expect }) => {
    const { play, handle, ended } = await begin({
      checkBackup: () => {
        throw forGood('it is gone');
      },
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'it is gone', hint: 'do this' });
    expect(play.calls.at(-1)).toBe('failVerify failed Rejected: it is gone');
    expect(await operationState(handle)).toBe('failed');
  });

  test('cancelled: the operation says so', async ({ expect }) => {
    const hold = gate();
    const { play, handle, ended } = await begin({
      beginVerify: async () => (await hold.pass(), defaults.beginVerify()),
      checkBackup: () => {
        throw forGood('cancelled in the middle');
      },
    });
    const cancelled = cancelIn(handle, play, 'beginVerify');
    hold.open();
    await cancelled;
    await ended();
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    expect(play.calls).toEqual([
      'beginVerify',
      'failVerify cancelled Conflict: the verification was cancelled',
    ]);
    expect(await operationState(handle)).toBe('cancelled');
  });

  test('one that may not begin', async ({ expect }) => {
    const { play, ended } = await begin({
      beginVerify: () => {
        throw forGood('of another tenant');
      },
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'of another tenant' });
    expect(play.calls).toEqual(['beginVerify']);
  });
});
