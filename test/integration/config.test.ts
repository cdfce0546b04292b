import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigClient, type ConfigTarget, TemplateClient } from '../../src/client/config.js';
import { ROUTING_CONFIG, SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { TEMPLATES } from '../../src/domain/templates.js';
import { projectRoot } from '../../src/projectRoot.js';
import { listAudit, verifyAudit } from '../../src/registry/audit.js';
import { currentConfig, deleteConfig, putConfig } from '../../src/registry/config.js';
import { type Pool, transaction } from '../../src/registry/database.js';
import { findTenant, setTenantState } from '../../src/registry/tenants.js';
import { type Settings, loadSettings } from '../../src/settings.js';
import { initialRoutingConfig, initialSystemConfig } from '../../src/tenants/initialConfig.js';
import { writeConfig } from '../../src/tenants/config.js';
import { type CommandResult, cvopsJson, errorOf, freshTenant } from '../support/cvops.js';
import { type Life, type TestRegistry, atOnce, makeTenant, startTestRegistry } from '../support/registry.js';
import { tokenOf } from '../support/principals.js';
import { ensureAccessFiles } from '../../src/access/keyFiles.js';
import { referenceRulesOf } from '../../src/tenants/referenceRules.js';

let registry: TestRegistry;
let pool: Pool;
let settings: Settings;
let config: ConfigClient;
let templates: TemplateClient;
let token: string;
const asked = (by: Settings) => ({
  ...{ pool, settings: by, principal: 'ann', authorize: async () => undefined },
  referenceWriter: { ...referenceRulesOf(by), vouches: true },
  orDenied: <T>(_verb: string, _tenant: string, call: Promise<T>) => call,
});
let folder: string;

beforeAll(async () => {
  registry = await startTestRegistry();
  pool = registry.pool;
  folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-config-'));
  settings = loadSettings({ CVOPS_HOME: folder, DATABASE_URL: registry.url });
  await ensureAccessFiles(path.join(folder, 'keys'), 'cvops');
  token = await tokenOf(folder, { role: 'admin', subject: 'ann' });
  config = new ConfigClient(asked(settings));
  templates = new TemplateClient(asked(settings));
});
afterAll(async () => {
  await registry.stop();
  await rm(folder, { recursive: true, force: true });
});

const at = (life: Life, key: typeof SYSTEM_CONFIG | typeof ROUTING_CONFIG = SYSTEM_CONFIG): ConfigTarget => ({
  tenant: life.tenant,
  scope: key.scope,
  service: key.service,
  key: key.key,
});

/** A tenant with the two configurations that a creation writes. */
async function configured(): Promise<Life> {
  const life = await makeTenant(pool);
  const values = TEMPLATES['enterprise']!;
  const write = { author: 'creator', reason: 'template enterprise' };
  for (const [key, value] of [
    [SYSTEM_CONFIG, initialSystemConfig(life.tenant, values, settings)],
    [ROUTING_CONFIG, initialRoutingConfig(values)],
  ] as const)
    await putConfig(pool, { ...at(life, key), incarnation: life.incarnation }, 0, {
      ...write,
      value: { ...value },
    });
  return life;
}

const set = (
  life: Life,
  fields: Record<string, string>,
  more: { expectVersion?: number; reason?: string } = {},
) =>
  config.write({
    at: at(life),
    what: { kind: 'edits', edits: { set: fields, unset: [] } },
    reason: '',
    dryRun: false,
    ...more,
  });
const rollback = (life: Life, to: number, reason = '') =>
  config.write({ at: at(life), what: { kind: 'rollback', to }, reason, dryRun: false });

const failure = (type: string, message?: RegExp) =>
  expect.objectContaining({
    name: 'OpsError',
    type,
    ...(message ? { message: expect.stringMatching(message) as string } : {}),
  }) as Error;

describe('writing', () => {
  it('makes a version with author, reason and time, and an audit row of names without values', async () => {
    const life = await configured();
    const written = await set(
      life,
      { max_qps: '98765', llm_api_key: 'env:ACME_LLM' },
      { reason: 'more traffic' },
    );

    expect(written).toMatchObject({
      from: 1,
      version: 2,
      value: { max_qps: 98765, llm_api_key: 'env:ACME_LLM', cache_ttl: 3600 },
      changes: [
        { path: 'llm_api_key', to: 'env:ACME_LLM' },
        { path: 'max_qps', from: 100, to: 98765 },
      ],
    });
    const [latest] = await config.history(at(life));
    expect(latest).toMatchObject({ version: 2, author: 'ann', reason: 'more traffic', value: written.value });
    expect(Math.abs(Date.now() - Date.parse(latest!.createdAt))).toBeLessThan(60_000);

    const [row] = await listAudit(pool, { tenant: life.tenant, limit: 1 });
    expect(row).toMatchObject({
      principal: 'ann',
      verb: 'configure',
      outcome: 'completed',
      reason: 'more traffic',
    });
    expect(row!.detail).toEqual({
      config: 'system/system/system_config',
      version: 2,
      fields: ['llm_api_key', 'max_qps'],
    });
    // As a number of its own: any digits may be within an id or a time.
    expect(JSON.stringify(row)).not.toMatch(/\b98765\b|ACME_LLM/);
    expect(await verifyAudit(pool)).not.toHaveProperty('brokenAt');
  });

  it('of 20 at once with the same expected version exactly one wins, the others are told which version is there', async () => {
    const life = await configured();
    const ends = await atOnce(20, (i) => set(life, { max_qps: `${i + 1}` }, { expectVersion: 1 }));

    const won = ends.filter((end) => !(end instanceof Error));
    expect(won).toHaveLength(1);
    expect(ends.filter((end) => end instanceof Error)).toEqual(
      Array(19).fill(failure('Conflict', /is at version 2, not 1$/)),
    );
    expect((await config.get(at(life))).value).toEqual((won[0] as { value: unknown }).value);
    expect(await listAudit(pool, { tenant: life.tenant, limit: 100 })).toHaveLength(1);
  });

  it('of 20 identical ones with the same expected version exactly one wins too', async () => {
    const life = await configured();
    const ends = await atOnce(20, () => set(life, { max_qps: '5' }, { expectVersion: 1 }));
    expect(ends.filter((end) => end instanceof Error)).toEqual(Array(19).fill(failure('Conflict')));
  });

  it('of 20 at once without one all land as versions of their own, none lost, none over another’s field', async () => {
    const life = await configured();
    const fields = ['max_qps', 'cache_ttl', 'vespa_config_port'];
    const ends = await atOnce(20, (i) => set(life, { [fields[i % 3]!]: `${i + 1000}` }, { reason: `w${i}` }));

    const written = ends as Awaited<ReturnType<typeof set>>[];
    expect(written.map(({ version }) => version).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 2),
    );
    const history = await config.history(at(life));
    expect(history.map(({ reason }) => reason).toSorted()).toEqual(
      [...Array.from({ length: 20 }, (_, i) => `w${i}`), 'template enterprise'].toSorted(),
    );
    // Each version is the one before it with one field changed.
    for (const [i, { version }] of history.slice(0, -1).entries())
      expect((await config.diff(at(life), history[i + 1]!.version, version)).changes).toHaveLength(1);
    expect(await listAudit(pool, { tenant: life.tenant, limit: 100 })).toHaveLength(20);
  });

  it('leaves no version and no audit row when a field is refused', async () => {
    const life = await configured();
    await expect(set(life, { max_qps: '7', cache_ttl: 'long', nonsense: '1' })).rejects.toEqual(
      failure('InvalidInput', /nonsense is no field; cache_ttl is a whole number/),
    );
    expect((await config.get(at(life))).version).toBe(1);
    expect(await listAudit(pool, { tenant: life.tenant, limit: 10 })).toEqual([]);
  });

  it('takes the installation’s own servers by their host and port, and others only from the allow-list', async () => {
    const life = await configured();
    await set(life, { vespa_url: settings.vespaUrl });
    await expect(set(life, { vespa_url: 'http://127.0.0.1:1' })).rejects.toEqual(
      failure('InvalidInput', /loopback/),
    );
    const allowing = loadSettings({
      ...settingsEnv(),
      CVOPS_ALLOWED_PRIVATE_HOSTS: '10.1.0.0/16, ollama:11434',
    });
    const other = new ConfigClient(asked(allowing));
    const edits = {
      set: { vespa_url: 'http://10.1.2.3:8080', llm_base_url: 'http://ollama:11434/v1' },
      unset: [],
    };
    const { version } = await other.write({
      at: at(life),
      what: { kind: 'edits', edits },
      reason: '',
      dryRun: false,
    });
    expect(version).toBe(3);
  });

  it('never touches another tenant, though its writers run at the same time', async () => {
    const [mine, theirs] = [await configured(), await configured()];
    const before = await currentConfig(pool, theirs.incarnation);
    await atOnce(10, (i) => set(mine, { max_qps: `${i + 1}` }));
    await rollback(mine, 1);
    await expect(set(mine, { phoenix_project_name: `${theirs.tenant}_project` })).rejects.toEqual(
      failure('InvalidInput', /^phoenix_project_name stays/),
    );
    expect(await currentConfig(pool, theirs.incarnation)).toEqual(before);
    expect(await listAudit(pool, { tenant: theirs.tenant, limit: 10 })).toEqual([]);
  });

  it('is refused in every state but active; reading goes on until the tenant is purged', async () => {
    const life = await configured();
    const purgeAt = new Date(Date.now() + 86_400_000);
    for (const [from, to, date] of [
      ['active', 'inactive', purgeAt],
      ['inactive', 'purging', undefined],
    ] as const) {
      await setTenantState(pool, life.incarnation, [from], to, date);
      await expect(set(life, { max_qps: '1' })).rejects.toEqual(failure('WrongState'));
      await expect(rollback(life, 1)).rejects.toEqual(failure('WrongState'));
      expect((await config.get(at(life))).version).toBe(1);
    }
    await setTenantState(pool, life.incarnation, ['purging'], 'purged');
    await expect(config.get(at(life))).rejects.toEqual(failure('WrongState'));
    await expect(config.history(at(life))).rejects.toEqual(failure('WrongState'));
  });

  it('cannot slip into a life that is being purged: the change of state waits for it, or it for the change', async () => {
    for (let round = 0; round < 20; round++) {
      const life = await configured();
      const purge = async () => {
        await transaction(pool, async (tx) => {
          await setTenantState(tx, life.incarnation, ['active'], 'purging');
        });
        await deleteConfig(pool, life.incarnation);
      };
      await Promise.all([
        purge(),
        ...[1, 2, 3].map((n) => set(life, { max_qps: `${n}` }).catch(() => undefined)),
      ]);
      expect(await currentConfig(pool, life.incarnation)).toEqual([]);
    }
  });

  it('does nothing at all in a dry run', async () => {
    const life = await configured();
    const request = { at: at(life), what: { kind: 'value', value: {} }, reason: '', dryRun: true } as const;
    await expect(config.write(request)).rejects.toEqual(failure('InvalidInput', /llm_model is missing/));
    const { value } = await config.get(at(life));
    const planned = await config.write({
      ...request,
      what: { kind: 'value', value: { ...value, max_qps: 3 } },
    });
    expect(planned).toMatchObject({ from: 1, version: 2, changes: [{ path: 'max_qps', from: 100, to: 3 }] });
    expect((await config.get(at(life))).version).toBe(1);
    expect(await listAudit(pool, { tenant: life.tenant, limit: 10 })).toEqual([]);
  });
});

