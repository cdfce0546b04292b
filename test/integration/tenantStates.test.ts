import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import { type BackupId, parseBackupId } from '../../src/domain/backups.js';
import { OpsError } from '../../src/domain/errors.js';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { ALLOWED, TENANT_STATES, type TenantState, type TenantVerb } from '../../src/domain/states.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { setTenantState } from '../../src/registry/tenants.js';
import { findTenant } from '../../src/registry/tenants.js';
import { freshTenant, stackSettings } from '../support/cvops.js';
import { tenantInState } from '../support/tenants.js';
import { sampleVideos } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';

let client: CvopsClient;
let pool: Pool;
let videos: string;
beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { name: 'tests' });
  client = await CvopsClient.connect(settings);
  videos = await sampleVideos();
});
afterAll(async () => {
  await client?.close();
  await pool?.end();
});

/** Of a tenant that nothing else happens to: what a restore is made from. */
let backedUp: Promise<BackupId> | undefined;
async function backup(): Promise<BackupId> {
  const tenant = parseTenantId(freshTenant('kept'));
  await VERBS.create(tenant);
  return parseBackupId((await backUp(tenant)).backup);
}
const backUp = async (tenant: TenantId) =>
  (await client.backups.create({ tenant, consistency: 'fuzzy', reason: '' })).result();

/** Of whom the others are kept apart. */
let neighbour: Promise<TenantId> | undefined;
async function newNeighbour(): Promise<TenantId> {
  const tenant = parseTenantId(freshTenant('neighbour'));
  await VERBS.create(tenant);
  return tenant;
}

const system = (tenant: TenantId) =>
  ({ tenant, scope: 'system', service: 'system', key: 'system_config' }) as const;

/** What a user would do, to its end; each answers with the state it says the tenant is in, where it says one. */
const VERBS: Record<
  Exclude<TenantVerb, 'continueIngest' | 'continueMemory' | 'schedule'>,
  (tenant: TenantId) => Promise<unknown>
> = {
  create: async (tenant) =>
    (
      await client.createTenant({
        ...{ tenant, template: 'trial', overrides: { memory_enabled: 'true' } },
        ...{ profiles: [PROFILE], reason: '' },
      })
    ).result(),
  deactivate: async (tenant) =>
    (await client.life.deactivate({ tenant, retentionDays: 5, running: 'drain', reason: '' })).result(),
  reactivate: async (tenant) => (await client.life.reactivate(tenant, '')).result(),
  extend: async (tenant) => (await client.life.extend(tenant, 3, '')).result(),
  purgeNow: async (tenant) => {
    const { purge } = await (await client.life.purgeNow(tenant, '')).result();
    expect(purge).not.toBeNull();
    // Not `expect.poll`, which asks the shared `expect` what test runs: here several do.
    await vi.waitFor(async () => expect(await stateOf(tenant)).toBe('purging'), { timeout: 60_000 });
  },
  delete: async (tenant) => (await client.life.delete({ tenant, reason: '', secondLookSeconds: 1 })).result(),
  ingest: async (tenant) =>
    (
      await client.ingest.start({ tenant, profile: PROFILE, source: videos, concurrency: 2, reason: '' })
    ).result(),
  search: (tenant) =>
    client.search({ tenant, query: 'road', profile: PROFILE, ranking: 'float_float', topK: 3 }),
  route: (tenant) => client.routing.route({ tenant, query: 'find cars' }),
  optimize: (tenant) => client.optimization.switch(tenant, false, ''),
  recall: (tenant) => client.memory.stats(tenant),
  remember: (tenant) => client.memory.add({ tenant, text: 'the road is closed', userId: 'ann' }),
  configure: (tenant) =>
    client.config.write({
      at: system(tenant),
      what: { kind: 'edits', edits: { set: { max_qps: '7' }, unset: [] } },
      reason: '',
      dryRun: false,
    }),
  readConfig: (tenant) => client.config.get(system(tenant)),
  deploySchemas: async (tenant) =>
    (await client.schemas.deploy({ tenants: [tenant], bases: null, maxFailures: 0, reason: '' })).result(),
  backup: backUp,
  verifyIsolation: async (tenant) => {
    const other = await (neighbour ??= newNeighbour());
    return (await client.isolation.verify({ tenants: [tenant, other], reason: '' })).result();
  },
  restoreOver: async (tenant) => {
    const from = await (backedUp ??= backup());
    const how = { replace: true, preview: false, overrideQuarantine: false, reason: '' };
    return (await client.backups.restore({ backup: from, into: tenant, ...how })).result();
  },
};

