import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { ConfigWriteWhat } from '../../src/client/config.js';
import { CvopsClient } from '../../src/client/index.js';
import type { RouteResult } from '../../src/contracts/routing.js';
import { type ConfigKey, ROUTING_CONFIG, SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { getConfig, putConfig } from '../../src/registry/config.js';
import { getTenant } from '../../src/registry/tenants.js';
import type { Settings } from '../../src/settings.js';
import { cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { backUp } from '../support/backups.js';
import { EchoServer } from '../support/echoServer.js';
import { credentialOf, tokenOf } from '../support/principals.js';
import { temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';

const PLACES = 'env:TENANT_{tenant}__';
const DENIED = expect.objectContaining({ type: 'PermissionDenied', hint: expect.any(String) });
const placeOf = ({ scope, service, key }: ConfigKey) => ({ scope, service, key });

let settings: Settings;
let admin: CvopsClient;
const clients: CvopsClient[] = [];
let pool: Pool;
let folder: string;
/** Where administrators send keys, and where operators would. */
let [trusted, theirs]: [EchoServer, EchoServer] = [undefined!, undefined!];

beforeAll(async () => {
  const allowedPrivateHosts = ['127.0.0.1'];
  settings = { ...stackSettings(), secretPlaces: [PLACES], allowedPrivateHosts };
  pool = openPool(settings.databaseUrl, { max: 2, name: 'tests' });
  clients.push((admin = await CvopsClient.connect(settings)));
  folder = await temporaryFolder();
  await writeFile(path.join(folder, 'shared'), 'shared-of-a-file-1\n');
  [trusted, theirs] = [await EchoServer.start('trusted'), await EchoServer.start('theirs')];
});
afterAll(async () => {
  await Promise.all([trusted?.stop(), theirs?.stop(), ...clients.map((client) => client.close())]);
  await pool?.end();
});

/** A new tenant, and both who may configure it, on a machine that has its own key, a shared one and the installation's. */
async function world(what: string) {
  const tenant = parseTenantId(freshTenant(what));
  const request = { template: 'startup', overrides: {}, profiles: [PROFILE] as const, reason: '' };
  await (await admin.createTenant({ ...request, tenant })).result();
  const { home, addresses } = inject('stack');
  const bearer = { role: 'operator', tenant, subject: `operator of ${tenant}` } as const;
  const operator = await CvopsClient.connect({ ...settings, ...(await credentialOf(home, bearer)) });
  clients.push(operator);
  const env = {
    CVOPS_TOKEN: await tokenOf(home, bearer),
    CVOPS_SECRET_PLACES: PLACES,
    CVOPS_ALLOWED_PRIVATE_HOSTS: '127.0.0.1',
    [`TENANT_${tenant}__LLM`]: `own-of-${tenant}`,
    SHARED_LLM: `shared-of-${tenant}`,
    DATABASE_URL: addresses.databaseUrl,
  };
  const write = (by: CvopsClient, what: ConfigWriteWhat, key: ConfigKey = SYSTEM_CONFIG, dryRun = false) =>
    by.config.write({ at: { ...placeOf(key), tenant }, what, reason: '', dryRun });
  return {
    ...{ tenant, operator, env, write },
    key: `env:TENANT_${tenant}__LLM`,
    set: (by: CvopsClient, edits: Record<string, string>, unset: string[] = []) =>
      write(by, { kind: 'edits', edits: { set: edits, unset } }),
    /** By the command. */
    refused: async (...args: readonly string[]) => {
      const result = await cvopsWith(env, 'config', ...args, '-o', 'json');
      expect([args, result.code, errorOf(result).code]).toEqual([args, 4, 'PermissionDenied']);
      expect(errorOf(result).hint).toBeTruthy();
    },
    /** Whether the LLM is asked; the servers here refuse whoever asks. */
    asked: async () => {
      const add = ['memory', 'add', tenant, 'I like red', '--user', 'ann', '--infer'];
      const { code } = await cvopsWith(env, ...add);
      expect(code).not.toBe(0);
      return code !== 4;
    },
  };
}

const url = (server: EchoServer) => `http://127.0.0.1:${server.port}/v1`;
const heard = (server: EchoServer, text: string) =>
  server.heard.filter(({ authorization }) => authorization?.includes(text)).length;
const configOf = async (tenant: TenantId) => {
  const { incarnation } = await getTenant(pool, tenant);
  return (await getConfig(pool, { ...SYSTEM_CONFIG, incarnation }))!;
};

describe.concurrent('an operator', () => {
  test('sets keys of its tenant alone, and each refusal is audited', async ({ expect }) => {
    const { tenant, operator, set, write, refused, asked, key } = await world('own');
    const before = await configOf(tenant);
    const system = `file:${path.join(inject('stack').home, 'keys', 'system.token')}`;
    const others = ['env:TENANT_other__LLM', system, 'env:SHARED_LLM', 'env:DATABASE_URL', 'env:CVOPS_TOKEN'];
    for (const llm_api_key of [...others, 'file:/proc/self/environ'])
      await expect(set(operator, { llm_api_key, llm_base_url: url(theirs) })).rejects.toEqual(DENIED);
    const edits = { set: { llm_api_key: 'env:SHARED_LLM' }, unset: [] };
    await expect(write(operator, { kind: 'edits', edits }, SYSTEM_CONFIG, true)).rejects.toEqual(DENIED);
    const tokens = { strategy_urls: { gliner: url(theirs) }, strategy_tokens: { gliner: 'env:SHARED_LLM' } };
    const { value: routing } = await operator.config.get({ ...placeOf(ROUTING_CONFIG), tenant });
    const whole = { kind: 'value', value: { ...routing, ...tokens } } as const;
    await expect(write(operator, whole, ROUTING_CONFIG)).rejects.toEqual(DENIED);
    await refused('set', tenant, '--set', `llm_api_key=${system}`);
    expect(await configOf(tenant)).toEqual(before);
    const { rows } = await pool.query(
      `select verb, principal from audit_log where outcome = 'denied' and tenant = $1`,
      [tenant],
    );
    expect(rows).toEqual(Array(9).fill({ verb: 'config set', principal: `operator of ${tenant}` }));

    await set(operator, { llm_api_key: key, llm_base_url: url(theirs) });
    expect(await asked()).toBe(true);
    expect(heard(theirs, `own-of-${tenant}`)).toBeGreaterThan(0);
    // Nor does an administrator send the installation's own anywhere.
    for (const llm_api_key of [system, 'env:DATABASE_URL'])
      await expect(set(admin, { llm_api_key })).rejects.toMatchObject({ type: 'InvalidInput' });
  });

  test('has what an administrator set sent nowhere else, by no way', async ({ expect }) => {
    const { tenant, operator, set, write, refused, asked } = await world('shared');
    await set(admin, { llm_api_key: 'env:SHARED_LLM', llm_base_url: url(trusted) });
    await set(operator, { max_qps: '9' });
    expect(await asked()).toBe(true);
    const { value, version } = await configOf(tenant);

    await refused('set', tenant, '--set', `llm_base_url=${url(theirs)}`);
    const whole = { kind: 'value', value: { ...value, llm_base_url: url(theirs) } } as const;
    await expect(write(operator, whole)).rejects.toEqual(DENIED);
    await set(operator, { llm_base_url: url(theirs) }, ['llm_api_key']);
    await expect(set(operator, { llm_api_key: 'env:SHARED_LLM' })).rejects.toEqual(DENIED);
    await refused('rollback', tenant, '--version', String(version));
    // An administrator's way back is one.
    await write(admin, { kind: 'rollback', to: version });
    const before = heard(trusted, `shared-of-${tenant}`);
    expect(await asked()).toBe(true);
    expect(heard(trusted, `shared-of-${tenant}`)).toBeGreaterThan(before);
    expect(heard(theirs, `shared-of-${tenant}`)).toBe(0);
  });

  test('restores no right to what an administrator had set; an administrator does', async ({ expect }) => {
    const { tenant, env, operator, set, asked } = await world('restored');
    await set(admin, { llm_api_key: 'env:SHARED_LLM', llm_base_url: url(trusted) });
    const { backup } = await backUp(tenant);
    await set(operator, { llm_base_url: url(theirs) }, ['llm_api_key']);
    const restore = ['backup', 'restore', backup, '--replace', '--confirm', tenant];
    await cvopsJson(restore, 0, env);
    expect(await configOf(tenant)).toMatchObject({ value: { llm_api_key: 'env:SHARED_LLM' }, vouched: [] });
    expect(await asked()).toBe(false);
    await cvopsJson(restore);
    expect(await configOf(tenant)).toMatchObject({ vouched: ['llm_api_key'] });
  });
});

test.concurrent(
  'what stood in a configuration before is sent to nobody until an administrator says so',
  async ({ expect }) => {
    const { tenant, env, set, write, asked } = await world('before');
    const { incarnation } = await getTenant(pool, tenant);
    const put = async (key: ConfigKey, fields: object) => {
      const { version, value } = (await getConfig(pool, { ...key, incarnation }))!;
      const write = { value: { ...value, ...fields }, author: 'an operator', reason: '' };
      await putConfig(pool, { ...key, incarnation }, version, write);
    };
    const file = `file:${path.join(folder, 'shared')}`;
    await put(SYSTEM_CONFIG, { llm_base_url: url(theirs), llm_api_key: file });
    await put(ROUTING_CONFIG, {
      strategy_urls: { gliner: url(theirs) },
      strategy_tokens: { gliner: 'env:SHARED_LLM' },
      max_routing_time_ms: 60_000,
    });
    // Neither does a change of something else say so; who looks is told.
    await set(admin, { max_qps: '9' });
    const fix = `cvops config set ${tenant} --set llm_api_key=REFERENCE`;
    expect((await admin.health.diagnose(tenant)).findings).toContainEqual(expect.objectContaining({ fix }));
    const route = async () => {
      const { votes } = await cvopsJson<RouteResult>(['route', tenant, 'red cars'], 0, env);
      return votes.find(({ strategy }) => strategy === 'gliner');
    };
    const [isAsked, vote] = await Promise.all([asked(), route()]);
    expect(isAsked).toBe(false);
    expect(vote).toMatchObject({
      outcome: 'failed',
      reason: expect.stringContaining('in no place of tenant'),
    });
    expect(heard(theirs, 'shared-of-a-file-1') + heard(theirs, `shared-of-${tenant}`)).toBe(0);

    await set(admin, { llm_api_key: file, llm_base_url: url(trusted) });
    const edits = { 'strategy_tokens.gliner': 'env:SHARED_LLM', 'strategy_urls.gliner': url(trusted) };
    await write(admin, { kind: 'edits', edits: { set: edits, unset: [] } }, ROUTING_CONFIG);
    await Promise.all([asked(), route()]);
    expect(heard(trusted, 'shared-of-a-file-1')).toBeGreaterThan(0);
    expect(heard(trusted, `shared-of-${tenant}`)).toBeGreaterThan(0);
  },
);