describe('history, diff and rollback', () => {
  it('keeps 1,000 versions, all of them given back, in pages too', async () => {
    const life = await configured();
    const where = { ...at(life), incarnation: life.incarnation };
    const { value } = await config.get(at(life));
    await transaction(pool, async (tx) => {
      for (let n = 1; n < 1000; n++)
        await putConfig(tx, where, n, { value: { ...value, max_qps: n }, author: 'ann', reason: `${n}` });
    });
    const all = await config.history(at(life));
    expect(all.map(({ version }) => version)).toEqual(Array.from({ length: 1000 }, (_, i) => 1000 - i));
    expect(all.map((v) => v.value['max_qps'])).toEqual([
      ...Array.from({ length: 999 }, (_, i) => 999 - i),
      100,
    ]);

    const page = await config.history(at(life), { limit: 3, before: 501 });
    expect(page.map(({ version }) => version)).toEqual([500, 499, 498]);
    expect((await set(life, { max_qps: '5' })).version).toBe(1001);
    expect((await rollback(life, 1)).value).toEqual(value);
  });

  it('rolls back to any version by a new one; the versions between stay', async () => {
    const life = await configured();
    await set(life, { max_qps: '20', cache_ttl: '60' });
    await set(life, { llm_model: 'other' });
    const back = await rollback(life, 2, 'the model was worse');

    expect(back).toMatchObject({
      from: 3,
      version: 4,
      changes: [{ path: 'llm_model', from: 'other', to: 'gpt-4' }],
    });
    expect(await config.diff(at(life), 2, 4)).toEqual({ from: 2, to: 4, changes: [] });
    const history = await config.history(at(life));
    expect(history.map(({ version, reason }) => [version, reason])).toEqual([
      [4, 'rollback to 2: the model was worse'],
      [3, ''],
      [2, ''],
      [1, 'template enterprise'],
    ]);
    const [row] = await listAudit(pool, { tenant: life.tenant, limit: 1 });
    expect(row).toMatchObject({
      verb: 'rollbackConfig',
      detail: { version: 4, to: 2, fields: ['llm_model'] },
    });
    await expect(rollback(life, 9)).rejects.toEqual(failure('NotFound', /has no version 9$/));
  });

  it('refuses by name to roll back to what today’s rules refuse', async () => {
    const life = await configured();
    const { value } = await config.get(at(life));
    const former = { ...value, vespa_url: 'http://169.254.169.254', max_qps: 0 };
    const where = { ...at(life), incarnation: life.incarnation };
    await putConfig(pool, where, 1, { value: former, author: 'old', reason: '' });
    await putConfig(pool, where, 2, { value, author: 'old', reason: '' });

    await expect(rollback(life, 2)).rejects.toEqual(
      failure(
        'InvalidInput',
        /^version 2 does not fit today's rules: vespa_url is refused.*; max_qps is a whole/,
      ),
    );
    expect((await config.get(at(life))).version).toBe(3);
  });

  it('compares any two versions, the last two when none are named', async () => {
    const life = await configured();
    await expect(config.diff(at(life))).rejects.toEqual(failure('InvalidInput'));
    await set(life, { max_qps: '20' });
    await set(life, { max_qps: '30' });
    expect(await config.diff(at(life))).toEqual({
      from: 2,
      to: 3,
      changes: [{ path: 'max_qps', from: 20, to: 30 }],
    });
    expect((await config.diff(at(life), 1)).changes).toEqual([{ path: 'max_qps', from: 100, to: 30 }]);
    expect((await config.diff(at(life), 3, 1)).changes).toEqual([{ path: 'max_qps', from: 30, to: 100 }]);
    await expect(config.diff(at(life), 1, 9)).rejects.toEqual(failure('NotFound'));
  });

  it('says what there is when asked for what there is not', async () => {
    const life = await configured();
    await expect(config.get({ ...at(life), scope: 'agent', key: 'agent_config' })).rejects.toMatchObject({
      type: 'NotFound',
      hint: 'it has: routing/gateway_agent/routing_config, system/system/system_config',
    });
    await expect(config.get(at(life), 2)).rejects.toEqual(failure('NotFound', /has no version 2$/));
    await expect(config.get({ ...at(life), tenant: parseTenantId('nobody') })).rejects.toEqual(
      failure('NotFound'),
    );
    await expect(config.get({ ...at(life), scope: 'nonsense' as 'system' })).rejects.toEqual(
      failure('InvalidInput', /at\.scope/),
    );
  });

  it('belongs to one life: a tenant made anew has none of the former one’s', async () => {
    const former = await configured();
    await set(former, { max_qps: '1' });
    await setTenantState(pool, former.incarnation, ['active'], 'purging');
    await setTenantState(pool, former.incarnation, ['purging'], 'purged');
    const anew = await makeTenant(pool, former.tenant);
    expect((await findTenant(pool, anew.tenant))!.incarnation).toBe(anew.incarnation);
    await expect(config.get(at(anew))).rejects.toEqual(failure('NotFound'));
  });

  it('retries no stale write: edits made from a version that others changed are made from the new one', async () => {
    const life = await configured();
    const write = (n: number) =>
      writeConfig(pool, {
        at: at(life, ROUTING_CONFIG),
        what: { kind: 'edits', edits: { set: { 'confidence_thresholds.llm': `0.${n}` }, unset: [] } },
        principal: `w${n}`,
        reason: '',
        allowedPrivate: [],
      });
    const routing = await Promise.all([1, 2, 3].map(write));
    expect(routing.map((w) => w.version).toSorted()).toEqual([2, 3, 4]);
    for (const w of routing) expect(w.changes.map(({ path: p }) => p)).toEqual(['confidence_thresholds.llm']);
  });
});