/** Where the tenant is when the verb is done. */
const AFTER: Partial<Record<TenantVerb, TenantState>> = {
  create: 'active',
  deactivate: 'inactive',
  reactivate: 'active',
  // Purged a minute later, when it has looked twice: test/workflows has that to its end.
  purgeNow: 'purging',
  delete: 'purged',
};

async function stateOf(tenant: TenantId): Promise<TenantState | undefined> {
  return (await findTenant(pool, tenant))?.state;
}

/** A tenant that really has been there: its schemas, configuration and project are where its state says. */
async function realTenant(state: TenantState): Promise<TenantId> {
  const tenant = parseTenantId(freshTenant(`real_${state}`));
  if (state === 'creating' || state === 'creation_failed') return tenantInState(pool, tenant, state);
  await VERBS.create(tenant);
  if (state === 'inactive') await VERBS.deactivate(tenant);
  if (state === 'purged') {
    await VERBS.delete(tenant);
    await pool.query('update tenants set quarantine_until = now() where tenant = $1', [tenant]);
  }
  // As a purge leaves it that failed on its way.
  if (state === 'purging')
    await setTenantState(pool, (await findTenant(pool, tenant))!.incarnation, ['active'], 'purging');
  return tenant;
}

const verbs = Object.keys(VERBS) as (keyof typeof VERBS)[];
const allowed = (verb: TenantVerb, state: TenantState) =>
  (ALLOWED[verb] as readonly string[]).includes(state);
/** What is gone is not restored over but made anew. */
const isMadeAnew = (verb: TenantVerb, state: TenantState) =>
  verb === 'restoreOver' && allowed('create', state);
const pairs = verbs.flatMap((verb) =>
  TENANT_STATES.filter((state) => !isMadeAnew(verb, state)).map((state) => ({ verb, state })),
);

async function rowsOf(tenant: TenantId): Promise<unknown> {
  const { rows } = await pool.query(
    `select to_jsonb(t) as row from tenants t where tenant = $1
     union all select to_jsonb(c) from config_versions c join tenants t using (incarnation) where t.tenant = $1
     union all select to_jsonb(o) from operations o where o.tenant = $1 order by row`,
    [tenant],
  );
  return rows;
}

describe('refused', () => {
  test.each(pairs.filter(({ verb, state }) => !allowed(verb, state)))(
    '$verb of a tenant that is $state: exit 6, and nothing has changed',
    async ({ verb, state }) => {
      const tenant = await tenantInState(pool, freshTenant(`no_${verb.toLowerCase()}`), state);
      const before = await rowsOf(tenant);
      const error = await VERBS[verb](tenant).then(
        () => undefined,
        (e: unknown) => e,
      );
      expect(error).toBeInstanceOf(OpsError);
      expect(error).toMatchObject({ type: 'WrongState', exitCode: 6 });
      expect((error as OpsError).message).toContain(`tenant ${tenant} is ${state}`);
      expect((error as OpsError).hint).toMatch(/cvops|anew|finish|follow/);
      expect(await rowsOf(tenant)).toEqual(before);
    },
  );
});

describe('allowed', () => {
  test.concurrent.each(
    pairs.filter(
      ({ verb, state }) => allowed(verb, state) && !(verb === 'readConfig' && state.startsWith('creat')),
    ),
  )('$verb of a tenant that is $state works', async ({ verb, state }) => {
    const tenant = await realTenant(state);
    await VERBS[verb](tenant);
    expect(await stateOf(tenant)).toBe(AFTER[verb] ?? state);
  });

  test('readConfig of one that is being created, or failed to be: what there is', async () => {
    for (const state of ['creating', 'creation_failed'] as const) {
      const tenant = await tenantInState(pool, freshTenant('half'), state);
      await expect(VERBS.readConfig(tenant)).rejects.toMatchObject({ type: 'NotFound' });
    }
  });
});
