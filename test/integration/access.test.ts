import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { type Headers, defaultPayloadConverter } from '@temporalio/common';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { presented } from '../../src/access/proofs.js';
import { toOpsError } from '../../src/client/failures.js';
import { CvopsClient } from '../../src/client/index.js';
import type { IssuedToken } from '../../src/client/tokens.js';
import { CREDENTIAL_HEADER, WORKFLOWS } from '../../src/domain/access.js';
import { type BackupId, parseBackupId } from '../../src/domain/backups.js';
import { type OperationId, type TenantId, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { parseRetention } from '../../src/domain/memory.js';
import { TASK_QUEUES, scheduleIds, workflowIds } from '../../src/domain/naming.js';
import { projectRoot } from '../../src/projectRoot.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { getTenant } from '../../src/registry/tenants.js';
import { inputsOf } from '../support/access/starts.js';
import { PROFILE } from '../support/access/tries.js';
import { everythingOf } from '../support/access/world.js';
import { cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { credentialOf, temporalAs, tokenOf } from '../support/principals.js';

const [a, b] = [parseTenantId(freshTenant('mine')), parseTenantId(freshTenant('theirs'))];

let pool: Pool;
let admin: CvopsClient;
/** Somebody with the server's address, and nothing of ours. */
let raw: Client;
let operator: { readonly issued: IssuedToken; readonly client: CvopsClient; readonly temporal: Client };
let backupOfB: BackupId;
let operationOfB: OperationId;

const settingsOf = async (role: 'reader' | 'operator', tenant: TenantId) => ({
  ...stackSettings(),
  ...(await credentialOf(inject('stack').home, { role, tenant, subject: `${role} of ${tenant}` })),
});

beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { max: 2, name: 'tests' });
  admin = await CvopsClient.connect(settings);
  raw = new Client({ connection: await Connection.connect({ address: settings.temporalAddress }) });
  const create = async (tenant: TenantId) =>
    (
      await admin.createTenant({
        tenant,
        template: 'enterprise',
        overrides: {},
        profiles: [PROFILE],
        reason: '',
      })
    ).result();
  await Promise.all([create(a), create(b)]);
  const issued = await cvopsJson<IssuedToken>(['token', 'issue', '--role', 'operator', '--tenant', a]);
  process.env['ACCESS_TEST_TOKEN'] = issued.token;
  const mine = { ...settings, credential: 'env:ACCESS_TEST_TOKEN' };
  operator = { issued, client: await CvopsClient.connect(mine), temporal: await temporalAs(mine) };
  const made = await admin.backups.create({ tenant: b, consistency: 'fuzzy', reason: '' });
  operationOfB = made.operation;
  backupOfB = parseBackupId((await made.result()).backup);
});
afterAll(async () => {
  await operator?.client.close();
  await operator?.temporal.connection.close();
  await raw?.connection.close();
  await admin?.close();
  await pool?.end();
});

const denials = async (where: string, value: string): Promise<number> => {
  const { rowCount } = await pool.query(
    `select 1 from audit_log where outcome = 'denied' and ${where} = $1`,
    [value],
  );
  return rowCount ?? 0;
};
const PERMISSION_DENIED = expect.objectContaining({
  cause: expect.objectContaining({ type: 'PermissionDenied' }),
});
const asOps = (error: unknown): never => {
  throw toOpsError(error);
};
const denied = async (handle: WorkflowHandle): Promise<void> => {
  await expect(handle.result().catch(asOps)).rejects.toMatchObject({ type: 'PermissionDenied' });
  expect(await denials(`detail->>'workflowId'`, handle.workflowId)).toBeGreaterThan(0);
};

const HOW = { replace: true, preview: false, overrideQuarantine: false, reason: '' };
/** What no command line of accessTable.test.ts names: another's things beside one's own. */
const beside: readonly ((client: CvopsClient) => Promise<unknown>)[] = [
  (c) => c.schemas.deploy({ tenants: [a, b], bases: null, maxFailures: 0, reason: '' }),
  (c) => c.isolation.verify({ tenants: [a, b], reason: '' }),
  (c) => c.backups.drill({ tenant: a, backup: backupOfB, reason: '' }),
  (c) => c.backups.restore({ ...HOW, backup: backupOfB, into: a }),
  (c) => c.ingest.again({ ...AGAIN, tenant: a, operation: operationOfB }),
];
const AGAIN = { items: 'failed', concurrency: 1, reason: '' } as const;

