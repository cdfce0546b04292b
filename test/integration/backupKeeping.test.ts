import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test, inject } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import type { BackupSummary } from '../../src/client/backupKeeping.js';
import type { BackupId } from '../../src/domain/backups.js';
import { parseTenantId } from '../../src/domain/ids.js';
import type { KeepVerdict } from '../../src/domain/keepPolicy.js';
import { scheduleIds } from '../../src/domain/naming.js';
import { listAudit } from '../../src/registry/audit.js';
import { noteProven, noteVerified } from '../../src/registry/backups.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { finishOperation, startOperation } from '../../src/registry/operations.js';
import { getTenant } from '../../src/registry/tenants.js';
import { folderWorld } from '../support/backupStores.js';
import { cvops, cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { countObjects, madeBackup } from '../support/madeBackups.js';
import { newOperation } from '../support/registry.js';
import { tokenOf } from '../support/principals.js';

const tenant = parseTenantId(freshTenant('kept'));
let pool: Pool;
let client: CvopsClient;
let world: Awaited<ReturnType<typeof folderWorld>>;
/** Oldest first: two complete ones, a failed one, three complete ones. */
let made: BackupId[];
beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { max: 2, name: 'tests' });
  client = await CvopsClient.connect(settings);
  world = await folderWorld();
  const request = { tenant, template: 'trial', overrides: {}, reason: '' };
  const handle = await client.createTenant({ ...request, profiles: ['video_colpali_smol500_mv_frame'] });
  await handle.result();
  const { incarnation } = await getTenant(pool, tenant);
  made = [];
  for (const day of [1, 2, 3, 4, 5, 6]) {
    const state = day === 3 ? 'failed' : 'complete';
    const at = `2026-01-0${day}T01:00:00Z`;
    made.push(await madeBackup(pool, { tenant, incarnation }, world.store, { at, state }));
  }
});
afterAll(async () => {
  await client?.close();
  await pool?.end();
});

interface Pruned {
  readonly tenant: string;
  readonly operation: string;
  readonly backups: KeepVerdict[];
}
const listed = async (...args: string[]) =>
  (await cvopsJson<{ backups: BackupSummary[] }>(['backup', 'list', ...args])).backups;
const namesOf = (backups: readonly { readonly backup: BackupId }[]) => backups.map(({ backup }) => backup);
const verdicts = ({ backups }: Pruned) => backups.toReversed().map(({ verdict }) => verdict);
async function objects(): Promise<number> {
  const counts = await Promise.all(made.map((backup) => countObjects(world.store, tenant, backup)));
  return counts.reduce((sum, count) => sum + count, 0);
}

describe('a principal of another tenant', () => {
  test('sees none of this one’s backups, and holds, releases, prunes and schedules none', async () => {
    const other = parseTenantId(freshTenant('other'));
    const request = { tenant: other, template: 'trial', overrides: {}, reason: '' };
    const handle = await client.createTenant({ ...request, profiles: ['video_colpali_smol500_mv_frame'] });
    await handle.result();
    // Of its own it may do all of it: what it is refused is another's.
    const as = { CVOPS_TOKEN: await tokenOf(inject('stack').home, { role: 'operator', tenant: other }) };
    const before = await listed(tenant);
    expect((await cvopsJson<{ backups: BackupSummary[] }>(['backup', 'list'], 0, as)).backups).toEqual([]);
    for (const args of [
      ['list', tenant],
      ['hold', made[0]!, '--reason', 'mine'],
      ['release', made[0]!, '--reason', 'mine'],
      ['prune', tenant, '--keep-last', '1'],
      ['prune', tenant, '--keep-last', '1', '--dry-run'],
      ['schedule', tenant, '--every', '1d'],
      ['schedule', tenant, '--list'],
      ['schedule', tenant, '--remove'],
    ])
      expect((await cvopsWith(as, 'backup', ...args, '-o', 'json')).code, args.join(' ')).toBe(4);
    expect(await listed(tenant)).toEqual(before);
    expect(await objects()).toBeGreaterThan(0);
  });
});

