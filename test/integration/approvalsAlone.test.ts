import { randomUUID } from 'node:crypto';
import { Client, type WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { afterAll, beforeAll, describe, inject, test } from 'vitest';
import { loadCredential } from '../../src/access/credential.js';
import { loadVerifyingKeys } from '../../src/access/keys.js';
import { present } from '../../src/access/proofs.js';
import { toOpsError } from '../../src/client/failures.js';
import { CvopsClient } from '../../src/client/index.js';
import { CREDENTIAL_HEADER } from '../../src/domain/access.js';
import type { GuardedVerb } from '../../src/domain/approvals.js';
import { parseRetention } from '../../src/domain/memory.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, scheduleIds, workflowIds } from '../../src/domain/naming.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { type TenantRow, getTenant } from '../../src/registry/tenants.js';
import { inputsOf } from '../support/access/starts.js';
import { PROFILE } from '../support/access/tries.js';
import { freshTenant, stackSettings } from '../support/cvops.js';
import { credentialOf, temporalAs } from '../support/principals.js';

// One administrator with the server's address and a token, who wants to do alone what takes two.
let pool: Pool;
let ann: CvopsClient;
let ben: CvopsClient;
let annsTemporal: Client;
let forge: (schedule: string) => Client;

beforeAll(async () => {
  const { home } = inject('stack');
  const settingsOf = async (subject: string) => ({
    ...stackSettings(),
    ...(await credentialOf(home, { role: 'admin', subject })),
  });
  const [anns, bens] = await Promise.all([settingsOf('ann'), settingsOf('ben')]);
  pool = openPool(anns.databaseUrl, { max: 2, name: 'tests' });
  [ann, ben, annsTemporal] = await Promise.all([
    CvopsClient.connect(anns),
    CvopsClient.connect(bens),
    temporalAs(anns),
  ]);
  const keys = await loadVerifyingKeys(anns.accessKeys);
  const audience = anns.accessAudience;
  const credential = await loadCredential(anns.credential, 'the token', { keys, audience, at: new Date() });
  forge = (schedule) =>
    new Client({
      connection: annsTemporal.connection,
      interceptors: {
        workflow: [
          {
            startWithDetails: async (start, next) => {
              const { workflowType: type, options } = start;
              const workflow = options.workflowId.replace(/-\d{4}-.*$/, '');
              const shown = await present(
                credential,
                { for: 'schedule', schedule, workflow, type },
                options.args ?? [],
              );
              return next({
                ...start,
                headers: { ...start.headers, [CREDENTIAL_HEADER]: defaultPayloadConverter.toPayload(shown) },
              });
            },
          },
        ],
      },
    });
});
afterAll(async () => {
  await Promise.all([ann?.close(), ben?.close(), annsTemporal?.connection.close()]);
  await pool?.end();
});

async function guarded(
  name: string,
  ...verbs: GuardedVerb[]
): Promise<TenantRow & { readonly made: string }> {
  const tenant = parseTenantId(freshTenant(name));
  const wanted = { tenant, template: 'enterprise', overrides: {}, profiles: [PROFILE], reason: '' } as const;
  const handle = await ann.createTenant(wanted);
  await handle.result();
  for (const verb of verbs) await ann.approvals.require(verb, tenant, 'four eyes');
  return { ...(await getTenant(pool, tenant)), made: handle.operation };
}

const row = ({ tenant }: Pick<TenantRow, 'tenant'>) => getTenant(pool, tenant);
const asked = (operation: string = randomUUID()) => ({ operation, principal: 'ann', reason: 'alone' });
const inputs = ({ tenant, incarnation }: TenantRow, by: ReturnType<typeof asked>, backup = '') =>
  inputsOf({ tenant, incarnation, backup, folder: '/tmp', asked: by as never });
const ends = (handle: WorkflowHandle): Promise<unknown> =>
  handle.result().catch((error: unknown) => {
    throw toOpsError(error);
  });
const start = (client: Client, type: string, workflowId: string, input: object | undefined) =>
  client.workflow.start(type, { workflowId, taskQueue: TASK_QUEUES.control, args: [input] });
const DAYS_90 = { retentionDays: 90, running: 'drain', reason: '' } as const;

describe.concurrent('deleting alone', () => {
  test('as an operation that there was before, of whatever kind', async ({ expect }) => {
    const life = await guarded('former', 'tenant delete');
    const input = inputs(life, asked(life.made))['hardDeleteTenant'];
    const handle = await start(annsTemporal, 'hardDeleteTenant', workflowIds.purge(life.tenant), input);
    // It waits, as any other: with its consent it would be refused for its id.
    await expect
      .poll(async () => (await ben.approvals.list(life.tenant, { all: false, limit: 9 })).length)
      .toBe(1);
    await ben.approvals.grant(life.made as never, '');
    await expect(ends(handle)).rejects.toMatchObject({ type: 'Conflict' });
    expect(await row(life)).toMatchObject({ state: 'active' });
    expect((await ann.schemas.verify(life.tenant)).ok).toBe(true);
  });

  test('by a schedule’s right, as a run that nobody asks for', async ({ expect }) => {
    const life = await guarded('schedule', 'tenant delete', 'backup restore', 'tenant deactivate');
    const { tenant } = life;
    await ann.memorySchedules.set({
      ...{ tenant, retention: parseRetention('1y', []), times: { everySeconds: 2_592_000 }, reason: '' },
    });
    const schedule = scheduleIds.memory(tenant);
    const at = '2026-01-01T00:00:00Z';
    for (const [type, workflow] of [
      ['hardDeleteTenant', schedule],
      ['hardDeleteTenant', workflowIds.purge(tenant)],
      ['softDeleteTenant', schedule],
      ['restoreTenant', schedule],
      ['pruneMemory', `${schedule}/other`],
    ] as const) {
      const handle = await start(forge(schedule), type, `${workflow}-${at}`, inputs(life, asked())[type]);
      await expect(ends(handle), type).rejects.toMatchObject({ type: 'PermissionDenied' });
    }
    // What says in a schedule's run that somebody asks.
    const named = { ...inputs(life, asked())['pruneMemory'], principal: 'ben' };
    const handle = await start(forge(schedule), 'pruneMemory', `${schedule}-${at}`, named);
    await expect(ends(handle)).rejects.toMatchObject({ type: 'PermissionDenied' });
    expect(await row(life)).toMatchObject({ state: 'active' });
  });

  test('by ending a retention that waits for consent itself', async ({ expect }) => {
    const life = await guarded('early', 'tenant deactivate');
    const { tenant, incarnation } = life;
    const waiting = await ann.life.deactivate({ ...DAYS_90, tenant, retentionDays: 7 });
    await waiting.result();
    const retention = annsTemporal.workflow.getHandle(workflowIds.retention(tenant));
    const now = { tenant, incarnation, ...asked() };
    const purgeNow = (argument: object) =>
      retention.executeUpdate('purgeNow', { args: [argument] }).catch((error: unknown) => {
        throw toOpsError(error);
      });
    await expect(purgeNow(now)).rejects.toMatchObject({ type: 'WrongState' });
    await ben.approvals.grant(waiting.operation, '');
    await expect.poll(async () => (await row(life)).state).toBe('inactive');
    // Nobody's: it would be in the system's name.
    await expect(
      purgeNow({ tenant, incarnation, operation: now.operation, reason: '' }),
    ).rejects.toMatchObject({ type: 'InvalidInput' });
    expect(await row(life)).toMatchObject({ state: 'inactive' });
  });

  test('where ending the retention takes two, the update itself ends nothing', async ({ expect }) => {
    const life = await guarded('update', 'tenant delete');
    const { tenant, incarnation } = life;
    await (await ann.life.deactivate({ ...DAYS_90, tenant })).result();
    const retention = annsTemporal.workflow.getHandle(workflowIds.retention(tenant));
    for (const by of [asked(), asked(life.made)]) {
      await retention.executeUpdate('purgeNow', { args: [{ tenant, incarnation, ...by }] });
      const purge = annsTemporal.workflow.getHandle(workflowIds.purge(tenant));
      await expect(ends(purge)).rejects.toMatchObject({ type: 'Conflict' });
    }
    expect(await row(life)).toMatchObject({ state: 'inactive' });
    expect((await ann.schemas.verify(tenant)).ok).toBe(true);
  });
});

describe.concurrent('consent is for what was asked', () => {
  test('not for another extension under the same operation', async ({ expect }) => {
    const life = await guarded('days', 'tenant extend');
    const { tenant, incarnation } = life;
    const { purgeAt: before } = await (await ann.life.deactivate({ ...DAYS_90, tenant })).result();
    const handle = await ann.life.extend(tenant, 1, 'a day');
    await handle.result();
    const retention = annsTemporal.workflow.getHandle(workflowIds.retention(tenant));
    const { operation } = handle;
    const longer = { tenant, incarnation, operation, principal: 'ann', reason: 'a day', days: 1000 };
    const swap = () =>
      retention.executeUpdate('extendRetention', { args: [longer] }).catch((error: unknown) => {
        throw toOpsError(error);
      });
    await expect(swap()).rejects.toMatchObject({ type: 'Conflict' });
    await ben.approvals.grant(operation, '');
    // As its own second attempt it is done; nothing moves further.
    await swap();
    expect(Date.parse((await row(life)).purgeAt!) - Date.parse(before!)).toBe(86_400_000);
  });

  test('not for a second run beside the one that is asked', async ({ expect }) => {
    const life = await guarded('decoy', 'tenant deactivate', 'backup restore', 'tenant delete');
    const { tenant } = life;
    for (const type of ['softDeleteTenant', 'restoreTenant', 'hardDeleteTenant']) {
      const handle = await start(
        annsTemporal,
        type,
        `tenant/${tenant}/decoy/${type}`,
        inputs(life, asked())[type],
      );
      await expect(ends(handle), type).rejects.toMatchObject({ type: 'PermissionDenied' });
    }
    expect(await ben.approvals.list(tenant, { all: true, limit: 9 })).toEqual([]);
  });

  test('not for the same restore once more', async ({ expect }) => {
    const life = await guarded('again', 'backup restore');
    const { tenant } = life;
    await ann.memory.add({ tenant, text: 'I like fish', userId: 'ann' });
    const { backup } = await (
      await ann.backups.create({ tenant, consistency: 'fuzzy', reason: '' })
    ).result();
    const over = { backup, replace: true, preview: false, overrideQuarantine: false, reason: '' } as const;
    const handle = await ann.backups.restore(over as never);
    const { operation } = handle;
    await expect
      .poll(async () => (await ben.approvals.list(tenant, { all: false, limit: 9 })).length)
      .toBe(1);
    await ben.approvals.grant(operation, '');
    expect(await handle.result()).toMatchObject({ how: 'replace', state: 'active' });

    const args = [await inputOf(handle.workflow)];
    const once = await annsTemporal.workflow.start('restoreTenant', {
      ...{ workflowId: workflowIds.restore(tenant), taskQueue: TASK_QUEUES.control, args },
    });
    await expect(ends(once)).rejects.toMatchObject({ type: 'Conflict' });
    expect(await row(life)).toMatchObject({ state: 'active' });
  });
});

/** What a run was started with. */
async function inputOf(handle: WorkflowHandle): Promise<unknown> {
  const { events } = await handle.fetchHistory();
  const payload = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0];
  return defaultPayloadConverter.fromPayload(payload!);
}
