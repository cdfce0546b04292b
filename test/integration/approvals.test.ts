import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { parseBackupId } from '../../src/domain/backups.js';
import { CvopsClient } from '../../src/client/index.js';
import { type OperationId, type TenantId, parseTenantId } from '../../src/domain/ids.js';
import type { GuardedVerb } from '../../src/domain/approvals.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { getTenant } from '../../src/registry/tenants.js';
import { cvops, cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { credentialOf, tokenOf } from '../support/principals.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
let pool: Pool;
let ann: CvopsClient;
let ben: CvopsClient;

const as = async (subject: string) =>
  CvopsClient.connect({
    ...stackSettings(),
    ...(await credentialOf(inject('stack').home, { role: 'admin', subject })),
  });
beforeAll(async () => {
  pool = openPool(stackSettings().databaseUrl, { max: 2, name: 'tests' });
  [ann, ben] = await Promise.all([as('ann'), as('ben')]);
});
afterAll(async () => {
  await Promise.all([ann?.close(), ben?.close()]);
  await pool?.end();
});

/** A tenant of its own, for whom the verb needs two: policies of every tenant would hold up other tests. */
async function guarded(name: string, verb: GuardedVerb): Promise<TenantId> {
  const tenant = parseTenantId(freshTenant(name));
  const wanted = { tenant, template: 'trial', overrides: {}, profiles: [PROFILE], reason: '' } as const;
  await (await ann.createTenant(wanted)).result();
  await ann.approvals.require(verb, tenant, 'four eyes');
  return tenant;
}

const stateOf = async (tenant: TenantId) => (await getTenant(pool, tenant)).state;
const audited = async (operation: string) => {
  const { rows } = await pool.query<{ told: string }>(
    `select principal || ' ' || outcome as told from audit_log where operation = $1 and verb = 'approval' order by seq`,
    [operation],
  );
  return rows.map(({ told }) => told);
};
const waits = async (operation: OperationId) =>
  expect
    .poll(async () =>
      (await ben.approvals.list(undefined, { all: false, limit: 1000 })).map((row) => row.operation),
    )
    .toContain(operation);

describe.concurrent('a hard delete that takes two', () => {
  test('waits, is not granted by who asked for it, and goes on by another one', async ({ expect }) => {
    const tenant = await guarded('two', 'tenant delete');
    const handle = await ann.life.delete({ tenant, reason: 'contract ended', secondLookSeconds: 1 });
    const { operation } = handle;
    await waits(operation);
    await expect(ann.approvals.grant(operation, 'me again')).rejects.toMatchObject({
      type: 'PermissionDenied',
      message: expect.stringContaining('somebody else'),
    });
    await expect(ann.approvals.plan(operation, true)).rejects.toMatchObject({ type: 'PermissionDenied' });
    const plan = { operation, verb: 'tenant delete', tenant, askedBy: 'ann' };
    expect(await ann.approvals.plan(operation, false)).toEqual({ ...plan, state: 'withdrawn' });
    for (const [verb, state] of [
      ['grant', 'granted'],
      ['refuse', 'refused'],
    ] as const)
      expect(await cvopsJson(['approval', verb, operation, '--dry-run'])).toEqual({
        ...{ dryRun: true, ...plan, state },
      });
    expect(await audited(operation)).toEqual(['ann asked']);
    expect(await stateOf(tenant)).toBe('active');
    expect(await handle.currentDetails()).toContain(`cvops approval grant ${operation}`);
    // Nothing has begun, so there is no operation yet: who looks for it hears why.
    const shown = await cvops('op', 'show', operation, '-o', 'json');
    expect({ code: shown.code, error: errorOf(shown).code }).toEqual({ code: 6, error: 'WrongState' });

    expect(await ben.approvals.grant(operation, 'seen the contract')).toEqual({
      operation,
      state: 'granted',
    });
    expect(await handle.result()).toMatchObject({ tenant, state: 'purged' });
    expect(await audited(operation)).toEqual(['ann asked', 'ben granted']);
    await expect(ben.approvals.plan(operation, false)).rejects.toMatchObject({ type: 'WrongState' });
  });

  test('refused, it has changed nothing', async ({ expect }) => {
    const tenant = await guarded('refused', 'tenant delete');
    const handle = await ann.life.delete({ tenant, reason: '' });
    await waits(handle.operation);
    await ben.approvals.refuse(handle.operation, 'wrong tenant');
    await expect(handle.result()).rejects.toMatchObject({
      type: 'PermissionDenied',
      message: expect.stringContaining('refused by ben: wrong tenant'),
    });
    expect(await stateOf(tenant)).toBe('active');
    await expect(ben.approvals.grant(handle.operation, '')).rejects.toMatchObject({ type: 'WrongState' });
  });

  test('cancelled, it waits no more', async ({ expect }) => {
    const tenant = await guarded('cancelled', 'tenant delete');
    const handle = await ann.life.delete({ tenant, reason: '' });
    await waits(handle.operation);
    await handle.workflow.cancel();
    await expect(handle.workflow.result()).rejects.toThrow();
    expect(await audited(handle.operation)).toEqual(['ann asked', 'ann withdrawn']);
    expect(await stateOf(tenant)).toBe('active');
  });

  test('nobody agrees in time: it is over', async ({ expect }) => {
    const tenant = await guarded('late', 'tenant delete');
    const handle = await ann.life.delete({ tenant, reason: '' });
    await waits(handle.operation);
    await pool.query(`update approvals set expires_at = now() where operation = $1`, [handle.operation]);
    await expect(ben.approvals.grant(handle.operation, '')).rejects.toMatchObject({ type: 'WrongState' });
    expect(await stateOf(tenant)).toBe('active');
    await handle.workflow.cancel();
  });

  test('the retention cannot be ended at once around it', async ({ expect }) => {
    const tenant = await guarded('around', 'tenant delete');
    const soft = { tenant, retentionDays: 90, running: 'drain', reason: '' } as const;
    await (await ann.life.deactivate(soft)).result();
    await expect(ann.life.purgeNow(tenant, '')).rejects.toMatchObject({
      type: 'Conflict',
      hint: expect.stringContaining(`cvops tenant delete ${tenant} --hard`),
    });
    expect(await stateOf(tenant)).toBe('inactive');
  });

  test('an operator and a reader of the tenant grant nothing', async ({ expect }) => {
    const tenant = await guarded('roles', 'tenant delete');
    const handle = await ann.life.delete({ tenant, reason: '' });
    await waits(handle.operation);
    for (const role of ['reader', 'operator'] as const) {
      const CVOPS_TOKEN = await tokenOf(inject('stack').home, { role, tenant, subject: 'carl' });
      const refused = await cvopsWith({ CVOPS_TOKEN }, 'approval', 'grant', handle.operation, '-o', 'json');
      expect({ role, code: refused.code, error: errorOf(refused).code }).toEqual({
        ...{ role, code: 4, error: 'PermissionDenied' },
      });
    }
    expect(await stateOf(tenant)).toBe('active');
    await ann.approvals.refuse(handle.operation, 'taken back');
    await expect(handle.result()).rejects.toMatchObject({
      message: expect.stringContaining('withdrawn by ann'),
    });
  });
});

describe.concurrent('retentions that take two', () => {
  test('a short one begins when a second one agrees; the usual one at once', async ({ expect }) => {
    const tenant = await guarded('short', 'tenant deactivate');
    const soft = { tenant, running: 'drain', reason: '' } as const;
    const handle = await ann.life.deactivate({ ...soft, retentionDays: 7 });
    expect(await handle.result()).toMatchObject({
      state: 'active',
      approval: { operation: handle.operation },
    });
    await ben.approvals.grant(handle.operation, '');
    await expect.poll(() => stateOf(tenant)).toBe('inactive');
    const { purgeAt } = await getTenant(pool, tenant);
    expect(Math.round((Date.parse(purgeAt!) - Date.now()) / 86_400_000)).toBe(7);

    await (await ann.life.reactivate(tenant, '')).result();
    const usual = await (await ann.life.deactivate({ ...soft, retentionDays: 90 })).result();
    expect(usual.state).toBe('inactive');
  });

  test('an extension moves the end when it is granted, and not before', async ({ expect }) => {
    const tenant = await guarded('longer', 'tenant extend');
    const soft = { tenant, retentionDays: 90, running: 'drain', reason: '' } as const;
    const { purgeAt: before } = await (await ann.life.deactivate(soft)).result();
    const handle = await ann.life.extend(tenant, 10, 'they asked for it');
    expect(await handle.result()).toMatchObject({
      purgeAt: before,
      approval: { operation: handle.operation },
    });
    const [asked] = await ben.approvals.list(tenant, { all: false, limit: 10 });
    expect(asked).toMatchObject({ verb: 'tenant extend', askedBy: 'ann', request: { days: 10 } });
    await ben.approvals.grant(handle.operation, '');
    const { purgeAt: after } = await getTenant(pool, tenant);
    expect(Date.parse(after!) - Date.parse(before!)).toBe(10 * 86_400_000);
  });
});

test('a policy is lifted by two, and says so in the audit log', async () => {
  const tenant = await guarded('lifted', 'backup restore');
  const policy = ['approval', 'policy', 'backup restore', '--tenant', tenant];
  expect(await cvopsJson([...policy, '--require', '--reason', 'x'])).toMatchObject({ state: 'required' });
  // Said and not done: the wish that counts is ann's, below.
  expect(await cvopsJson([...policy, '--waive', '--dry-run'])).toMatchObject({
    ...{ dryRun: true, state: 'proposed' },
  });
  expect(await ann.approvals.waive('backup restore', tenant, '')).toMatchObject({ state: 'proposed' });
  expect(await ann.approvals.waive('backup restore', tenant, '')).toMatchObject({ state: 'proposed' });
  const shown = (await ben.approvals.policies()).find((row) => row.tenant === tenant);
  expect(shown).toMatchObject({ required: true, waiverBy: 'ann' });
  expect(await ben.approvals.waive('backup restore', tenant, '')).toMatchObject({ state: 'waived' });
  const { rows } = await pool.query<{ told: string }>(
    `select principal || ' ' || outcome as told from audit_log
     where tenant = $1 and verb = 'approval-policy' order by seq`,
    [tenant],
  );
  expect(rows.map(({ told }) => told).slice(-3)).toEqual(['ann proposed', 'ann proposed', 'ben waived']);
});

test('a restore over what a tenant holds waits; a preview does not, nor one into a new tenant', async () => {
  const tenant = await guarded('over', 'backup restore');
  const clips = await temporaryFolder();
  await makeVideo(path.join(clips, 'clip.mp4'), { seconds: 2 });
  await cvopsJson(['ingest', tenant, clips, '--profile', PROFILE]);
  const made = await (await ann.backups.create({ tenant, consistency: 'fuzzy', reason: '' })).result();
  const backup = parseBackupId(made.backup);
  const over = { backup, replace: true, overrideQuarantine: false, reason: 'as it was' };
  const preview = await (await ann.backups.restore({ ...over, preview: true })).result();
  expect(preview).toMatchObject({ how: 'replace', state: 'previewed' });

  const handle = await ann.backups.restore({ ...over, preview: false });
  await waits(handle.operation);
  expect(await stateOf(tenant)).toBe('active');
  const granted = await cvopsWith(
    { CVOPS_TOKEN: await tokenOf(inject('stack').home, { role: 'admin', subject: 'ben' }) },
    ...['approval', 'grant', handle.operation, '--reason', 'agreed'],
  );
  expect(granted.code).toBe(0);
  expect(await handle.result()).toMatchObject({ how: 'replace', state: 'active', documents: made.documents });

  const into = parseTenantId(freshTenant('copy'));
  const copy = await (
    await ann.backups.restore({
      backup,
      into,
      replace: false,
      preview: false,
      overrideQuarantine: false,
      reason: '',
    })
  ).result();
  expect(copy).toMatchObject({ how: 'create', state: 'active' });
});