describe('the command backup', () => {
  test('lists newest first, with what is known of each', async () => {
    await noteVerified(pool, made[4]!, true);
    const backups = await listed(tenant);
    expect(namesOf(backups)).toEqual(made.toReversed());
    expect(backups[0]).toEqual({
      ...{ backup: made[5], tenant, state: 'complete', consistency: 'settled' },
      ...{ documents: 7, spans: 3, memories: 2, bytes: 30, startedAt: expect.any(String) as string },
      ...{ endedAt: expect.any(String) as string, verifiedAt: null, sound: null, provenAt: null, hold: null },
      path: `${world.store.location}/${tenant}/${made[5]}`,
    });
    expect(backups[1]).toMatchObject({ sound: true, verifiedAt: expect.any(String) as string });
    expect(await listed()).toEqual(expect.arrayContaining(backups));
    expect((await cvops('backup', 'list', 'nobody_at_all')).code).toBe(5);
    expect((await cvops('backup', 'list', tenant)).stdout).toMatch(
      /BACKUP +TENANT[^]+verified, 20[^]+failed/,
    );
  });

  test('holds for a reason, and releases for one', async () => {
    const [held] = made as [BackupId];
    const nothingSaid = await cvops('backup', 'hold', held, '-o', 'json');
    expect([nothingSaid.code, errorOf(nothingSaid).hint]).toEqual([2, 'give it with --reason']);
    const hold = ['backup', 'hold', held, '--reason', 'lawsuit 7'];
    expect(await cvopsJson([...hold, '--dry-run'])).toMatchObject({ dryRun: true, hold: 'lawsuit 7' });
    expect((await listed(tenant)).at(-1)).toMatchObject({ backup: held, hold: null });
    expect(await cvopsJson(hold)).toMatchObject({ backup: held, hold: 'lawsuit 7' });
    expect((await listed(tenant)).at(-1)).toMatchObject({ backup: held, hold: 'lawsuit 7' });
    expect((await cvops('backup', 'hold', made[2]!, '--reason', 'x')).code).toBe(6);
    expect((await cvops('backup', 'release', made[1]!, '--reason', 'x')).code).toBe(6);
    const [entry] = await listAudit(pool, { tenant, limit: 1 });
    expect(entry).toMatchObject({ verb: 'hold-backup', principal: 'tests', reason: 'lawsuit 7' });
  });

  test('prunes only by a policy, shows what it would do first, and removes just that', async () => {
    for (const args of [[tenant], [tenant, '--keep-last', '0'], ['--keep-last', '1'], [tenant, '--all']]) {
      const refused = await cvops('backup', 'prune', ...args, '-o', 'json');
      expect([refused.code, errorOf(refused).code]).toEqual([2, 'InvalidInput']);
    }
    const before = await objects();
    const policy = ['--keep-last', '1', '--keep-daily', '2'];
    const expected = ['keep', 'remove', 'remove', 'remove', 'keep', 'keep'];
    const plan = await cvopsJson<Pruned>(['backup', 'prune', tenant, ...policy, '--dry-run']);
    expect([plan, verdicts(plan)]).toMatchObject([{ dryRun: true, tenant }, expected]);
    const { tenants } = await cvopsJson<{ tenants: Pruned[] }>([
      ...['backup', 'prune', '--all', ...policy, '--dry-run'],
    ]);
    expect(tenants.find((each) => each.tenant === tenant)).toMatchObject({ backups: plan.backups });
    expect(await objects()).toBe(before);

    const done = await cvopsJson<Pruned>(['backup', 'prune', tenant, ...policy, '--reason', 'nightly']);
    expect(done).toMatchObject({ tenant, removed: 3, kept: 3, failed: 0, objects: 11, unremoved: [] });
    expect([done.backups, verdicts(done)]).toEqual([plan.backups, expected]);
    expect(done.backups.at(-1)!.reasons).toEqual(['held: lawsuit 7']);
    expect(await objects()).toBe(before - 11);
    expect(namesOf(await listed(tenant))).toEqual([made[5], made[4], made[0]]);
    expect((await listed(tenant, '--removed')).map(({ state }) => state)).toEqual([
      ...['complete', 'complete', 'removed', 'removed', 'removed', 'complete'],
    ]);
    const audited = await listAudit(pool, { tenant, limit: 100 });
    const removals = audited.filter(
      ({ verb, outcome }) => verb === 'remove-backup' && outcome === 'completed',
    );
    expect(removals.map(({ operation }) => operation)).toEqual(
      Array.from({ length: 3 }, () => done.operation),
    );
    expect(removals.at(-1)).toMatchObject({
      reason: 'nightly',
      detail: { why: 'no rule keeps it', objects: 4 },
    });
  });

  test('says what could not be removed, and exits 3; later it goes', async () => {
    await cvopsJson(['backup', 'release', made[0]!, '--reason', 'settled out of court']);
    const { incarnation } = await getTenant(pool, tenant);
    const operation = newOperation();
    await startOperation(pool, {
      ...{ operation, kind: 'verifyBackup', tenant, incarnation, principal: 'tests', reason: '' },
      ...{ workflowId: `test/${operation}`, input: { backup: made[0] } },
    });
    const prune = ['backup', 'prune', tenant, '--keep-last', '1'];
    expect(await cvopsJson(prune, 3)).toMatchObject({
      ...{ removed: 1, failed: 1, kept: 2 },
      unremoved: [{ backup: made[0], why: `backup ${made[0]} stays: operation ${operation} reads it` }],
    });
    await finishOperation(pool, operation, { state: 'completed' });
    const { stdout } = await cvops(...prune);
    expect(stdout).toMatch(new RegExp(`${made[0]} +remove +no rule keeps it`));
    expect(stdout).toMatch(new RegExp(`${made[5]} +keep +the newest complete one, one of the last 1`));
    expect(stdout).toMatch(/: 1 removed \(4 objects, 40 bytes\), 1 kept\n$/);
    expect(namesOf(await listed(tenant))).toEqual([made[5]]);
  });

  test('of a tenant that was proven by a restore says when', async () => {
    expect(await cvopsJson(['tenant', 'show', tenant])).toMatchObject({ lastProvenRestore: null });
    await noteProven(pool, made[5]!);
    const shown = await cvopsJson<{ lastProvenRestore: string }>(['tenant', 'show', tenant]);
    expect(Date.parse(shown.lastProvenRestore)).toBeGreaterThan(Date.now() - 600_000);
    expect(shown.lastProvenRestore).toBe((await listed(tenant))[0]!.provenAt);
  });

  test('schedules, shows how the schedules stand, and takes them away', async () => {
    const schedule = ['backup', 'schedule', tenant];
    const all = [...schedule, '--every', '1d', '--consistency', 'fenced', '--verify-every', '7d'];
    all.push('--drill-every', '30d', '--keep-daily', '7', '--keep-weekly', '4', '--verify-samples', '4');
    expect(await cvopsJson([...all, '--dry-run'])).toMatchObject({ dryRun: true });
    expect(await cvopsJson([...schedule, '--list'])).toEqual({ schedules: [] });
    const { schedules } = await cvopsJson<{ schedules: object[] }>(all);
    expect(schedules).toMatchObject([
      { what: 'backup', every: '1d', consistency: 'fenced', did: 'made' },
      { what: 'verify', every: '7d', samples: 4, did: 'made' },
      { what: 'prune', every: '1d', policy: { daily: 7, weekly: 4 }, did: 'made' },
      { what: 'drill', every: '30d', did: 'made' },
    ]);
    const shown = await cvops(...schedule, '--list');
    expect(shown.stdout).toMatch(/prune +1d +\{"daily":7,"weekly":4\} +20/);
    for (const args of [
      ['--every', '1s'],
      ['--every', '1d', '--cron', '0 3 * * *'],
      ['--remove', 'nonsense'],
    ])
      expect((await cvops(...schedule, ...args)).code).toBe(2);
    expect(await cvopsJson([...schedule, '--remove', 'backup,verify,drill'])).toMatchObject({
      removed: ['backup', 'verify', 'drill'],
    });

    // The real run of one, and the prune that it starts.
    const { incarnation } = await getTenant(pool, tenant);
    await madeBackup(pool, { tenant, incarnation }, world.store, { at: '2026-01-06T02:00:00Z' });
    const temporal = new Client({
      connection: await Connection.connect({ address: stackSettings().temporalAddress }),
    });
    await temporal.schedule.getHandle(scheduleIds.scheduled(tenant, 'prune')).trigger();
    await expect
      .poll(async () => (await client.backupSchedules.list(tenant))[0]!.last)
      .toMatchObject({ state: 'completed', operation: expect.any(String) as string });
    await temporal.connection.close();
    expect(namesOf(await listed(tenant))).not.toContain(made[5]);

    await (await client.life.deactivate({ tenant, retentionDays: 1, running: 'drain', reason: '' })).result();
    expect(await client.backupSchedules.list(tenant)).toMatchObject([{ what: 'prune', paused: true }]);
    await (await client.life.reactivate(tenant, '')).result();
    expect(await client.backupSchedules.list(tenant)).toMatchObject([{ what: 'prune', paused: false }]);
    expect(await cvopsJson([...schedule, '--remove'])).toMatchObject({ removed: ['prune'] });
    expect((await cvops(...schedule, '--remove')).code).toBe(5);
  });
});
