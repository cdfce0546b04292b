import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { IsolationPage } from '../../activities/types.js';
import { toOpsError } from '../../src/client/failures.js';
import type { TestIsolationInput, VerifyIsolationInput } from '../../src/contracts/isolation.js';
import type { HardDeleteInput } from '../../src/contracts/life.js';
import type { CreateTenantInput } from '../../src/contracts/tenants.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { testIsolation } from '../../workflows/testIsolation.js';
import { verifyIsolation } from '../../workflows/verifyIsolation.js';
import {
  type Answers,
  Play,
  Stage,
  cancelIn,
  currentDetails,
  forGood,
  operationState,
} from '../support/stage.js';

type Page = IsolationPage & { readonly each: boolean };
const MEMBERS = 120;
const sizeOf = ({ from, to }: IsolationPage) => Math.min(to, MEMBERS) - from + 1;
const looked = (page: Page) => ({
  ...{ tenants: sizeOf(page), pairs: sizeOf(page) * (MEMBERS - 1), checks: [] },
  ways: { search: sizeOf(page) * (MEMBERS - 1), config: 1 },
});
const defaults = {
  beginIsolation: () => ({ members: MEMBERS }),
  removeLeftovers: () => ({ tenants: 0 }),
  plantCanaries: (page: IsolationPage) => ({ planted: sizeOf(page) }),
  lookForCanaries: looked,
  removeCanaries: () => undefined,
  finishIsolation: (counted: object) => ({ ok: true, skipped: [], ...counted }),
  failIsolation: () => undefined,
  beginIsolationTest: () => undefined,
  failIsolationTest: () => undefined,
  beginCreate: () => {
    throw forGood('no room');
  },
  beginPurge: () => undefined,
} satisfies Answers;

const stage = new Stage(Object.keys(defaults));
beforeAll(() => stage.start());
afterAll(() => stage.stop());

