import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLedgerActivities } from '../../activities/ingest.js';
import { createPurgeActivities } from '../../activities/purge.js';
import { createTenantActivities } from '../../activities/tenants.js';
import type { PurgeActivities, TenantKey } from '../../activities/types.js';
import { verifyCertificate } from '../../src/certificates/certificate.js';
import { parseBackupId } from '../../src/domain/backups.js';
import type { HardDeleteInput } from '../../src/contracts/life.js';
import { type TenantState, TENANT_STATES } from '../../src/domain/states.js';
import { TEMPLATES } from '../../src/domain/templates.js';
import { CertificateSigner } from '../../src/purge/certificate.js';
import { requirePolicy } from '../../src/registry/approvals.js';
import { listAudit, verifyAudit } from '../../src/registry/audit.js';
import { currentConfig, putConfig } from '../../src/registry/config.js';
import { type Pool, transaction } from '../../src/registry/database.js';
import { addItems, finishItem } from '../../src/registry/ledger.js';
import { planSlices, slicesOf } from '../../src/registry/backupProgress.js';
import { getBackup } from '../../src/registry/backups.js';
import { getOperation, startOperation } from '../../src/registry/operations.js';
import { findCertificate, purgeStoresOf } from '../../src/registry/purgeStores.js';
import { deactivate, endLives } from '../../src/registry/retention.js';
import { markDeployed, markRemoved, reserveSchemas, schemasOf } from '../../src/registry/schemas.js';
import {
  findIncarnation,
  findTenant,
  insertTenant,
  lockTenant,
  setTenantState,
} from '../../src/registry/tenants.js';
import { noteSchedule, schedulesOf } from '../../src/registry/tenantSchedules.js';
import { getVideo, noteFeeding } from '../../src/registry/videos.js';
import { SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { type StoreWorld, folderWorld } from '../support/backupStores.js';
import { countObjects, madeBackup } from '../support/madeBackups.js';
import { PurgeStandIns } from '../support/purgeStandIns.js';
import {
  type Life,
  type TestRegistry,
  lifeOf,
  makeIngest,
  makeTenant,
  newIncarnation,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';

const FRAMES = 'video_colpali_smol500_mv_frame';
const MEMORY = 'agent_memories';
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
// Expected failures are what most of these tests are about.
const logger = new DefaultLogger('ERROR');

let registry: TestRegistry;
let pool: Pool;
let outside: PurgeStandIns;
let backups: StoreWorld;
let activities: PurgeActivities;
beforeAll(async () => {
  [registry, backups] = await Promise.all([startTestRegistry(), folderWorld()]);
  pool = registry.pool;
});
afterAll(() => registry?.stop());
beforeEach(async () => {
  outside = await PurgeStandIns.start();
  const signer = new CertificateSigner(async () => privateKey);
  activities = activitiesWith(signer);
  return () => outside.stop();
});

const activitiesWith = (signer: CertificateSigner) =>
  createPurgeActivities({
    isAsked: async () => true,
    ...outside.stores(pool),
    ...{ client: outside.temporal.client, signer, shelf: { store: async () => backups.store } },
    untilHeardMs: 0,
  });

/** Runs an activity as a worker does. */
async function run<K extends keyof PurgeActivities>(
  step: K,
  input: Parameters<PurgeActivities[K]>[0],
): Promise<Awaited<ReturnType<PurgeActivities[K]>>> {
  const activity = activities[step] as (input: unknown) => ReturnType<PurgeActivities[K]>;
  const result: unknown = await new MockActivityEnvironment({}, { logger }).run(
    (i: unknown) => activity(i),
    input,
  );
  return result as Awaited<ReturnType<PurgeActivities[K]>>;
}

function inputFor({ tenant, incarnation }: Life, more: Partial<HardDeleteInput> = {}): HardDeleteInput {
  return {
    tenant,
    incarnation,
    operation: newOperation(),
    principal: 'tests',
    reason: 'contract ended',
    trigger: 'requested',
    cluster: 'test',
    secondLookSeconds: 1,
    rehearsal: null,
    ...more,
  };
}
const begin = (input: HardDeleteInput, now = Date.now(), creationStopped = false) =>
  run('beginPurge', { ...input, now, creationStopped });
const keyOf = ({ tenant, incarnation, operation }: HardDeleteInput): TenantKey => ({
  tenant,
  incarnation,
  operation,
});

/** An active tenant with something in every store. */
async function fullTenant(): Promise<Life> {
  const life = await makeTenant(pool);
  const { tenant, incarnation } = life;
  await reserveSchemas(pool, tenant, incarnation, [FRAMES, MEMORY]);
  await markDeployed(pool, incarnation, [FRAMES, MEMORY], 1);
  outside.schemas.set(`${FRAMES}_${tenant}`, 10).set(`${MEMORY}_${tenant}`, 3).set('somebody_elses', 7);
  outside.phoenix.projects.set(`${tenant}_project`, 42);
  outside.phoenix.policies.push(`cvops/${tenant}_project`);
  outside.temporal.schedules.add(`tenant/${tenant}/evaluate`);
  await noteSchedule(pool, life, `tenant/${tenant}/evaluate`, 'evaluateSpans');
  const write = { value: { max_qps: 5 }, author: 'tests', reason: '' };
  for (const version of [0, 1]) await putConfig(pool, { ...SYSTEM_CONFIG, incarnation }, version, write);
  const ingest = await makeIngest(pool, life);
  await addItems(pool, ingest, [{ path: 'secret.mp4', video: 'v1' }]);
  await finishItem(pool, ingest, 1, { state: 'failed', reason: 'secret.mp4 is broken' });
  await noteFeeding(pool, { incarnation, base: FRAMES, video: 'v1' }, 'secret.mp4', 10);
  await pool.query(
    `update operations set state = 'failed', ended_at = now(), error = '{"code":"Rejected","message":"secret.mp4"}' where operation = $1`,
    [ingest],
  );
  return life;
}

/** What `vespaApplication` does for a purge. */
async function removeSchemas(input: HardDeleteInput): Promise<void> {
  for (const { incarnation, bases, names } of (await run('schemasToPurge', keyOf(input))).lives) {
    for (const name of names) outside.schemas.delete(name);
    await markRemoved(pool, incarnation, bases);
  }
}

/** The workflow's steps up to the certificate. */
function stepsOf(input: HardDeleteInput): [string, () => Promise<unknown>][] {
  const key = keyOf(input);
  return [
    ['beginPurge', () => begin(input)],
    ['stopOperations', () => run('stopOperations', key)],
    ['drainTraces', () => run('drainTraces', key)],
    ['countStores', () => run('countStores', key)],
    ['removeSchemas', () => removeSchemas(input)],
    ['noteSchemasErased', () => run('noteSchemasErased', key)],
    ['eraseTraces', () => run('eraseTraces', key)],
    ['eraseSchedules', () => run('eraseSchedules', key)],
    ['eraseLedger', () => run('eraseLedger', key)],
    ['eraseConfiguration', () => run('eraseConfiguration', key)],
    ['readBack first', () => run('readBack', { ...key, look: 'first' })],
    ['readBack second', () => run('readBack', { ...key, look: 'second' })],
  ];
}
async function purge(input: HardDeleteInput) {
  for (const [, step] of stepsOf(input)) await step();
  return run('issueCertificate', input);
}
async function purged(): Promise<Life> {
  const life = await fullTenant();
  await purge(inputFor(life));
  return life;
}

const auditOf = async ({ tenant }: Pick<Life, 'tenant'>) =>
  (await listAudit(pool, { tenant, limit: 100 }))
    .map(({ verb, outcome }) => `${verb} ${outcome}`)
    .toReversed();

describe('a purge', () => {
  test('empties every store, touches nobody else’s, and proves it', async () => {
    const other = await fullTenant();
    const life = await fullTenant();
    const input = inputFor(life);
    const result = await purge(input);
    expect(result).toMatchObject({ tenant: life.tenant, state: 'purged', operation: input.operation });
    expect([...outside.schemas.keys()].toSorted()).toEqual(
      [`${MEMORY}_${other.tenant}`, 'somebody_elses', `${FRAMES}_${other.tenant}`].toSorted(),
    );
    expect([...outside.phoenix.projects.keys()]).toEqual([`${other.tenant}_project`]);
    expect(outside.phoenix.policies).toEqual([`cvops/${other.tenant}_project`]);
    expect([...outside.temporal.schedules]).toEqual([`tenant/${other.tenant}/evaluate`]);
    expect(await schemasOf(pool, other.incarnation)).toHaveLength(2);
    expect(await currentConfig(pool, other.incarnation)).toHaveLength(1);

    const document = (await findCertificate(pool, life.incarnation))!;
    expect(verifyCertificate(Buffer.from(document), [publicKey])).toMatchObject({ ok: true });
    const { certificate } = JSON.parse(document) as { certificate: { stores: object[] } };
    const stores = certificate.stores as { store: string; name: string; before: number }[];
    const before = Object.fromEntries(stores.map((s) => [`${s.store} ${s.name}`, s.before]));
    const { tenant } = life;
    expect(before).toMatchObject({
      [`documents ${FRAMES}_${tenant}`]: 10,
      [`memory ${MEMORY}_${tenant}`]: 3,
      [`schemas ${FRAMES}_${tenant}`]: 1,
      [`schemas ${MEMORY}_${tenant}`]: 1,
      [`traces project ${tenant}_project`]: 1,
      [`traces spans of ${tenant}_project`]: 42,
      [`traces retention policies of ${tenant}_project`]: 1,
      [`schedules tenant/${tenant}/evaluate`]: 1,
      'ledger ingest_items': 1,
      'ledger videos': 1,
      'configuration config_versions': 2,
    });
    const { rows } = await pool.query<{ all: string }>(
      `select (select json_agg(o)::text from operations o where incarnation = $1) as all`,
      [life.incarnation],
    );
    expect(rows[0]!.all).not.toContain('secret.mp4');
    expect(await auditOf(life)).toEqual(['delete started', 'delete completed']);
    expect(await getOperation(pool, input.operation)).toMatchObject({ state: 'completed' });
  });

  test('its name is kept for 30 days, and failed creations of the id end with it', async () => {
    const failed = lifeOf('twice_created');
    await insertTenant(pool, failed);
    await setTenantState(pool, failed.incarnation, ['creating'], 'creation_failed');
    const life = await makeTenant(pool, 'twice_created');
    await purge(inputFor(life));
    for (const incarnation of [failed.incarnation, life.incarnation]) {
      const row = (await findIncarnation(pool, incarnation))!;
      expect(row.state).toBe('purged');
      const days = (Date.parse(row.quarantineUntil!) - Date.parse(row.purgedAt!)) / 86_400_000;
      expect(days).toBeCloseTo(30, 5);
    }
  });

  test('counts of a first run stay, however often it begins again; the time of a deletion is the last one’s', async () => {
    const life = await fullTenant();
    const [first, second] = [inputFor(life), inputFor(life)];
    for (const [, step] of stepsOf(first).slice(0, 8)) await step();
    await run('failPurge', { ...keyOf(first), failure: { code: 'Unavailable', message: 'Phoenix is away' } });
    expect(await findIncarnation(pool, life.incarnation)).toMatchObject({ state: 'purging' });
    await purge(second);
    const rows = await purgeStoresOf(pool, life.incarnation);
    expect(rows.find(({ store }) => store === 'documents')).toMatchObject({
      before: 10,
      after: 0,
      afterDelay: 0,
    });
    expect(rows.find(({ name }) => name.startsWith('spans'))).toMatchObject({ before: 42 });
    const { certificate } = JSON.parse((await findCertificate(pool, life.incarnation))!) as {
      certificate: { operation: string; startedAt: string; stores: { deletedAt: string }[] };
    };
    expect(certificate.operation).toBe(second.operation);
    const deletions = certificate.stores.map(({ deletedAt }) => deletedAt);
    expect(deletions.every((at) => at >= certificate.startedAt)).toBe(true);
    expect(await auditOf(life)).toEqual([
      'delete started',
      'delete failed',
      'delete started',
      'delete completed',
    ]);
  });

  test('what comes back between the looks is dated by its last deletion', async () => {
    const life = await fullTenant();
    const input = inputFor(life);
    const project = `${life.tenant}_project`;
    for (const [, step] of stepsOf(input).slice(0, -1)) await step();
    const spans = async () =>
      (await purgeStoresOf(pool, life.incarnation)).find(({ name }) => name === `project ${project}`)!;
    const { deletedAt } = await spans();
    outside.phoenix.projects.set(project, 1);
    const { residuals } = await run('readBack', { ...keyOf(input), look: 'second' });
    expect(residuals).toEqual([
      { store: 'traces', name: `project ${project}`, count: 1 },
      { store: 'traces', name: `spans of ${project}`, count: 1 },
    ]);
    await expect(run('issueCertificate', input)).rejects.toThrow(`traces project ${project}`);
    await run('eraseTraces', keyOf(input));
    expect(Date.parse((await spans()).deletedAt!)).toBeGreaterThan(Date.parse(deletedAt!));
    for (const look of ['first', 'second'] as const) await run('readBack', { ...keyOf(input), look });
    expect(await run('issueCertificate', input)).toMatchObject({ state: 'purged' });
  });

  test('every step run twice leaves the same rows as once', async () => {
    const life = await fullTenant();
    const input = inputFor(life);
    const steps = [...stepsOf(input), ['issueCertificate', () => run('issueCertificate', input)] as const];
    for (const [name, step] of steps) {
      const once = await step();
      const rows = await everyRow(life);
      expect(await step(), name).toEqual(name === 'stopOperations' ? { stopped: 0, terminated: 0 } : once);
      expect(await everyRow(life), name).toEqual(rows);
    }
    await run('failPurge', { ...keyOf(input), failure: { code: 'Unavailable', message: 'too late' } });
    expect(await auditOf(life)).toEqual(['delete started', 'delete completed']);
  });
});

/** All rows of a life but for the times at which stores were looked at. */
async function everyRow({ incarnation, tenant }: Life): Promise<unknown> {
  const { rows } = await pool.query<object>(
    `select
       (select json_agg(t) from tenants t where incarnation = $1) as tenants,
       (select json_agg(s order by schema_name) from tenant_schemas s where incarnation = $1) as schemas,
       (select json_agg(c order by version) from config_versions c where incarnation = $1) as config,
       (select json_agg(o order by operation) from operations o where incarnation = $1) as operations,
       (select json_agg(v) from videos v where incarnation = $1) as videos,
       (select json_agg(s) from tenant_schedules s where incarnation = $1) as schedules,
       (select json_agg(to_jsonb(p) - 'read_back_at' - 'second_read_back_at' order by store, name)
        from purge_stores p where incarnation = $1) as stores,
       (select json_agg(e) from erasure_certificates e where incarnation = $1) as certificates,
       (select json_agg(a order by seq) from audit_log a where tenant = $2) as audit`,
    [incarnation, tenant],
  );
  return rows[0];
}

describe('the certificate', () => {
  test.each([
    ['the first look found one', 'after = 1'],
    ['the second look found one', 'after_delay = 1'],
    ['there was no first look', 'after = null'],
    ['there was no second look', 'after_delay = null'],
    ['nobody took it away', 'deleted_at = null'],
  ])('is refused naming the store when %s', async (_when, change) => {
    const life = await fullTenant();
    const input = inputFor(life);
    for (const [, step] of stepsOf(input)) await step();
    const name = `spans of ${life.tenant}_project`;
    await pool.query(`update purge_stores set ${change} where incarnation = $1 and name = $2`, [
      life.incarnation,
      name,
    ]);
    await expect(run('issueCertificate', input)).rejects.toMatchObject({
      type: 'VerificationFailed',
      message: `no certificate: not proven empty: traces ${name}`,
    });
    expect(await findCertificate(pool, life.incarnation)).toBeUndefined();
    expect(await findIncarnation(pool, life.incarnation)).toMatchObject({ state: 'purging' });
    expect(await getOperation(pool, input.operation)).toMatchObject({ state: 'running' });
  });

  test('is refused when nothing was counted', async () => {
    const life = await makeTenant(pool);
    const input = inputFor(life);
    await begin(input);
    await expect(run('issueCertificate', input)).rejects.toMatchObject({
      type: 'VerificationFailed',
      message: expect.stringContaining('nothing was counted'),
    });
  });

  test('is issued once: again gives the same text', async () => {
    const life = await fullTenant();
    const input = inputFor(life);
    const first = await purge(input);
    const document = await findCertificate(pool, life.incarnation);
    expect(await run('issueCertificate', input)).toEqual(first);
    expect(await findCertificate(pool, life.incarnation)).toBe(document);
    await expect(
      pool.query('update erasure_certificates set document = $1 where incarnation = $2', [
        '',
        life.incarnation,
      ]),
    ).rejects.toThrow('append-only');
  });

  test('without a key to sign it nothing is begun', async () => {
    const life = await makeTenant(pool);
    const signer = new CertificateSigner(async () => {
      throw new Error('no key');
    });
    activities = activitiesWith(signer);
    await expect(begin(inputFor(life))).rejects.toThrow('no key');
    expect(await findIncarnation(pool, life.incarnation)).toMatchObject({ state: 'active' });
  });
});

describe('beginPurge', () => {
  const PAST = new Date(Date.now() - 60_000);
  const FUTURE = new Date(Date.now() + 60_000);

  async function tenantIn(state: TenantState, purgeAt = FUTURE): Promise<Life> {
    const life = lifeOf(`in_x${randomUUID().slice(0, 8)}`);
    await insertTenant(pool, life);
    const { incarnation } = life;
    if (state === 'creating') return life;
    if (state === 'creation_failed') {
      await setTenantState(pool, incarnation, ['creating'], 'creation_failed');
      return life;
    }
    await setTenantState(pool, incarnation, ['creating'], 'active');
    if (state === 'inactive') await deactivate(pool, incarnation, purgeAt);
    if (state === 'purging' || state === 'purged') await begin(inputFor(life));
    if (state === 'purged') await endLives(pool, [incarnation]);
    return life;
  }

  test.each(
    TENANT_STATES.flatMap((state) =>
      (['requested', 'expiry', 'purgeNow'] as const).map((t) => [state, t] as const),
    ),
  )('from %s, %s', async (state, trigger) => {
    const life = await tenantIn(state, PAST);
    const input = inputFor(life, { trigger });
    const allowed =
      state === 'purging' || (trigger === 'requested' ? state !== 'purged' : state === 'inactive');
    const before = await findIncarnation(pool, life.incarnation);
    const began = await auditOf(life);
    if (state === 'creating') {
      // Whoever asks: its creation is stopped first, and then the state decides.
      expect(await begin(input)).toEqual({ state: 'creating' });
      expect(await findIncarnation(pool, life.incarnation)).toEqual(before);
    }
    const asked = begin(input, Date.now(), true);
    if (allowed) {
      expect(await asked).toEqual({ state: 'purging' });
      expect(await findIncarnation(pool, life.incarnation)).toMatchObject({
        state: 'purging',
        purgeOperation: input.operation,
      });
      expect(await begin(input)).toEqual({ state: 'purging' });
      expect(await auditOf(life)).toEqual([...began, 'delete started']);
      return;
    }
    await expect(asked).rejects.toMatchObject({ type: 'WrongState', exitCode: 6 });
    expect(await findIncarnation(pool, life.incarnation)).toEqual(before);
    expect(await auditOf(life)).toEqual(began);
  });

  describe('where it takes two', () => {
    async function guarded(state: TenantState, purgeAt = FUTURE): Promise<Life> {
      const life = await tenantIn(state, purgeAt);
      await requirePolicy(pool, 'tenant delete', life.tenant, 'tests');
      return life;
    }
    const within = expect.objectContaining({ type: 'Conflict' });

    test('it waits, until the retention ends at the latest: then nobody is asked any more', async () => {
      const soon = new Date(Date.now() + 3_600_000);
      const life = await guarded('inactive', soon);
      const held = { held: { operation: expect.any(String), expiresAt: soon.getTime() } };
      expect(await begin(inputFor(life))).toEqual(held);
      expect(await begin(inputFor(await guarded('inactive', PAST)))).toEqual({ state: 'purging' });
    });

    test('an operation that there is already is no second try of it', async () => {
      const other = await guarded('active');
      const { operation } = inputFor(other, { operation: newOperation() });
      await startOperation(pool, {
        ...{ operation, kind: 'backupTenant', ...other, principal: 'tests', reason: '', workflowId: 'w' },
      });
      expect(await begin(inputFor(other, { operation }))).toHaveProperty('held');
      const inactive = await guarded('inactive');
      await expect(begin(inputFor(inactive, { operation, trigger: 'purgeNow' }))).rejects.toEqual(within);
      const free = await tenantIn('active');
      await expect(begin(inputFor(free, { operation }))).rejects.toEqual(within);
      for (const life of [other, inactive, free])
        expect((await findIncarnation(pool, life.incarnation))?.state).not.toBe('purging');
    });
  });

  test('an expiry begins at the end of the retention and not a millisecond before', async () => {
    const life = await tenantIn('inactive', FUTURE);
    const input = inputFor(life, { trigger: 'expiry' });
    await expect(begin(input, FUTURE.getTime() - 1)).rejects.toMatchObject({
      type: 'WrongState',
      message: expect.stringContaining('ends at'),
    });
    expect(await findIncarnation(pool, life.incarnation)).toMatchObject({ state: 'inactive' });
    expect(await begin(input, FUTURE.getTime())).toEqual({ state: 'purging' });
  });

  test('of a failed creation whose id lives again is refused: it goes with that life', async () => {
    const failed = await tenantIn('creation_failed');
    const life = await makeTenant(pool, failed.tenant);
    await expect(begin(inputFor(failed))).rejects.toMatchObject({ type: 'Conflict' });
    expect(await findIncarnation(pool, failed.incarnation)).toMatchObject({ state: 'creation_failed' });
    expect(await findIncarnation(pool, life.incarnation)).toMatchObject({ state: 'active' });
  });
});

describe('what runs for the tenant', () => {
  test('is asked to stop, and its row says so; the retention is woken and not cancelled', async () => {
    const life = await makeTenant(pool);
    const ingest = await makeIngest(pool, life);
    const ingestId = `tenant/${life.tenant}/ingest/${ingest}`;
    const retention = `tenant/${life.tenant}/retention`;
    outside.temporal.open.set(ingestId, undefined).set(retention, undefined);
    const input = inputFor(life);
    await begin(input);
    expect(await run('stopOperations', keyOf(input))).toEqual({ stopped: 1, terminated: 0 });
    expect(outside.temporal.journal).toEqual([`signal ${retention}`, `cancel ${ingestId}`]);
    expect(await getOperation(pool, ingest)).toMatchObject({ state: 'cancelled' });
    expect(await getOperation(pool, input.operation)).toMatchObject({ state: 'running' });
  });

  test('a backup that was ended by force is failed, and nothing that it stored stays; complete ones stay whole', async () => {
    const life = await makeTenant(pool);
    const at = '2026-01-01T00:00:00Z';
    const whole = await madeBackup(pool, life, backups.store, { at });
    const [hung, failed] = [
      await madeBackup(pool, life, backups.store, { at, state: 'running' }),
      await madeBackup(pool, life, backups.store, { at, state: 'failed' }),
    ];
    // Killed before it had cleaned up.
    await planSlices(pool, failed, { base: FRAMES, slices: 2, schema: 'any', namespace: 'any' });
    const neighbour = await makeTenant(pool);
    const running = await madeBackup(pool, neighbour, backups.store, { at, state: 'running' });
    const input = inputFor(life);
    await begin(input);
    const left = async () => {
      const of = { [whole]: life, [hung]: life, [failed]: life, [running]: neighbour };
      return Promise.all(
        Object.entries(of).map(async ([backup, { tenant }]) => [
          (await getBackup(pool, parseBackupId(backup))).state,
          await countObjects(backups.store, tenant, parseBackupId(backup)),
        ]),
      );
    };
    for (let attempt = 0; attempt < 2; attempt++) {
      await run('stopOperations', keyOf(input));
      expect(await left()).toEqual([
        ...[['complete', 4] as const, ['failed', 0] as const, ['failed', 0] as const],
        ['running', 3],
      ]);
    }
    expect(await slicesOf(pool, failed)).toEqual([]);
    const { operation } = await getBackup(pool, hung);
    expect(await getOperation(pool, operation)).toMatchObject({
      ...{ state: 'cancelled', error: { message: 'its tenant is purged' } },
    });
  });

  test('a former purge that was terminated has this one’s workflow id: it is not this one that is cancelled', async () => {
    const life = await makeTenant(pool);
    const [former, present] = [inputFor(life), inputFor(life)];
    await begin(former);
    const workflowId = `tenant/${life.tenant}/purge`;
    outside.temporal.open.set(workflowId, undefined);
    await begin(present);
    await run('stopOperations', keyOf(present));
    expect(outside.temporal.journal).toEqual([]);
    expect(outside.temporal.open.has(workflowId)).toBe(true);
    expect(await getOperation(pool, former.operation)).toMatchObject({ state: 'cancelled' });
    expect(await getOperation(pool, present.operation)).toMatchObject({ state: 'running' });
  });

  test('a creation is stopped and cleans up after itself', async () => {
    const life = lifeOf('being_created');
    await insertTenant(pool, life);
    const workflowId = 'tenant/being_created/create';
    await startOperation(pool, {
      operation: life.createOperation,
      kind: 'createTenant',
      tenant: life.tenant,
      incarnation: life.incarnation,
      principal: 'tests',
      reason: '',
      workflowId,
    });
    outside.temporal.open.set(workflowId, async () => {
      await setTenantState(pool, life.incarnation, ['creating'], 'creation_failed');
    });
    const input = inputFor(life);
    expect(await begin(input)).toEqual({ state: 'creating' });
    await run('stopCreation', keyOf(input));
    expect(outside.temporal.journal).toEqual([`cancel ${workflowId}`]);
    expect(await begin(input, Date.now(), true)).toEqual({ state: 'purging' });
  });
});

describe('what must not begin while a tenant goes', () => {
  test('an ingest that looked first is seen by the purge; one that looked later is refused', async () => {
    const life = await fullTenant();
    const input = inputFor(life);
    const ledger = createLedgerActivities(outside.stores(pool));
    const ingest = {
      tenant: life.tenant,
      operation: newOperation(),
      profile: FRAMES,
      source: '/videos',
      concurrency: 1,
      principal: 'tests',
      reason: '',
    } as const;

    const client = await pool.connect();
    await client.query('begin');
    await lockTenant(client, life.tenant, 'ingest');
    const [purging, deactivating] = [begin(input), deactivate(pool, life.incarnation, new Date())];
    await expect.poll(blocked).toBe(2);
    await startOperation(client, { ...ingest, ...life, kind: 'ingestVideos', workflowId: 'w' });
    await client.query('commit');
    client.release();
    await Promise.all([purging, deactivating]);
    await run('stopOperations', keyOf(input));
    expect(await getOperation(pool, ingest.operation)).toMatchObject({ state: 'cancelled' });

    await expect(ledger.beginIngest({ ...ingest, operation: newOperation() })).rejects.toMatchObject({
      type: 'WrongState',
    });
  });

  test('a purge that came first makes the ingest wait, and then refuses it', async () => {
    const life = await fullTenant();
    const client = await pool.connect();
    await client.query('begin');
    await client.query(`update tenants set state = 'purging' where incarnation = $1`, [life.incarnation]);
    const looking = transaction(pool, (tx) => lockTenant(tx, life.tenant, 'ingest'));
    const claiming = reserveSchemas(pool, life.tenant, life.incarnation, ['video_colqwen_omni_mv_chunk_30s']);
    const refused = Promise.allSettled([looking, claiming]);
    await expect.poll(blocked).toBe(2);
    await client.query('commit');
    client.release();
    for (const outcome of await refused)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { type: 'WrongState' } });
    expect(await schemasOf(pool, life.incarnation)).toHaveLength(2);
  });
});

