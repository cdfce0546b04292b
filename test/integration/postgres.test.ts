import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { maintenanceUrl, postgresVersion, preparePostgres } from '../../src/embedded/postgres.js';
import {
  type ProcessIdentity,
  endProcess,
  identify,
  isRunning,
  startProcess,
} from '../../src/embedded/processes.js';
import { type TestPostgres, freePort, startTestPostgres } from '../support/postgres.js';

describe('a test PostgreSQL', () => {
  let server: TestPostgres | undefined;
  afterEach(() => server?.stop());

  it('is version 18 in UTF-8 with the schema phoenix, asks for the password, and is gone after stop', async () => {
    server = await startTestPostgres();
    const client = new pg.Client(server.url);
    await client.connect();
    const { rows } = await client.query<Record<string, string>>(
      `select current_setting('server_version_num')::int / 10000 as major, current_setting('server_encoding') as encoding,
              current_database() as database, upper('é ж') as upper,
              (select nspname from pg_namespace where nspname = 'phoenix') as schema`,
    );
    await client.end();
    expect(rows).toEqual([
      { major: 18, encoding: 'UTF8', database: 'cvops', upper: 'É Ж', schema: 'phoenix' },
    ]);

    const url = new URL(server.url);
    url.password = 'wrong';
    await expect(postgresVersion(url.href)).rejects.toThrow(/password authentication failed/);
    await server.stop();
    await expect(postgresVersion(server.url)).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe('preparePostgres', () => {
  let folder: string;
  const started: ProcessIdentity[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-postgres-'));
    await chmod(folder, 0o755);
  });
  afterEach(async () => {
    // Also after a test that failed half way.
    for (const identity of started.splice(0)) await endProcess(identity, 'SIGINT', 10_000);
    await rm(folder, { recursive: true, force: true });
  });

  const start = async (port: number) => {
    const { command, url } = await preparePostgres(path.join(folder, 'pg'), port, { fsync: false });
    const child = startProcess(command, path.join(folder, 'log'));
    const identity = identify(child.pid!)!;
    started.push(identity);
    await expect.poll(() => postgresVersion(maintenanceUrl(url)).catch(() => '')).toMatch(/^18\./);
    return { identity, url };
  };

  it('ends a server that a killed supervisor left behind, and keeps the data', async () => {
    const first = await start(await freePort());
    const client = new pg.Client(maintenanceUrl(first.url));
    await client.connect();
    await client.query('create table kept as select 7 as n');
    await client.end();

    const second = await start(await freePort());
    expect(isRunning(first.identity)).toBe(false);
    const again = new pg.Client(maintenanceUrl(second.url));
    await again.connect();
    expect((await again.query('select n from kept')).rows).toEqual([{ n: 7 }]);
    await again.end();
    await endProcess(second.identity, 'SIGINT', 10_000);
  });

  it('starts after SIGKILL when the lock file names a stranger’s process, and leaves the stranger alone', async () => {
    const first = await start(await freePort());
    await endProcess(first.identity, 'SIGKILL', 0);
    const lock = path.join(folder, 'pg', 'data', 'postmaster.pid');
    const { uid, gid } = await stat(lock);
    const stranger = spawn('sleep', ['60'], process.getuid?.() === 0 ? { uid, gid } : {});
    const text = await readFile(lock, 'utf8');
    await writeFile(lock, text.replace(/^\d+/, String(stranger.pid)));

    const second = await start(await freePort());
    expect(stranger.exitCode).toBeNull();
    expect(isRunning(identify(stranger.pid!)!)).toBe(true);
    stranger.kill('SIGKILL');
    await endProcess(second.identity, 'SIGINT', 10_000);
  });

  it('names the way out for a cluster of another version', async () => {
    const { identity } = await start(await freePort());
    await endProcess(identity, 'SIGINT', 10_000);
    await writeFile(path.join(folder, 'pg', 'data', 'PG_VERSION'), '17\n');
    await expect(preparePostgres(path.join(folder, 'pg'), 5999)).rejects.toThrow(/PostgreSQL 17, this is 18/);
  });

  it('is not fooled by an initdb that was killed', async () => {
    const killed = preparePostgres(path.join(folder, 'pg'), 5999);
    killed.catch(() => undefined);
    // Its child: the only initdb on this folder.
    let pid = '';
    await expect.poll(async () => (pid = await initdbOn(folder)), { interval: 10 }).not.toBe('');
    process.kill(Number(pid), 'SIGKILL');
    await expect(killed).rejects.toThrow(/cannot initialise PostgreSQL/);
    const { identity } = await start(await freePort());
    await endProcess(identity, 'SIGINT', 10_000);
  });

  it.runIf(process.getuid?.() === 0)(
    'names the private folder that root’s PostgreSQL cannot enter',
    async () => {
      await chmod(folder, 0o700);
      await expect(preparePostgres(path.join(folder, 'pg'), 5999)).rejects.toThrow(
        `who may not enter ${folder}`,
      );
    },
  );
});

async function initdbOn(folder: string): Promise<string> {
  await delay(1);
  const ps = spawn('pgrep', ['-f', `initdb -D ${folder}`]);
  let out = '';
  ps.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
  await new Promise((resolve) => ps.once('close', resolve));
  return out.split('\n')[0] ?? '';
}
