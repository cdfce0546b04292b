import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot } from '../../src/projectRoot.js';
import { verifyAudit } from '../../src/registry/audit.js';
import { type Pool, openPool, transaction } from '../../src/registry/database.js';
import { migrate } from '../../src/registry/migrate.js';
import { findTenant, insertTenant } from '../../src/registry/tenants.js';
import { freePort } from '../support/postgres.js';
import { type TestRegistry, atOnce, lifeOf, startTestRegistry } from '../support/registry.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

describe('migrate', () => {
  const real = path.join(projectRoot, 'migrations');
  let folder: string;
  let url: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-migrations-'));
    url = await registry.emptyDatabase();
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const file = (name: string, sql: string) => writeFile(path.join(folder, name), sql);
  async function query<T extends object>(sql: string): Promise<T[]> {
    const pool = openPool(url, { name: 'test', max: 1 });
    try {
      return (await pool.query<T>(sql)).rows;
    } finally {
      await pool.end();
    }
  }

  it('applies every file once, by URL or by pool, and five at once are harmless', async () => {
    const files = (await readdir(real)).toSorted();
    const ends = await atOnce(5, () => migrate(url));
    expect(ends.flat().toSorted()).toEqual(files);
    const pool = openPool(url, { name: 'test' });
    expect(await migrate(pool)).toEqual([]);
    // The pool is the caller's: still open.
    expect((await pool.query('select name from migrations order by name')).rows).toEqual(
      files.map((name) => ({ name })),
    );
    await pool.end();
  });

  it('refuses an edited file by its name, but not other line ends', async () => {
    await file('0001_a.sql', 'create table a (x int);\n-- end\n');
    await migrate(url, folder);
    await file('0001_a.sql', 'create table a (x int);\r\n-- end\r\n');
    expect(await migrate(url, folder)).toEqual([]);
    await file('0001_a.sql', 'create table a (y int);\n-- end\n');
    await file('0002_b.sql', 'create table b (x int)');
    await expect(migrate(url, folder)).rejects.toMatchObject({
      type: 'Conflict',
      message: 'migration 0001_a.sql was edited after it was applied',
    });
    expect(await query(`select to_regclass('b') as b`)).toEqual([{ b: null }]);
  });

  it('refuses a file that was renamed, one that comes too late, and two of one number', async () => {
    await file('0001_a.sql', 'create table a (x int)');
    await file('0003_c.sql', 'create table c (x int)');
    await migrate(url, folder);
    await file('0002_b.sql', 'create table b (x int)');
    await expect(migrate(url, folder)).rejects.toThrow('0002_b.sql comes too late: 0003_c.sql is applied');
    await unlink(path.join(folder, '0002_b.sql'));
    await rename(path.join(folder, '0001_a.sql'), path.join(folder, '0001_z.sql'));
    await expect(migrate(url, folder)).rejects.toThrow('0001_a.sql was applied, and its file is gone');
    await file('0003_d.sql', 'select 1');
    await expect(migrate(url, folder)).rejects.toThrow('two migrations have the number of 0003_d.sql');
  });

  it('leaves alone what a newer version has applied', async () => {
    await file('0001_a.sql', 'create table a (x int)');
    await file('0002_b.sql', 'create table b (x int)');
    await migrate(url, folder);
    await unlink(path.join(folder, '0002_b.sql'));
    expect(await migrate(url, folder)).toEqual([]);
  });

  it('names a file that fails, keeps those before it, leaves nothing of it, and goes on when it is mended', async () => {
    await file('0001_a.sql', 'create table a (x int)');
    await file('0002_b.sql', 'create table b (x int); insert into b values (1); select nonsense');
    await expect(migrate(url, folder)).rejects.toThrow(/^migration 0002_b\.sql: .*nonsense/);
    expect(await query(`select to_regclass('a')::text as a, to_regclass('b')::text as b`)).toEqual([
      { a: 'a', b: null },
    ]);
    await file('0002_b.sql', 'create table b (x int)');
    expect(await migrate(url, folder)).toEqual(['0002_b.sql']);
  });

  it('tightens a database of the first version that is in use', async () => {
    await copyFile(path.join(real, '0001_registry.sql'), path.join(folder, '0001_registry.sql'));
    await migrate(url, folder);
    await query(`with life as (
        insert into tenants (incarnation, tenant, state, template, phoenix_project, memory_enabled, create_operation)
        values (gen_random_uuid(), 'acme_corp', 'active', 'startup', 'acme_corp_project', true, gen_random_uuid()) returning *)
      insert into operations (operation, kind, tenant, incarnation, principal, reason, state, workflow_id, error, ended_at)
      select create_operation, 'createTenant', tenant, incarnation, 'ann', '', 'failed', 'w', '{"code":"Rejected","message":"m"}', now()
      from life`);
    expect(await migrate(url)).toEqual((await readdir(real)).toSorted().slice(1));
  });

  it('says in SQL what each table is for', async () => {
    await migrate(url);
    const tables = await query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
       and relname <> 'migrations' and obj_description(oid) is null`,
    );
    expect(tables).toEqual([]);
  });
});

describe('transaction', () => {
  let pool: Pool;
  beforeEach(() => {
    pool = openPool(registry.url, { name: 'test-transaction', max: 10 });
  });
  afterEach(() => pool.end());

  it('tries again after a deadlock, and both of the two get through', async () => {
    await pool.query('create table if not exists counters (id int primary key, n int)');
    await pool.query('insert into counters values (1, 0), (2, 0) on conflict (id) do update set n = 0');
    let runs = 0;
    const ends = await atOnce(2, (i) =>
      transaction(pool, async (tx) => {
        runs++;
        for (const id of i === 0 ? [1, 2] : [2, 1]) {
          await tx.query('update counters set n = n + 1 where id = $1', [id]);
          if (runs <= 2) await delay(100);
        }
      }),
    );
    expect(ends).toEqual([undefined, undefined]);
    expect(runs).toBeGreaterThan(2);
    expect((await pool.query('select n from counters order by id')).rows).toEqual([{ n: 2 }, { n: 2 }]);
  });

  it('does not try again what fails for good', async () => {
    let runs = 0;
    const end = transaction(pool, async (tx) => {
      runs++;
      await tx.query('select 1 / 0');
    });
    await expect(end).rejects.toThrow('division by zero');
    expect(runs).toBe(1);
  });

  it('cut off in the middle is a plain error that may be retried, leaves nothing, and the pool goes on', async () => {
    const life = lifeOf('cut_off');
    const attempt = (cut: boolean) =>
      transaction(pool, async (tx) => {
        await insertTenant(tx, life);
        if (!cut) return;
        const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
        await registry.pool.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
        await delay(50);
        await tx.query('select 1');
      });
    const error: unknown = await attempt(true).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toMatchObject({ name: 'OpsError' });
    expect(await findTenant(pool, life.tenant)).toBeUndefined();
    await attempt(false);
    expect((await findTenant(pool, life.tenant))?.incarnation).toBe(life.incarnation);
  });

  it('survives all of its idle connections being cut, and tells whoever listens', async () => {
    const heard: string[] = [];
    const listening = openPool(registry.url, { name: 'idle', onIdleError: (e) => heard.push(e.message) });
    await atOnce(5, () => listening.query('select pg_sleep(0.05)'));
    await registry.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'idle'`,
    );
    await expect.poll(() => heard.length).toBe(5);
    expect((await listening.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await listening.end();
  });

  it('whose process is killed holds no lock and leaves no row', async () => {
    const life = lifeOf('killed');
    // Inserts the tenant, takes the audit log's lock, says so, and waits for ever.
    const script = `
      import pg from 'pg';
      const client = new pg.Client(process.env.URL);
      await client.connect();
      await client.query('begin');
      await client.query("insert into tenants (tenant, incarnation, state, template, phoenix_project, memory_enabled, create_operation) values ('killed', gen_random_uuid(), 'creating', 't', 'killed_project', true, gen_random_uuid())");
      await client.query('select pg_advisory_xact_lock(7301115)');
      process.stdout.write('ready');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: projectRoot,
      env: { ...process.env, URL: registry.url },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const waiting = transaction(pool, async (tx) => {
      const made = await insertTenant(tx, life);
      await tx.query('select pg_advisory_xact_lock(7301115)');
      return made;
    });
    const first = await Promise.race([waiting, delay(300).then(() => 'waits')]);
    expect(first).toBe('waits');
    child.kill('SIGKILL');
    expect(await waiting).toBe(true);
    expect((await findTenant(pool, life.tenant))?.incarnation).toBe(life.incarnation);
    expect((await verifyAudit(pool)).brokenAt).toBeUndefined();
  });
});

describe('a pool', () => {
  it('ends a statement that runs too long', async () => {
    const pool = openPool(registry.url, { name: 'slow', statementTimeoutMs: 100 });
    await expect(pool.query('select pg_sleep(5)')).rejects.toThrow('statement timeout');
    await pool.end();
  });

  it('reads counts as numbers, refuses to round one, and changes no other user of pg', async () => {
    const pool = openPool(registry.url, { name: 'numbers' });
    expect((await pool.query('select 9007199254740991::bigint as n')).rows).toEqual([{ n: 2 ** 53 - 1 }]);
    await expect(pool.query('select 9007199254740993::bigint as n')).rejects.toThrow(
      '9007199254740993 is beyond',
    );
    // The connection is still good.
    expect((await pool.query('select 1::bigint as n')).rows).toEqual([{ n: 1 }]);
    await pool.end();
    const { default: pg } = await import('pg');
    const client = new pg.Client(registry.url);
    await client.connect();
    expect((await client.query('select 1::bigint as n')).rows).toEqual([{ n: '1' }]);
    await client.end();
  });

  it('says at once that nothing listens, as an error that may be retried', async () => {
    const pool = openPool(`postgresql://nobody@127.0.0.1:${await freePort()}/none`, { name: 'nowhere' });
    await expect(transaction(pool, () => Promise.resolve())).rejects.toThrow('ECONNREFUSED');
    await pool.end();
  });

  it('is known by name to whoever looks at the server', async () => {
    const pool = openPool(registry.url, { name: 'cvops-worker-7' });
    expect((await pool.query(`select current_setting('application_name') as name`)).rows).toEqual([
      { name: 'cvops-worker-7' },
    ]);
    await pool.end();
  });
});