describe('templates', () => {
  it('are added from a base, changed, listed, and removed, each in the audit log without values', async () => {
    const made = await templates.set(
      { name: 'gold', from: 'startup', overrides: { max_qps: '98765' } },
      'for the big ones',
    );
    expect(made).toMatchObject({
      name: 'gold',
      builtIn: false,
      values: { ...TEMPLATES['startup'], max_qps: 98765 },
      author: 'ann',
      reason: 'for the big ones',
    });
    await templates.set({ name: 'gold', overrides: { cache_ttl: '7' } }, '');
    expect((await templates.show('gold')).values).toEqual({
      ...TEMPLATES['startup'],
      max_qps: 98765,
      cache_ttl: 7,
    });
    expect((await templates.list()).map(({ name }) => name)).toEqual([
      'enterprise',
      'startup',
      'trial',
      'gold',
    ]);

    await templates.remove('gold', 'not sold any more');
    await expect(templates.show('gold')).rejects.toEqual(failure('NotFound'));
    await expect(templates.remove('gold', '')).rejects.toEqual(failure('NotFound'));
    const rows = (await listAudit(pool, { limit: 3 })).toReversed();
    expect(rows).toMatchObject([
      {
        verb: 'setTemplate',
        tenant: '-',
        detail: { template: 'gold', from: 'startup', fields: ['max_qps'] },
      },
      { verb: 'setTemplate', tenant: '-', detail: { template: 'gold', from: 'gold', fields: ['cache_ttl'] } },
      { verb: 'removeTemplate', tenant: '-', reason: 'not sold any more', detail: { template: 'gold' } },
    ]);
    expect(JSON.stringify(rows)).not.toMatch(/\b98765\b/);
    expect(await verifyAudit(pool)).not.toHaveProperty('brokenAt');
  });

  it('lose none of 10 edits made at once', async () => {
    const edits = ['max_qps', 'cache_ttl'].flatMap((key) => [1, 2, 3, 4, 5].map((n) => ({ [key]: `${n}` })));
    const ends = await atOnce(10, (i) => templates.set({ name: 'busy', overrides: edits[i]! }, ''));
    expect(ends.filter((end) => end instanceof Error)).toEqual([]);
    const { values } = await templates.show('busy');
    expect([values.max_qps, values.cache_ttl].every((n) => n >= 1 && n <= 5)).toBe(true);
    await templates.remove('busy', '');
  });

  it.each(Object.keys(TEMPLATES))(
    'the built-in %s can be neither replaced nor removed, nor by SQL',
    async (name) => {
      await expect(templates.set({ name, overrides: {} }, '')).rejects.toEqual(
        failure('InvalidInput', /built in/),
      );
      await expect(templates.remove(name, '')).rejects.toEqual(failure('InvalidInput', /built in/));
      await expect(
        pool.query(
          `insert into tenant_templates (name, "values", author, reason) values ($1, '{}', 'x', '')`,
          [name],
        ),
      ).rejects.toThrow(/tenant_templates_not_built_in/);
    },
  );

  it.each([
    [{ name: 'Bad Name', overrides: {} }, /not a template name/],
    [{ name: 'fine', overrides: { max_qsp: '1' } }, /no such setting: max_qsp/],
    [{ name: 'fine', overrides: { max_qps: '0' } }, /^max_qps is a whole number/],
    [{ name: 'fine', from: 'nothing', overrides: {} }, /no such template: "nothing"/],
    [{ name: 'fine', from: '__proto__', overrides: {} }, /no such template/],
    [{ name: 'fine', from: 'a\0b', overrides: {} }, /no such template/],
  ])('refuses %j', async (template, message) => {
    await expect(templates.set(template, '')).rejects.toEqual(failure('InvalidInput', message));
    await expect(templates.show('fine')).rejects.toEqual(failure('NotFound'));
  });
});

