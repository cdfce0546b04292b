import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { RouteResult } from '../../src/contracts/routing.js';
import { ROUTING_CONFIG, SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { getConfig } from '../../src/registry/config.js';
import { getTenant } from '../../src/registry/tenants.js';
import { cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { backUp } from '../support/backups.js';
import { EchoServer } from '../support/echoServer.js';
import { tokenOf } from '../support/principals.js';
import { temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';

let pool: Pool;
let folder: string;
/** Where administrators send keys, and where operators would. */
let [trusted, theirs]: [EchoServer, EchoServer] = [undefined!, undefined!];

beforeAll(async () => {
  pool = openPool(stackSettings().databaseUrl, { max: 2, name: 'tests' });
  folder = await temporaryFolder();
  await writeFile(path.join(folder, 'shared'), 'shared-of-a-file-1\n');
  [trusted, theirs] = [await EchoServer.start('trusted'), await EchoServer.start('theirs')];
});
afterAll(async () => {
  await Promise.all([trusted?.stop(), theirs?.stop()]);
  await pool?.end();
});

/** A new tenant, and both who may configure it, on a machine that has its own key, a shared one and the installation's. */
async function world(what: string) {
  const tenant = parseTenantId(freshTenant(what));
  await cvopsJson(['tenant', 'create', tenant, '--template', 'startup', '--profiles', PROFILE]);
  const admin = {
    CVOPS_SECRET_PLACES: 'env:TENANT_{tenant}__',
    CVOPS_ALLOWED_PRIVATE_HOSTS: '127.0.0.1',
    [`TENANT_${tenant}__LLM`]: `own-of-${tenant}`,
    SHARED_LLM: `shared-of-${tenant}`,
    DATABASE_URL: inject('stack').addresses.databaseUrl,
  };
  const bearer = { role: 'operator', tenant, subject: `operator of ${tenant}` } as const;
  const operator = { ...admin, CVOPS_TOKEN: await tokenOf(inject('stack').home, bearer) };
  const set = (...edits: string[]) => ['config', 'set', tenant, ...edits.flatMap((edit) => ['--set', edit])];
  return {
    ...{ tenant, admin, operator, set },
    key: `env:TENANT_${tenant}__LLM`,
    as: (env: Readonly<Record<string, string>>, ...args: readonly string[]) => cvopsJson(args, 0, env),
    async refused(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
      const result = await cvopsWith(env, ...args, '-o', 'json');
      expect([args, result.code, errorOf(result).code]).toEqual([args, 4, 'PermissionDenied']);
      expect(errorOf(result).hint).toBeTruthy();
    },
    /** Whether the LLM is asked; the servers here refuse whoever asks. */
    async asked() {
      const result = await cvopsWith(
        operator,
        ...['memory', 'add', tenant, 'I like red', '--user', 'ann', '--infer'],
      );
      expect(result.code).not.toBe(0);
      return result.code !== 4;
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
    const { tenant, operator, admin, set, refused, as, asked, key } = await world('own');
    const before = await configOf(tenant);
    const system = `file:${path.join(inject('stack').home, 'keys', 'system.token')}`;
    const other = 'env:TENANT_other__LLM';
    await Promise.all(
      [other, system, 'env:SHARED_LLM', 'env:DATABASE_URL', 'env:CVOPS_TOKEN', 'file:/proc/self/environ'].map(
        (text) => refused(operator, ...set(`llm_api_key=${text}`, `llm_base_url=${url(theirs)}`)),
      ),
    );
    const tokens = { strategy_urls: { gliner: url(theirs) }, strategy_tokens: { gliner: 'env:SHARED_LLM' } };
    const routing = await cvopsJson<{ value: object }>(['config', 'get', tenant, '--routing']);
    const whole = JSON.stringify({ ...routing.value, ...tokens });
    await refused(operator, 'config', 'set', tenant, '--routing', '--json', whole);
    await refused({ ...operator, CVOPS_SECRET_PLACES: '' }, ...set(`llm_api_key=${key}`));
    await refused(operator, ...set(`llm_api_key=env:SHARED_LLM`), '--dry-run');
    expect(await configOf(tenant)).toEqual(before);
    const { rows } = await pool.query(
      `select verb, principal from audit_log where outcome = 'denied' and tenant = $1`,
      [tenant],
    );
    expect(rows).toEqual(Array(9).fill({ verb: 'config set', principal: `operator of ${tenant}` }));

    await as(operator, ...set(`llm_api_key=${key}`, `llm_base_url=${url(theirs)}`));
    expect(await asked()).toBe(true);
    expect(heard(theirs, `own-of-${tenant}`)).toBeGreaterThan(0);
    // Nor does an administrator send the installation's own anywhere.
    for (const text of [system, 'env:DATABASE_URL'])
      expect(errorOf(await cvopsWith(admin, ...set(`llm_api_key=${text}`), '-o', 'json')).code).toBe(
        'InvalidInput',
      );
  });

  test('has what an administrator set sent nowhere else, by no way', async ({ expect }) => {
    const { tenant, operator, admin, set, refused, as, asked } = await world('shared');
    await as(admin, ...set('llm_api_key=env:SHARED_LLM', `llm_base_url=${url(trusted)}`));
    await as(operator, ...set('max_qps=9'));
    expect(await asked()).toBe(true);
    const { value, version } = await configOf(tenant);

    await refused(operator, ...set(`llm_base_url=${url(theirs)}`));
    const whole = JSON.stringify({ ...value, llm_base_url: url(theirs) });
    await refused(operator, 'config', 'set', tenant, '--json', whole);
    await as(operator, ...set(`llm_base_url=${url(theirs)}`), '--unset', 'llm_api_key');
    await refused(operator, ...set('llm_api_key=env:SHARED_LLM'));
    await refused(operator, 'config', 'rollback', tenant, '--version', String(version));
    // An administrator's way back is one.
    await as(admin, 'config', 'rollback', tenant, '--version', String(version));
    const before = heard(trusted, `shared-of-${tenant}`);
    expect(await asked()).toBe(true);
    expect(heard(trusted, `shared-of-${tenant}`)).toBeGreaterThan(before);
    expect(heard(theirs, `shared-of-${tenant}`)).toBe(0);
  });

  test('restores no right to what an administrator had set; an administrator does', async ({ expect }) => {
    const { tenant, operator, admin, set, as, asked } = await world('restored');
    await as(admin, ...set('llm_api_key=env:SHARED_LLM', `llm_base_url=${url(trusted)}`));
    const { backup } = await backUp(tenant);
    await as(operator, ...set(`llm_base_url=${url(theirs)}`), '--unset', 'llm_api_key');
    const restore = ['backup', 'restore', backup, '--replace', '--confirm', tenant];
    await as(operator, ...restore);
    expect(await configOf(tenant)).toMatchObject({ value: { llm_api_key: 'env:SHARED_LLM' }, vouched: [] });
    expect(await asked()).toBe(false);
    await as(admin, ...restore);
    expect(await configOf(tenant)).toMatchObject({ vouched: ['llm_api_key'] });
    expect(await asked()).toBe(true);
  });
});

test.concurrent(
  'what stood in a configuration before is sent to nobody until an administrator says so',
  async ({ expect }) => {
    const { tenant, operator, admin, set, as, asked } = await world('before');
    const { incarnation } = await getTenant(pool, tenant);
    const put = async (key: typeof SYSTEM_CONFIG | typeof ROUTING_CONFIG, fields: object) => {
      const { version, value } = (await getConfig(pool, { ...key, incarnation }))!;
      await pool.query(
        `insert into config_versions (incarnation, scope, service, key, version, value, author, reason)
       values ($1, $2, $3, $4, $5, $6, 'an operator', '')`,
        [incarnation, key.scope, key.service, key.key, version + 1, { ...value, ...fields }],
      );
    };
    const file = `file:${path.join(folder, 'shared')}`;
    await put(SYSTEM_CONFIG, { llm_base_url: url(theirs), llm_api_key: file });
    await put(ROUTING_CONFIG, {
      strategy_urls: { gliner: url(theirs) },
      strategy_tokens: { gliner: 'env:SHARED_LLM' },
      max_routing_time_ms: 60_000,
    });
    // Neither does a change of something else say so.
    await as(admin, ...set('max_qps=9'));
    expect(await asked()).toBe(false);
    const route = async () => {
      const { votes } = (await cvopsJson(
        ['route', tenant, 'red cars'],
        0,
        operator,
      )) as unknown as RouteResult;
      return votes.find(({ strategy }) => strategy === 'gliner');
    };
    expect(await route()).toMatchObject({
      outcome: 'failed',
      reason: expect.stringContaining('in no place of tenant'),
    });
    expect(heard(theirs, 'shared-of-a-file-1') + heard(theirs, `shared-of-${tenant}`)).toBe(0);

    await as(admin, ...set(`llm_api_key=${file}`, `llm_base_url=${url(trusted)}`));
    expect(await asked()).toBe(true);
    await as(
      admin,
      ...set('strategy_tokens.gliner=env:SHARED_LLM', `strategy_urls.gliner=${url(trusted)}`),
      '--routing',
    );
    await route();
    expect(heard(trusted, 'shared-of-a-file-1')).toBeGreaterThan(0);
    expect(heard(trusted, `shared-of-${tenant}`)).toBeGreaterThan(0);
  },
);
