import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Connection } from '@temporalio/client';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { identify, isRunning } from '../../src/embedded/processes.js';
import { plannedPostgresUrls } from '../../src/embedded/postgres.js';
import { readRecords, supervisorOf } from '../../src/embedded/records.js';
import { type Stack, startStack } from '../../src/embedded/stack.js';
import type { ServiceStatus } from '../../src/embedded/status.js';
import { projectRoot } from '../../src/projectRoot.js';
import { loadSettings } from '../../src/settings.js';
import { startTestPostgres } from '../support/postgres.js';
import { PrivateHome } from '../support/stack.js';

const NAMES = [
  'temporal',
  'temporal-ui',
  'postgres',
  'phoenix',
  'vespa',
  'vespa-config',
  'worker-control',
  'worker-data',
];

let home: PrivateHome;
let offset: string[];
beforeAll(async () => {
  home = await PrivateHome.make();
  offset = ['--port-offset', String(home.portOffset)];
});
afterAll(() => home.remove());

/** Of a command's stdout, which must be exactly one JSON document. */
function services(stdout: string): ServiceStatus[] {
  return (JSON.parse(stdout) as { services: ServiceStatus[] }).services;
}
const statesOf = (list: ServiceStatus[]) => Object.fromEntries(list.map(({ name, state }) => [name, state]));
const all = (state: string) => Object.fromEntries(NAMES.map((name) => [name, state]));
const status = async () => services((await home.run(['status', '-o', 'json'])).stdout);
const pids = () =>
  Object.fromEntries(
    Object.entries(readRecords(home.home)).map(([name, { identity }]) => [name, identity.pid]),
  );
const settings = () => loadSettings({ CVOPS_HOME: home.home });