describe('through the client and the command', () => {
  test.each(['reader', 'operator'] as const)(
    'a %s of A gets nothing of B, and each try is told',
    async (role) => {
      const before = await everythingOf(pool, admin, b);
      const client = await CvopsClient.connect(await settingsOf(role, a));
      const subject = `${role} of ${a}`;
      const already = await denials('principal', subject);
      for (const ask of beside)
        await expect(ask(client), String(ask)).rejects.toMatchObject({ type: 'PermissionDenied' });
      expect(await denials('principal', subject)).toBe(already + beside.length);
      // Whether there is such a tenant is told nobody.
      const refusal = await client.showTenant(b).catch((error: unknown) => error);
      await expect(client.showTenant(parseTenantId('never_was'))).rejects.toEqual(refusal);
      const seen = await client.listTenants();
      expect(seen.map(({ tenant }) => tenant)).toEqual([a]);
      expect((await client.listOperations(undefined, 100)).every(({ tenant }) => tenant === a)).toBe(true);
      await client.close();
      expect(await everythingOf(pool, admin, b)).toEqual(before);
    },
  );

  test('a reader reads what is its own, and changes none of it', async () => {
    const client = await CvopsClient.connect(await settingsOf('reader', a));
    expect((await client.showTenant(a)).tenant).toBe(a);
    await expect(client.memory.add({ tenant: a, text: 'x', userId: 'u' })).rejects.toMatchObject({
      type: 'PermissionDenied',
    });
    await client.close();
  });

  test('the command exits 4, and without a token says how to come by one', async () => {
    const env = { CVOPS_TOKEN: await tokenOf(inject('stack').home, { role: 'reader', tenant: a }) };
    const shown = await cvopsWith(env, 'tenant', 'show', b, '-o', 'json');
    expect([shown.code, errorOf(shown).code]).toEqual([4, 'PermissionDenied']);
    const none = await cvopsWith(
      { CVOPS_TOKEN: '', CVOPS_HOME: '/nonexistent' },
      'tenant',
      'list',
      '-o',
      'json',
    );
    expect([none.code, errorOf(none).hint]).toEqual([4, expect.stringContaining('cvops token issue')]);
    const junk = await cvopsWith({ CVOPS_TOKEN: 'cvops1.secretpart.x.y.z' }, 'tenant', 'list', '-o', 'json');
    expect([junk.code, junk.stderr.includes('secretpart')]).toEqual([4, false]);
  });
});

/** How an operation began, as anybody who may read histories sees it. */
async function began(workflowId: string) {
  const { events } = await raw.workflow.getHandle(workflowId).fetchHistory();
  const started = events![0]!.workflowExecutionStartedEventAttributes!;
  return {
    type: started.workflowType!.name!,
    headers: started.header!.fields as Headers,
    input: defaultPayloadConverter.fromPayload<Record<string, unknown>>(started.input!.payloads![0]!),
  };
}

/** Starts a workflow past the client, with any header. */
const forge = (
  type: string,
  workflowId: string,
  input: object,
  headers: Headers = {},
  more: object = {},
): Promise<WorkflowHandle> =>
  new Client({
    connection: raw.connection,
    interceptors: { workflow: [{ startWithDetails: (start, next) => next({ ...start, headers }) }] },
  }).workflow.start(type, {
    ...{ workflowId, taskQueue: TASK_QUEUES.control, args: [input] },
    ...more,
  });