const settingsEnv = () => ({ CVOPS_HOME: folder, DATABASE_URL: registry.url, CVOPS_TOKEN: token });

/** The real command, which needs nothing but the registry here. */
async function cvops(...args: string[]): Promise<CommandResult> {
  const child = spawn(process.execPath, [path.join(projectRoot, 'bin', 'cvops.js'), ...args], {
    env: { PATH: process.env['PATH'], NO_COLOR: '1', ...settingsEnv() },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}
async function json(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await cvops(...args, '-o', 'json');
  if (code !== 0) throw new Error(`cvops ${args.join(' ')} ended with ${code}:\n${stderr}`);
  return JSON.parse(stdout);
}

describe('cvops config', () => {
  it('gets, sets, compares, rolls back and lists, with one JSON document each', async () => {
    const life = await configured();
    const id = life.tenant;
    const place = { tenant: id, scope: 'system', service: 'system', key: 'system_config' };
    expect(await json('config', 'get', id)).toMatchObject({ ...place, version: 1, value: { max_qps: 100 } });

    const args = ['config', 'set', id, '--set', 'max_qps=20', '--set', 'cache_ttl=60'];
    expect(await json(...args, '--dry-run')).toMatchObject({ dryRun: true, version: 2, changes: [{}, {}] });
    expect(await json(...args, '--expect-version', '1', '--reason', 'calm down')).toMatchObject({
      ...place,
      version: 2,
      value: { max_qps: 20, cache_ttl: 60 },
    });
    expect(await json('config', 'diff', id)).toMatchObject({
      from: 1,
      to: 2,
      changes: [
        { path: 'cache_ttl', from: 3600, to: 60 },
        { path: 'max_qps', from: 100, to: 20 },
      ],
    });
    expect(await json('config', 'rollback', id, '--version', '1', '--reason', 'too calm')).toMatchObject({
      ...place,
      version: 3,
      value: { max_qps: 100, cache_ttl: 3600 },
    });
    expect(await json('config', 'history', id)).toMatchObject({
      versions: [
        { version: 3, author: 'ann', reason: 'rollback to 1: too calm' },
        { version: 2, author: 'ann', reason: 'calm down' },
        { version: 1, author: 'creator' },
      ],
    });
    expect(await json('config', 'get', id, '--version', '2')).toMatchObject({
      version: 2,
      value: { max_qps: 20 },
    });
    const { stdout } = await cvops('config', 'history', id, '--limit', '1');
    expect(stdout).toMatch(/^VERSION +AUTHOR +AT +REASON +\n3 +ann .*rollback to 1: too calm\s*$/);
  });

  it('reaches the routing by --routing or its coordinates, and takes a whole value from JSON or a file', async () => {
    const { tenant: id } = await configured();
    const shown = (await json('config', 'get', id, '--routing')) as { value: Record<string, unknown> };
    const file = path.join(folder, 'routing.json');
    await writeFile(file, JSON.stringify({ ...shown.value, routing_mode: 'tiered' }));
    const long = ['--scope', 'routing', '--service', 'gateway_agent', '--key', 'routing_config'];
    expect(await json('config', 'set', id, ...long, '--json', `@${file}`)).toMatchObject({
      version: 2,
      changes: [{ path: 'routing_mode', from: 'ensemble', to: 'tiered' }],
    });
    expect(
      await json(
        'config',
        'set',
        id,
        '--routing',
        '--set',
        'strategies=llm',
        '--unset',
        'confidence_thresholds.gliner',
      ),
    ).toMatchObject({
      value: { strategies: ['llm'], confidence_thresholds: { llm: 0.6, langextract: 0.5 } },
    });
    expect(await json('config', 'get', id)).toMatchObject({ version: 1 });
  });

  it('ends with the exit code of the failure, its JSON on stderr, and never repeats a secret', async () => {
    const { tenant: id } = await configured();
    const secret = 'sk-4f9a8b7c6d5e';
    const bad = path.join(folder, 'bad.json');
    await writeFile(bad, `{"llm_api_key": ${secret}}`);
    for (const [code, type, ...args] of [
      [2, 'InvalidInput', 'set', id, '--set', `llm_api_key=${secret}`],
      [2, 'InvalidInput', 'set', id, '--set', secret],
      [2, 'InvalidInput', 'set', id, '--json', secret],
      [2, 'InvalidInput', 'set', id, '--json', `@${bad}`],
      [2, 'InvalidInput', 'set', id, '--json', `@${bad}.none`],
      [2, 'InvalidInput', 'set', id, '--json', '{}', '--set', 'max_qps=1'],
      [2, 'InvalidInput', 'set', id],
      [2, 'InvalidInput', 'set', id, '--set', 'vespa_url=http://0xa9fea9fe/'],
      [2, 'InvalidInput', 'set', id, '--scope', 'agent', '--set', 'max_qps=1'],
      [2, 'InvalidInput', 'set', 'Bad', '--set', 'max_qps=1'],
      [2, 'InvalidInput', 'rollback', id],
      [5, 'NotFound', 'rollback', id, '--version', '8'],
      [5, 'NotFound', 'get', 'nobody'],
      [5, 'NotFound', 'get', id, '--version', '8'],
      [6, 'Conflict', 'set', id, '--set', 'max_qps=1', '--expect-version', '8'],
    ] as const) {
      const result = await cvops('config', ...args, '-o', 'json');
      expect({ args, code: result.code, type: errorOf(result).code }).toEqual({ args, code, type });
      expect(result.stdout).toBe('');
      expect(result.stderr).not.toContain(secret);
    }
    expect(await json('config', 'get', id)).toMatchObject({ version: 1 });
  });
});

describe('cvops template', () => {
  it('adds, shows, lists and removes; off a terminal removal must be confirmed', async () => {
    expect(
      await json('template', 'set', 'silver', '--from', 'trial', '--set', 'max_qps=8', '--dry-run'),
    ).toMatchObject({
      dryRun: true,
      values: { max_qps: 8, cache_ttl: 600 },
    });
    expect((await cvops('template', 'show', 'silver', '-o', 'json')).code).toBe(5);
    await json('template', 'set', 'silver', '--from', 'trial', '--set', 'max_qps=8', '--reason', 'cheap');
    expect(await json('template', 'show', 'silver')).toMatchObject({
      name: 'silver',
      builtIn: false,
      values: { max_qps: 8 },
      author: 'ann',
      reason: 'cheap',
    });
    expect(await json('template', 'list')).toMatchObject({
      templates: [{ name: 'enterprise', builtIn: true }, {}, {}, { name: 'silver' }],
    });
    // What a creation would be given.
    const plan = [
      'tenant',
      'create',
      'from_silver',
      '--template',
      'silver',
      '--set',
      'cache_ttl=9',
      '--dry-run',
    ];
    expect(await json(...plan)).toMatchObject({ template: 'silver', config: { max_qps: 8, cache_ttl: 9 } });

    for (const confirm of [[], ['--confirm=gold']]) {
      const refused = await cvops('template', 'remove', 'silver', ...confirm, '-o', 'json');
      expect(refused.code).toBe(2);
      expect(errorOf(refused)).toMatchObject({ code: 'InvalidInput' });
    }
    expect(await json('template', 'remove', 'silver', '--confirm=silver')).toEqual({
      name: 'silver',
      removed: true,
    });
    expect(errorOf(await cvops(...plan, '-o', 'json'))).toEqual({
      code: 'InvalidInput',
      message: 'no such template: "silver"',
      hint: 'templates: enterprise, startup, trial',
    });
  });
});

describe('on the whole stack', () => {
  it('a tenant made from an own template has its values, and can be configured at once', async () => {
    const [name, id] = [freshTenant('plan'), freshTenant('planned')];
    await cvopsJson(['template', 'set', name, '--from', 'trial', '--set', 'max_qps=33']);
    const profile = ['--profiles', 'video_colpali_smol500_mv_frame'];
    await cvopsJson(['tenant', 'create', id, '--template', name, '--set', 'cache_ttl=44', ...profile]);
    // What becomes of the template is nothing to the tenant.
    await cvopsJson(['template', 'remove', name, `--confirm=${name}`]);

    expect(await cvopsJson(['config', 'get', id])).toMatchObject({
      version: 1,
      value: { max_qps: 33, cache_ttl: 44, memory_enabled: false, phoenix_project_name: `${id}_project` },
    });
    // The creation's own URLs pass the guard: the value is checked as a whole.
    expect(await cvopsJson(['config', 'set', id, '--set', 'max_qps=34'])).toMatchObject({ version: 2 });
    expect(await cvopsJson(['config', 'set', id, '--routing', '--set', 'routing_mode=tiered'])).toMatchObject(
      {
        version: 2,
      },
    );
    expect(await cvopsJson(['config', 'rollback', id, '--version', '1'])).toMatchObject({
      value: { max_qps: 33 },
    });
  });
});