/** As the owner of the tables, which the application is not. */
async function query(sql: string): Promise<unknown[]> {
  const port = Number(new URL(settings().databaseUrl).port);
  const { owner } = await plannedPostgresUrls(path.join(home.home, 'postgres'), port);
  const client = new pg.Client(owner);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('cvops up, status, down', () => {
  test('down and status where nothing was ever started: all stopped, no error', async () => {
    for (const args of [['status'], ['down']]) {
      const { code, stdout } = await home.run([...args, '-o', 'json']);
      expect(code).toBe(0);
      expect(services(stdout).map(({ name }) => name)).toEqual(NAMES);
    }
  });

  test('up, twice at the same moment: one stack, every service with its address, version and log file', async () => {
    const up = () => home.run(['up', '--detach', '-o', 'json', ...offset]);
    const [first, second] = await Promise.all([up(), up()]);
    expect([first.code, second.code]).toEqual([0, 0]);
    expect(statesOf(services(second.stdout))).toEqual(all('running'));
    const { stdout, stderr } = first;
    const list = services(stdout);
    expect(statesOf(list)).toEqual(all('running'));
    for (const { address } of list) expect(new URL(address).hostname).toBe('127.0.0.1');
    const versions = Object.fromEntries(list.map(({ name, version }) => [name, version]));
    expect(versions).toMatchObject({
      temporal: expect.stringMatching(/^1\.\d+\.\d+/),
      postgres: expect.stringMatching(/^18\./),
      phoenix: '20.26.1',
      vespa: expect.stringContaining('emulator'),
      'vespa-config': expect.stringContaining('emulator'),
    });
    expect(stdout + stderr + second.stdout + second.stderr).not.toContain(
      new URL(settings().databaseUrl).password,
    );
    for (const name of ['postgres', 'temporal', 'phoenix', 'vespa', 'worker-control', 'worker-data'])
      expect(existsSync(path.join(home.home, 'logs', `${name}.log`))).toBe(true);
  });

  test.each([
    ['the Temporal UI', () => settings().temporalUiUrl],
    ['Phoenix', () => settings().phoenixUrl],
  ])('%s serves its page', async (_, url) => {
    const answer = await fetch(url());
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^text\/html/);
    expect(await answer.text()).toMatch(/<script/);
  });

  test('Temporal has our search attributes and remembers closed workflows for 90 days', async () => {
    const connection = await Connection.connect({ address: settings().temporalAddress });
    const { customAttributes } = await connection.operatorService.listSearchAttributes({
      namespace: 'default',
    });
    const keyword = 2;
    expect(customAttributes).toMatchObject({
      TenantId: keyword,
      OperationKind: keyword,
      OperationState: keyword,
    });
    const { config } = await connection.workflowService.describeNamespace({ namespace: 'default' });
    expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(90 * 24 * 3600);
    await connection.close();
  });

  test('the registry is migrated, Phoenix keeps its tables in a schema of its own', async () => {
    const tables = (schema: string) =>
      query(
        `select 1 from information_schema.tables where table_schema = '${schema}' and table_name in ('tenants', 'spans')`,
      );
    expect(await tables('public')).toHaveLength(1);
    expect(await tables('phoenix')).toHaveLength(1);
    await query('create table kept as select 7 as n');
  });

  test.runIf(process.platform === 'linux')('nothing listens on another address than loopback', () => {
    const open = Object.values(pids()).flatMap((pid) => listenAddresses(pid));
    // postgres, two of the emulator, two of Phoenix, at least two of Temporal
    expect(open.length).toBeGreaterThanOrEqual(7);
    expect(open.filter((address) => !LOOPBACK.includes(address))).toEqual([]);
  });

  test('up again: says that it runs, changes nothing', async () => {
    const before = pids();
    for (const args of [['up'], ['up', '--detach']]) {
      const { code, stdout, stderr } = await home.run([...args, '-o', 'table', ...offset]);
      expect(code).toBe(0);
      expect(stderr).toContain('the embedded stack runs already');
      expect(stdout.match(/ running /g)).toHaveLength(NAMES.length);
    }
    expect(pids()).toEqual(before);
  });

  test('services killed with SIGKILL are started again by themselves, the others are left alone', async () => {
    const before = pids();
    for (const name of ['worker-data', 'vespa', 'temporal']) process.kill(before[name]!, 'SIGKILL');
    await expect.poll(() => pids()['vespa'], { timeout: 30_000 }).not.toBe(before['vespa']);
    // What is missing is started; the command returns when it answers.
    const { code, stdout } = await home.run(['up', '-o', 'json']);
    expect(code).toBe(0);
    expect(statesOf(services(stdout))).toEqual(all('running'));
    const after = pids();
    expect(
      Object.keys(before)
        .filter((name) => before[name] !== after[name])
        .toSorted(),
    ).toEqual(['temporal', 'vespa', 'worker-data']);
  });

  test('another home on the same ports: exit 1 naming service, port and flag; this one is not touched', async () => {
    const other = await PrivateHome.make();
    try {
      const before = pids();
      const { code, stdout, stderr } = await other.run(['up', '-o', 'json', ...offset]);
      expect(code).toBe(1);
      expect(stdout).toBe('');
      const { error } = JSON.parse(stderr.trim().split('\n').at(-1)!) as {
        error: { message: string; hint: string };
      };
      expect(error.message).toMatch(
        `port ${5433 + home.portOffset} for postgres is in use by process ${before['postgres']} `,
      );
      expect(error.hint).toMatch(/--port postgres=\d+/);
      expect(statesOf(await status())).toEqual(all('running'));
      expect(pids()).toEqual(before);
      expect(supervisorOf(other.home)).toBeUndefined();
    } finally {
      await other.remove();
    }
  });

  test('a supervisor killed with SIGKILL: its services are seen, the next up replaces them and keeps the data', async () => {
    const left = Object.values(readRecords(home.home)).map(({ identity }) => identity);
    process.kill(supervisorOf(home.home)!.pid, 'SIGKILL');
    await expect.poll(() => supervisorOf(home.home)).toBeUndefined();
    expect(statesOf(await status())).toEqual(all('running'));

    const up = home.start(['up', ...offset]);
    await expect.poll(() => up.output.stderr, { timeout: 120_000 }).toContain('all up; Ctrl-C ends it');
    expect(up.output.stderr).toContain('ending postgres, left behind by a stack that was killed');
    expect(left.filter(isRunning)).toEqual([]);
    expect(await query('select n from kept')).toEqual([{ n: 7 }]);
    expect(statesOf(await status())).toEqual(all('running'));

    // In the foreground: Ctrl-C ends all, each before what it needs.
    const running = Object.values(readRecords(home.home)).map(({ identity }) => identity);
    up.child.kill('SIGINT');
    const { code, stderr } = await up.finished;
    expect(code).toBe(0);
    expect(running.filter(isRunning)).toEqual([]);
    const order = [...stderr.matchAll(/^stopping (\S+)$/gm)].map(([, name]) => name);
    expect(order.slice(0, 3)).toContain('worker-data');
    expect(order.at(-1)).toBe('postgres');
    expect(readdirSync(home.home).filter((name) => name.endsWith('.json'))).toEqual([]);
  });

  test('down ends a detached stack; --wipe asks first, then removes the state and keeps the programs', async () => {
    // Without a Phoenix of its own, whose start is most of a stack's.
    await home.run(['up', '--detach', ...offset], { PHOENIX_URL: inject('stack').addresses.phoenixUrl });
    const running = Object.values(readRecords(home.home)).map(({ identity }) => identity);
    expect(running).toHaveLength(5);

    const refused = await home.run(['down', '--wipe', '-o', 'json']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('--yes');
    expect(running.filter(isRunning)).toEqual(running);

    const { code, stdout } = await home.run(['down', '--wipe', '--yes', '-o', 'json']);
    expect(code).toBe(0);
    expect(services(stdout).map(({ name }) => name)).toEqual(NAMES);
    expect(running.filter(isRunning)).toEqual([]);
    for (const name of ['postgres', 'vespa', 'phoenix', 'temporal.db', 'logs'])
      expect(existsSync(path.join(home.home, name))).toBe(false);
  });
});

describe('startStack', () => {
  let own: PrivateHome;
  let stack: Stack | undefined;
  beforeAll(async () => void (own = await PrivateHome.make()));
  afterAll(async () => {
    await stack?.stop();
    await own.remove();
  });

  test('starts the services that are named; kill, restart and stop do what they say', async () => {
    const options = { home: own.home, portOffset: own.portOffset, services: ['vespa'], env: {} } as const;
    stack = await startStack(options);
    expect([...stack.states]).toEqual([['vespa', 'running']]);
    await expect(startStack(options)).rejects.toMatchObject({ type: 'Conflict' });

    const first = stack.pid('vespa');
    await stack.restart('vespa');
    const second = stack.pid('vespa');
    expect(second).not.toBe(first);
    stack.kill('vespa', 'SIGKILL');
    await expect.poll(() => stack!.pid('vespa')).not.toBe(second);
    await stack.ready('vespa');
    expect((await fetch(`${stack.addresses.vespaConfigUrl}/state/v1/health`)).status).toBe(200);

    await stack.stop();
    await stack.stop();
    await expect(fetch(stack.addresses.vespaConfigUrl)).rejects.toThrow();
  });

  test.each([
    ['a signal it does not handle', 130, `process.kill(process.pid, 'SIGINT')`],
    ['process.exit', 3, 'process.exit(3)'],
    ['an error nobody catches', 1, `throw new Error('bug')`],
  ])('in a program that ends by %s leaves no service behind', async (_, exitCode, ending) => {
    const module = pathToFileURL(path.join(projectRoot, 'dist', 'src', 'embedded', 'stack.js')).href;
    const script = `
      const { startStack } = await import(${JSON.stringify(module)});
      const options = ${JSON.stringify({ home: own.home, portOffset: own.portOffset, services: ['vespa'], env: {} })};
      const stack = await startStack(options);
      console.log(stack.pid('vespa'));
      setTimeout(() => { ${ending} }, 10);
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [pid] = (await once(child.stdout, 'data')) as [Buffer];
    const service = identify(Number(pid.toString()))!;
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(exitCode);
    await expect.poll(() => isRunning(service)).toBe(false);
  });

  test('uses an external Postgres: checked and migrated, not started', async () => {
    const postgres = await startTestPostgres();
    try {
      stack = await startStack({
        home: own.home,
        portOffset: own.portOffset,
        services: ['postgres'],
        env: { DATABASE_URL: postgres.url },
      });
      expect(stack.states.get('postgres')).toBe('external');
      expect(stack.addresses.databaseUrl).toBe(postgres.url);
      expect(readRecords(own.home)).toEqual({});
      const client = new pg.Client(postgres.url);
      await client.connect();
      expect((await client.query('select count(*) > 0 as migrated from migrations')).rows).toEqual([
        { migrated: true },
      ]);
      await client.end();
      await stack.stop();
    } finally {
      await postgres.stop();
    }
  });

  test('an external service that does not answer is named, and nothing is left running', async () => {
    await expect(
      startStack({
        home: own.home,
        portOffset: own.portOffset,
        services: ['vespa', 'postgres'],
        env: { DATABASE_URL: 'postgresql://nobody@127.0.0.1:9/nothing' },
      }),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/postgres is external and does not answer: .*ECONNREFUSED/),
    });
    expect(supervisorOf(own.home)).toBeUndefined();
    expect(existsSync(path.join(own.home, 'processes.json'))).toBe(false);
  });
});

/** As /proc prints them: IPv4 in one little-endian word, IPv6 in four. */
const LOOPBACK = ['0100007F', '0000000000000000FFFF00000100007F', '00000000000000000000000001000000'];

function listenAddresses(pid: number): string[] {
  const sockets = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/net/${table}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[3] === '0A' && sockets.includes(`socket:[${columns[9]}]`))
      .map((columns) => columns[1]!.split(':')[0]!),
  );
}