describe('past the client, straight to Temporal', () => {
  let mine: Awaited<ReturnType<typeof began>> & { readonly workflowId: string };
  let before: Awaited<ReturnType<typeof everythingOf>>;
  beforeAll(async () => {
    const handle = await operator.client.backups.create({ tenant: a, consistency: 'fuzzy', reason: '' });
    await handle.result();
    mine = { ...(await began(handle.workflow.workflowId)), workflowId: handle.workflow.workflowId };
    before = await everythingOf(pool, admin, b);
  });

  test('a history holds no secret: what it shows of a credential lets nobody in again', async () => {
    const seed = operator.issued.token.split('.')[4]!;
    const { events } = await raw.workflow.getHandle(mine.workflowId).fetchHistory();
    expect(JSON.stringify(events)).not.toContain(seed);
    const shown = presented.parse(defaultPayloadConverter.fromPayload(mine.headers[CREDENTIAL_HEADER]!));
    expect(operator.issued.token).toContain(shown.token);
    expect(shown.proof + shown.token).not.toContain(seed);

    const { type, input, headers, workflowId } = mine;
    const other = `tenant/${a}/backup/other`;
    // Once more as it was; under another id, type, with other arguments, of another tenant.
    await denied(await forge(type, workflowId, input, headers));
    await denied(await forge(type, other, input, headers));
    await denied(await forge('clearMemory', workflowId, input, headers));
    await denied(await forge(type, workflowId, { ...input, reason: 'mine' }, headers));
    await denied(await forge(type, workflowId, { ...input, tenant: b }, headers));
    await denied(await forge(type, `tenant/${b}/backup/1`, { ...input, tenant: b }, headers));
  });

  test('no header, junk for one, and a token of one’s own making let nobody in', async () => {
    const { type, input } = mine;
    const header = (value: unknown) => ({ [CREDENTIAL_HEADER]: defaultPayloadConverter.toPayload(value) });
    const junk: Headers[] = [{}, header('x'), header({ v: 1, token: 'a.b.c', proof: 'a.b.c' }), header(null)];
    for (const [i, headers] of junk.entries())
      await denied(await forge(type, `tenant/${b}/backup/junk-${i}`, { ...input, tenant: b }, headers));
    // A type that is on every object, and one that is nowhere, as well.
    await denied(await forge('reconcileRetention', 'system/retention-reconcile-2026-01-01T00:00:00Z', {}));
  });

  test('with a credential of its own an operator of A can name B nowhere', async () => {
    const { input } = mine;
    const { incarnation } = await getTenant(pool, b);
    const start = (type: string, workflowId: string, args: object, more: object = {}) =>
      operator.temporal.workflow.start(type, {
        ...{ workflowId, taskQueue: TASK_QUEUES.control, args: [args] },
        ...more,
      });
    const by = { principal: operator.issued.subject, reason: '', operation: input['operation'] };
    const id = (what: string) => `tenant/${a}/${what}`;
    await denied(await start('backupTenant', id('backup/x1'), { ...input, tenant: b }));
    await denied(await start('backupTenant', `tenant/${b}/backup/x2`, input));
    await denied(await start('backupTenant', id('backup/x3'), { ...input, principal: 'somebody' }));
    await denied(await start('verifyBackup', id('verify/x4'), { ...by, backup: backupOfB }));
    await denied(
      await start('verifyBackup', id('verify/x5'), { ...by, backup: backupOfB, principalTenant: b }),
    );
    await denied(
      await start('verifyBackup', id('verify/x6'), { ...by, backup: backupOfB, principalTenant: a }),
    );
    await denied(await start('hardDeleteTenant', id('purge'), { ...by, tenant: a, incarnation }));
    await denied(
      await start('ingestVideos', id('ingest/x7'), {
        ...{ ...by, tenant: a, incarnation, profile: PROFILE, source: '/tmp', concurrency: 1 },
      }),
    );
    await denied(await start('deploySchemas', 'schemas/x8', { ...by, tenants: 'all' }));
    // Its memo, its key of fairness and its summary may say what they like: nothing reads them for whose it is.
    await denied(
      await start(
        'clearMemory',
        id('memory/clear/x9'),
        { ...by, tenant: a, principalTenant: a },
        {
          memo: { principal: 'admin', tenant: b },
          priority: { fairnessKey: b, priorityKey: 1 },
        },
      ),
    );
  });

  test.concurrent.each(Object.keys(WORKFLOWS))(
    'with a credential of its own an operator of A starts no %s for B',
    async (type) => {
      const { incarnation } = await getTenant(pool, b);
      const { subject: principal } = operator.issued;
      const asked = { operation: parseOperationId(randomUUID()), principal, reason: '' };
      const names = { tenant: b, incarnation, backup: backupOfB, folder: '/tmp', asked };
      const start = (workflowId: string) =>
        operator.temporal.workflow.start(type, {
          ...{ workflowId, taskQueue: TASK_QUEUES.control, args: [inputsOf(names)[type]] },
        });
      await denied(await start(`tenant/${a}/try/${type}`));
      await denied(await start(`tenant/${b}/try/${type}`));
    },
  );

  test('activities are for workflows of ours: not alone, and not from another worker’s', async () => {
    const { incarnation } = await getTenant(pool, b);
    const alone = raw.activity.execute('removeConfig', {
      ...{ id: `forged-${b}`, taskQueue: TASK_QUEUES.control, scheduleToCloseTimeout: '20s' },
      args: [{ tenant: b, incarnation, operation: mine.input['operation'] }],
    });
    await expect(alone).rejects.toEqual(PERMISSION_DENIED);

    const connection = await NativeConnection.connect({ address: stackSettings().temporalAddress });
    const code = await readFile(path.join(projectRoot, 'dist', 'workflow-bundle.js'), 'utf8');
    const worker = await Worker.create({
      connection,
      taskQueue: 'theirs',
      workflowBundle: { code },
      sinks: SILENT,
    });
    await worker.runUntil(async () =>
      denied(
        await operator.temporal.workflow.start('clearMemory', {
          ...{ workflowId: `tenant/${a}/memory/clear/theirs`, taskQueue: 'theirs' },
          args: [{ ...mine.input, principalTenant: a }],
        }),
      ),
    );
    await connection.close();
  });

  test('the writer of the application package carries out what the registry has been asked', async () => {
    const { incarnation } = await getTenant(pool, b);
    const request = { id: 'forged', tenant: b, incarnation, add: [], remove: [PROFILE] };
    const settings = stackSettings();
    const handle = await admin.schemas.deploy({ tenants: [a], bases: null, maxFailures: 0, reason: '' });
    const writer = raw.workflow.getHandle(workflowIds.vespaApplication(settings.vespaCluster));
    const outcome = await writer.executeUpdate('changeSchemas', { args: [request] });
    expect(outcome).toMatchObject({ ok: false, error: { type: 'Rejected' } });
    await handle.result();
  });

  test('nothing of B has changed by any of it', async () => {
    expect(await everythingOf(pool, admin, b)).toEqual(before);
  });
});
const SILENT = { exporter: { export: { fn: () => undefined } } };