/** Connections that wait for a lock. */
async function blocked(): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    `select count(*) as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
  );
  return rows[0]!.n;
}

describe('the name of a purged tenant', () => {
  const create = (life: Pick<Life, 'tenant'>, overrideQuarantine = false) => {
    const creation = createTenantActivities({
      pool,
      phoenix: outside.phoenix,
      memories: {
        embedder: 'none',
        open: () => {
          throw new Error('it does not come so far');
        },
      },
      vespaUrl: outside.vespaUrl,
      vespaConfigUrl: outside.vespaUrl,
    });
    const incarnation = newIncarnation();
    const created = creation.beginCreate({
      tenant: life.tenant,
      incarnation,
      operation: newOperation(),
      template: 'startup',
      values: TEMPLATES['startup']!,
      profiles: [FRAMES],
      cluster: 'test',
      principal: 'tests',
      reason: '',
      ...(overrideQuarantine ? { overrideQuarantine } : {}),
    });
    return created.then(() => incarnation);
  };

  test('is refused with the date, and given on an admin’s word, which is in the audit log', async () => {
    const life = await purged();
    const { quarantineUntil } = (await findTenant(pool, life.tenant))!;
    await expect(create(life)).rejects.toMatchObject({
      type: 'WrongState',
      message: expect.stringContaining(quarantineUntil!),
      hint: expect.stringContaining('--override-quarantine'),
    });
    await create(life, true);
    const [entry] = await listAudit(pool, { tenant: life.tenant, limit: 1 });
    expect(entry).toMatchObject({ verb: 'create', detail: { overrodeQuarantine: quarantineUntil } });
  });

  test('is free when the time is over', async () => {
    const life = await purged();
    await pool.query(`update tenants set quarantine_until = now() where incarnation = $1`, [
      life.incarnation,
    ]);
    await create(life);
    const [entry] = await listAudit(pool, { tenant: life.tenant, limit: 1 });
    expect(entry).toMatchObject({ verb: 'create', detail: {} });
  });

  test('a new life sees no row of the former one, and a purge of it proves its own', async () => {
    const life = await purged();
    const incarnation = await create(life, true);
    expect(incarnation).not.toBe(life.incarnation);
    expect(await currentConfig(pool, incarnation)).toEqual([]);
    expect(await schemasOf(pool, incarnation)).toEqual([]);
    expect(await schedulesOf(pool, [incarnation, life.incarnation])).toEqual([]);
    expect(await getVideo(pool, { incarnation, base: FRAMES, video: 'v1' })).toBeUndefined();
    const left = `select (select count(*) from videos where incarnation = $1)
      + (select count(*) from config_versions where incarnation = $1)
      + (select count(*) from tenant_schemas where incarnation = $1)
      + (select count(*) from ingest_items join operations using (operation) where incarnation = $1) as n`;
    expect((await pool.query<{ n: number }>(left, [life.incarnation])).rows).toEqual([{ n: 0 }]);
    // The same physical names, claimed anew.
    await reserveSchemas(pool, life.tenant, incarnation, [FRAMES]);
    await setTenantState(pool, incarnation, ['creating'], 'active');
    const second = inputFor({ ...life, incarnation });
    await purge(second);
    expect(await findCertificate(pool, life.incarnation)).not.toBe(await findCertificate(pool, incarnation));
    expect(JSON.parse((await findCertificate(pool, incarnation))!)).toMatchObject({
      certificate: { incarnation, operation: second.operation },
    });
  });
});

test('the audit chain of all this is whole', async () => {
  const { rows, brokenAt } = await verifyAudit(pool);
  expect(brokenAt).toBeUndefined();
  expect(rows).toBeGreaterThan(50);
});