async function begin(own: Answers = {}, how: Partial<VerifyIsolationInput> = { tenants: 'all' }) {
  const play = new Play(defaults, own);
  const operation = parseOperationId(randomUUID());
  stage.plays.set(operation, play);
  const input = { operation, principal: 'tester', reason: '', ...how } as VerifyIsolationInput;
  const handle = await stage.client.workflow.start(verifyIsolation, {
    ...{ workflowId: `test/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [input] },
  });
  return { play, handle, ended: () => handle.result().catch((error: unknown) => toOpsError(error)) };
}

const times = (call: string, count = 3) => Array.from({ length: count }, () => call);

describe.concurrent('verifyIsolation', () => {
  test('all are planted before anybody looks, page by page, and all removed before it is counted', async ({
    expect,
  }) => {
    const pages: IsolationPage[] = [];
    const { play, handle, ended } = await begin({
      plantCanaries: (page: IsolationPage) => (pages.push(page), { planted: sizeOf(page) }),
    });
    expect(await ended()).toMatchObject({
      ...{ ok: true, tenants: MEMBERS, pairs: MEMBERS * (MEMBERS - 1) },
      ways: { search: MEMBERS * (MEMBERS - 1), config: 3 },
    });
    expect(pages.map(({ from, to }) => [from, to])).toEqual([
      [1, 50],
      [51, 100],
      [101, 150],
    ]);
    expect(play.calls).toEqual([
      ...['beginIsolation', 'removeLeftovers', ...times('plantCanaries'), ...times('lookForCanaries')],
      ...[...times('removeCanaries'), 'finishIsolation'],
    ]);
    expect(await operationState(handle)).toBe('completed');
    expect(await currentDetails(handle)).toContain('- [x] look for them: 120 of 120 tenants, 14280 pairs');
  });

  test('something found is a result, with its own state', async ({ expect }) => {
    const { handle, ended } = await begin({ finishIsolation: () => ({ ok: false, checks: [] }) });
    expect(await ended()).toMatchObject({ ok: false });
    expect(await operationState(handle)).toBe('completed_with_failures');
  });

  test('canaries are removed from every page when looking fails', async ({ expect }) => {
    const { play, handle, ended } = await begin({
      lookForCanaries: () => {
        throw forGood('no eyes');
      },
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'no eyes' });
    expect(play.count('removeCanaries')).toBe(3);
    expect(play.calls.at(-1)).toBe('failIsolation failed Rejected: no eyes');
    expect(await operationState(handle)).toBe('failed');
  });

  test('and when it is cancelled', async ({ expect }) => {
    const { play, handle, ended } = await begin();
    await cancelIn(handle, play, 'lookForCanaries');
    await ended();
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    expect(play.count('removeCanaries')).toBe(3);
    expect(play.calls.at(-1)).toBe('failIsolation cancelled Conflict: the verification was cancelled');
  });

  test('of two, each pair is asked for', async ({ expect }) => {
    const asked: unknown[] = [];
    const two = [parseTenantId('acme_corp'), parseTenantId('globex_inc')] as [never, never];
    const { ended } = await begin(
      {
        beginIsolation: () => ({ members: 2 }),
        lookForCanaries: ({ each }: Page) => (
          asked.push(each),
          { tenants: 2, pairs: 2, ways: {}, checks: [] }
        ),
      },
      { tenants: two },
    );
    expect(await ended()).toMatchObject({ pairs: 2 });
    expect(asked).toEqual([true]);
  });

  test('with nobody to look there is nothing to plant', async ({ expect }) => {
    const { play, ended } = await begin({ beginIsolation: () => ({ members: 0 }) });
    expect(await ended()).toMatchObject({ tenants: 0, pairs: 0 });
    expect(play.calls).toEqual(['beginIsolation', 'removeLeftovers', 'finishIsolation']);
  });

  test('one that may not begin', async ({ expect }) => {
    const { play, ended } = await begin({
      beginIsolation: () => {
        throw forGood('not yours');
      },
    });
    expect(await ended()).toMatchObject({ type: 'Rejected', message: 'not yours' });
    expect(play.calls).toEqual(['beginIsolation']);
  });
});

describe('testIsolation', () => {
  test('both tenants are deleted also when one cannot be made', async ({ expect }) => {
    const purged: string[] = [];
    const play = new Play(defaults, {
      beginIsolationTest: ({ operation }: TestIsolationInput) => {
        const names = [1, 2].map((n) => parseTenantId(`isolation_${operation.slice(0, 8)}_${n}`));
        for (const name of names) stage.plays.set(name, play);
        const creations = names.map((tenant): Partial<CreateTenantInput> => {
          const ids = {
            incarnation: parseIncarnation(randomUUID()),
            operation: parseOperationId(randomUUID()),
          };
          stage.plays.set(ids.operation, play);
          return { tenant, ...ids, cluster: 'test', principal: 'tester', reason: '' };
        });
        return { creations };
      },
      beginPurge: ({ tenant }: HardDeleteInput) => {
        purged.push(tenant);
        throw ApplicationFailure.create({ type: 'NotFound', message: 'no such life', nonRetryable: true });
      },
    });
    const input: TestIsolationInput = {
      ...{ operation: parseOperationId(randomUUID()), principal: 'tester', reason: '', cluster: 'test' },
    };
    stage.plays.set(input.operation, play);
    const handle = await stage.client.workflow.start(testIsolation, {
      ...{ workflowId: `test/${randomUUID()}`, taskQueue: TASK_QUEUES.control, args: [input] },
    });
    expect(await handle.result().catch((error: unknown) => toOpsError(error))).toMatchObject({
      ...{ type: 'Rejected', message: 'no room' },
    });
    expect(purged).toHaveLength(2);
    expect(play.calls.at(-1)).toBe('failIsolationTest failed Rejected: no room');
    expect(await operationState(handle)).toBe('failed');
  });
});