describe('messages', () => {
  test('move a tenant’s retention only with a proof for just that', async () => {
    const own = await operator.client.life.deactivate({
      tenant: a,
      retentionDays: 5,
      running: 'drain',
      reason: '',
    });
    await own.result();
    const { incarnation } = await getTenant(pool, a);
    const retention = workflowIds.retention(a);
    const argument = { tenant: a, incarnation, operation: own.operation, principal: 'admin', reason: '' };
    const send = (client: Client, update: string, argument: object) =>
      client.workflow.getHandle(retention).executeUpdate(update, { args: [argument] });
    await expect(send(raw, 'purgeNow', argument)).rejects.toEqual(PERMISSION_DENIED);
    // Its operator may not, nor in another's name.
    await expect(send(operator.temporal, 'purgeNow', argument)).rejects.toEqual(PERMISSION_DENIED);
    await expect(send(operator.temporal, 'reactivate', argument)).rejects.toEqual(PERMISSION_DENIED);
    expect((await getTenant(pool, a)).state).toBe('inactive');
    await (await operator.client.life.reactivate(a, '')).result();
    expect((await getTenant(pool, a)).state).toBe('active');
  });
});

describe('a purge', () => {
  test('revokes the tokens of its tenant: the next one of that name is another', async () => {
    const tenant = parseTenantId(freshTenant('gone'));
    const issue = ['token', 'issue', '--role', 'reader', '--tenant', tenant];
    const { id } = await cvopsJson<IssuedToken>(issue);
    const request = { tenant, template: 'trial', overrides: {}, profiles: [PROFILE], reason: '' } as const;
    await (await admin.createTenant(request)).result();
    const deleted = await admin.life.delete({ tenant, reason: '', secondLookSeconds: 1 });
    await deleted.result();
    const token = (await admin.tokens.list()).find((each) => each.id === id);
    expect(token).toMatchObject({ revokedBy: 'purge', revokedAt: expect.any(String) });
  });
});

describe('a schedule', () => {
  const trigger = () => raw.schedule.getHandle(scheduleIds.memory(a)).trigger();
  const last = async () => (await admin.memorySchedules.list(a))[0]!.last;

  test('runs as the system for what it was made for, until the token that made it is revoked', async () => {
    await operator.client.memorySchedules.set({
      ...{ tenant: a, retention: parseRetention('30d', []), times: { everySeconds: 2_592_000 }, reason: '' },
    });
    // Made anew, it has a right to its new action.
    await operator.client.memorySchedules.set({
      ...{ tenant: a, retention: parseRetention('31d', []), times: { everySeconds: 2_592_000 }, reason: '' },
    });
    await trigger();
    await expect.poll(last).toMatchObject({ state: 'completed' });
    const { rows } = await pool.query<{ subject: string; workflowId: string }>(
      `select subject, workflow_id as "workflowId" from access_chains where subject = $1`,
      [`system/${scheduleIds.memory(a)}`],
    );
    expect(rows).toHaveLength(1);
    // Its right is to that: no other arguments, and no name that is not one of its runs'.
    const run = await began(rows[0]!.workflowId);
    const others = { ...run.input, retention: { kinds: {}, olderThan: 1 } };
    await denied(await forge(run.type, rows[0]!.workflowId, others, run.headers));
    await denied(await forge(run.type, workflowIds.pruneMemory(a), run.input, run.headers));

    await cvopsJson(['token', 'revoke', operator.issued.id, '--reason', 'lost']);
    const refused = await cvopsWith(
      { CVOPS_TOKEN: operator.issued.token },
      'tenant',
      'show',
      a,
      '-o',
      'json',
    );
    expect([refused.code, errorOf(refused).message]).toEqual([4, expect.stringContaining('revoked')]);
    // What was opened before is refused as well, by the workers.
    await vi.waitFor(
      async () => {
        const pruned = await operator.client.memory.prune(a, parseRetention('30d', []), '');
        await expect(pruned.result()).rejects.toMatchObject({ type: 'PermissionDenied' });
      },
      { timeout: 30_000 },
    );
    await trigger();
    await expect.poll(last).toMatchObject({ state: 'failed' });
  });
});
