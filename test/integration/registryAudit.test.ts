import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { type AuditEntry, appendAudit, auditHead, listAudit, verifyAudit } from '../../src/registry/audit.js';
import { exportAudit, verifyAuditFile } from '../../src/registry/auditFile.js';
import { type Pool, openPool, transaction } from '../../src/registry/database.js';
import { migrate } from '../../src/registry/migrate.js';
import { type TestRegistry, atOnce, newOperation, startTestRegistry } from '../support/registry.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

const acme = parseTenantId('acme_corp');
const entry = (verb: string, more: Partial<AuditEntry> = {}): AuditEntry => ({
  principal: 'ann',
  verb,
  tenant: acme,
  outcome: 'started',
  reason: 'because',
  ...more,
});
const append = (pool: Pool, ...entries: AuditEntry[]) =>
  transaction(pool, async (tx) => {
    for (const each of entries) await appendAudit(tx, each);
  });

/** A database of its own: a broken chain would spoil it for the others. */
async function withChain(run: (pool: Pool) => Promise<void>): Promise<void> {
  const url = await registry.emptyDatabase();
  await migrate(url);
  const pool = openPool(url, { name: 'audit', max: 20 });
  try {
    await run(pool);
  } finally {
    await pool.end();
  }
}

describe('the audit chain', () => {
  it('is whole after 8 writers at once with 25 rows each, in transactions of one and of many', () =>
    withChain(async (pool) => {
      const ends = await atOnce(8, async (writer) => {
        for (let i = 0; i < 5; i++) {
          await append(pool, entry(`w${writer}`));
          await append(
            pool,
            ...Array.from({ length: 4 }, (_, n) => entry(`w${writer}`, { detail: { i, n } })),
          );
        }
      });
      expect(ends).toEqual(Array(8).fill(undefined));
      const { rows } = await pool.query<{ verb: string; n: number }>(
        'select verb, count(*) as n from audit_log group by verb',
      );
      expect(rows).toHaveLength(8);
      expect(rows.every(({ n }) => n === 25)).toBe(true);
      const verdict = await verifyAudit(pool);
      expect(verdict).toEqual({ rows: 200, head: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
    }));

  it('has no row of a transaction that did not commit', () =>
    withChain(async (pool) => {
      await append(pool, entry('kept'));
      const broken = transaction(pool, async (tx) => {
        await appendAudit(tx, entry('lost'));
        throw new Error('killed');
      });
      await expect(broken).rejects.toThrow('killed');
      await append(pool, entry('next'));
      expect((await listAudit(pool, { limit: 10 })).map((row) => [row.seq, row.verb])).toEqual([
        [2, 'next'],
        [1, 'kept'],
      ]);
      expect((await verifyAudit(pool)).brokenAt).toBeUndefined();
    }));

  it('holds whatever text and detail it is given, and still verifies', () =>
    withChain(async (pool) => {
      await append(
        pool,
        entry('nul \0', {
          principal: 'half \ud800',
          reason: '\udfff\0',
          detail: { 'k\0': 'v\0', deep: ['\ud83d'] },
        }),
        entry('json', {
          detail: {
            z: 1,
            a: { y: 1e21, x: -0, w: 1e-7 },
            gone: undefined,
            nan: NaN,
            list: [1, [2], {}],
            10: 1,
            9: 2,
          },
        }),
        entry('dates', { detail: { at: new Date(0), ж: 'é\u2028"\\' }, operation: newOperation() }),
      );
      expect(await verifyAudit(pool)).toMatchObject({ rows: 3 });
      expect((await verifyAudit(pool)).brokenAt).toBeUndefined();
      const [, json, nul] = await listAudit(pool, { limit: 10 });
      expect(nul).toMatchObject({
        principal: 'half \ufffd',
        detail: { 'k\ufffd': 'v\ufffd', deep: ['\ufffd'] },
      });
      expect(json?.detail).toEqual({
        z: 1,
        a: { y: 1e21, x: 0, w: 1e-7 },
        nan: null,
        list: [1, [2], {}],
        10: 1,
        9: 2,
      });
    }));

  it.each([
    'update audit_log set reason = $$x$$',
    'delete from audit_log where seq = 2',
    'truncate audit_log',
  ])('refuses: %s', (statement) =>
    withChain(async (pool) => {
      await append(pool, entry('a'), entry('b'));
      await expect(pool.query(statement)).rejects.toThrow('append-only');
      expect((await verifyAudit(pool)).rows).toBe(2);
    }),
  );

  const tampered: [string, string, number][] = [
    ['a changed reason', `update audit_log set reason = 'nothing' where seq = 3`, 3],
    ['a changed time', `update audit_log set at = at + interval '1 ms' where seq = 2`, 2],
    ['a changed detail', `update audit_log set detail = '{"n": 2}' where seq = 1`, 1],
    ['an object made a list of pairs', `update audit_log set detail = '[["n", 1]]' where seq = 1`, 1],
    ['another tenant', `update audit_log set tenant = 'globex_inc' where seq = 4`, 4],
    ['a row taken out', `delete from audit_log where seq = 3`, 4],
    [
      'a row taken out and the rest renumbered',
      `delete from audit_log where seq = 3; update audit_log set seq = seq - 1 where seq > 3`,
      3,
    ],
    [
      'two rows that changed places',
      `update audit_log set seq = 99 where seq = 2; update audit_log set seq = 2 where seq = 3; update audit_log set seq = 3 where seq = 99`,
      2,
    ],
  ];
  it.each(tampered)('shows %s by a superuser without triggers', (_, sql, brokenAt) =>
    withChain(async (pool) => {
      await append(pool, ...[1, 2, 3, 4, 5].map((n) => entry('step', { detail: { n } })));
      const client = await pool.connect();
      await client.query(`set session_replication_role = replica; ${sql}`);
      client.release(true);
      expect((await verifyAudit(pool)).brokenAt).toBe(brokenAt);
    }),
  );

  it('tells of rows cut off at its end by the head that was noted before', () =>
    withChain(async (pool) => {
      await append(pool, entry('a'), entry('b'));
      const { head } = await verifyAudit(pool);
      const client = await pool.connect();
      await client.query('set session_replication_role = replica; delete from audit_log where seq = 2');
      client.release(true);
      const after = await verifyAudit(pool);
      expect(after.brokenAt).toBeUndefined();
      expect(after.head).not.toBe(head);
    }));

  it('is verified over pages of 1,000, and listed in pages by tenant', () =>
    withChain(async (pool) => {
      const globex = parseTenantId('globex_inc');
      await append(
        pool,
        ...Array.from({ length: 1203 }, (_, i) => entry('n', i % 3 === 0 ? { tenant: globex } : {})),
      );
      expect(await verifyAudit(pool)).toMatchObject({ rows: 1203 });

      const seen: number[] = [];
      for (;;) {
        const before = seen.at(-1);
        const page = await listAudit(pool, {
          tenant: globex,
          limit: 100,
          ...(before === undefined ? {} : { before }),
        });
        seen.push(...page.map(({ seq }) => seq));
        if (page.length < 100) break;
      }
      expect(seen).toEqual(Array.from({ length: 401 }, (_, i) => 1201 - 3 * i));
    }));

  it('refuses a second successor of one row, whoever writes it', () =>
    withChain(async (pool) => {
      await append(pool, entry('a'), entry('b'));
      const fork = pool.query(
        `insert into audit_log select 3, at, principal, verb, tenant, operation, outcome, reason, detail, previous, repeat('a', 64)
         from audit_log where seq = 2`,
      );
      await expect(fork).rejects.toBeInstanceOf(pg.DatabaseError);
      await expect(fork).rejects.toThrow(/audit_log_one_successor/);
    }));
});

describe('the application’s role', () => {
  /** Runs as the application does, in a database of its own. */
  const withApp = (run: (app: Pool, owner: Pool) => Promise<void>) =>
    withChain(async (owner) => {
      const url = new URL(owner.options.connectionString!);
      url.searchParams.set('options', '-c role=cvops_app');
      const app = openPool(url.href, { name: 'app', max: 5 });
      try {
        await run(app, owner);
      } finally {
        await app.end();
      }
    });

  it('adds to the log, lists and verifies it', () =>
    withApp(async (app) => {
      await append(app, entry('a'), entry('b'));
      expect((await listAudit(app, { limit: 10 })).map(({ verb }) => verb)).toEqual(['b', 'a']);
      expect(await verifyAudit(app)).toMatchObject({ rows: 2 });
    }));

  const refused = [
    `update audit_log set reason = 'x'`,
    'delete from audit_log',
    'truncate audit_log',
    'truncate audit_log cascade',
    'alter table audit_log disable trigger audit_log_append_only',
    'drop trigger audit_log_append_only on audit_log',
    `create trigger mine before insert on audit_log for each row execute function refuse_change()`,
    'create rule mine as on insert to audit_log do instead nothing',
    'alter table audit_log owner to cvops_app',
    'alter table audit_log drop column reason',
    // Of its own a warning, and nothing granted.
    `grant update on audit_log to cvops_app; update audit_log set reason = 'x'`,
    'drop table audit_log',
    'create or replace function refuse_change() returns trigger language plpgsql as $$ begin return new; end $$',
    'set session_replication_role = replica',
    'select grant_to_app()',
    'select 1 from audit_log for update',
    `merge into audit_log a using (select 1) s on true when matched then delete`,
    'update erasure_certificates set document = $$x$$',
    'delete from erasure_certificates',
    `delete from migrations`,
    `insert into migrations (name, checksum) values ('9999_x.sql', 'x')`,
  ];
  it('is refused by the server whatever would change the log, its triggers or its rights', () =>
    withApp(async (app, owner) => {
      await append(app, entry('a'), entry('b'));
      for (const statement of refused) {
        const { code } = (await app.query(statement).then(
          () => ({ code: 'done' }),
          (error: unknown) => error,
        )) as { code: string };
        // insufficient_privilege
        expect(code, statement).toBe('42501');
      }
      expect(await verifyAudit(owner)).toMatchObject({ rows: 2 });
    }));

  it('works on every other table, those of later migrations too', () =>
    withApp(async (app, owner) => {
      await owner.query('create table of_later (x int)');
      await owner.query('select grant_to_app()');
      await app.query('insert into of_later values (1)');
      const { rows } = await app.query<{ name: string; rights: string }>(
        `select c.relname as name, concat_ws(',', case when has_table_privilege(c.oid, 'select') then 'select' end,
           case when has_table_privilege(c.oid, 'insert') then 'insert' end,
           case when has_table_privilege(c.oid, 'update') then 'update' end,
           case when has_table_privilege(c.oid, 'delete') then 'delete' end) as rights
         from pg_class c where relkind = 'r' and relnamespace = 'public'::regnamespace`,
      );
      const rights = Object.fromEntries(rows.map(({ name, rights }) => [name, rights]));
      const { audit_log, erasure_certificates, migrations, ...others } = rights;
      expect([audit_log, erasure_certificates, migrations]).toEqual([
        'select,insert',
        'select,insert',
        'select',
      ]);
      expect(new Set(Object.values(others))).toEqual(new Set(['select,insert,update,delete']));
    }));
});

describe('a noted head', () => {
  it('stays good as the log grows, and tells of rows cut off and of a chain written anew', () =>
    withChain(async (pool) => {
      await append(pool, entry('a'), entry('b'), entry('c'));
      const noted = await auditHead(pool);
      await append(pool, entry('d'));
      expect(await verifyAudit(pool, noted)).not.toHaveProperty('brokenAt');

      const asSuperuser = async (sql: string) => {
        const client = await pool.connect();
        await client.query(`set session_replication_role = replica; ${sql}`);
        client.release(true);
      };
      await asSuperuser('delete from audit_log where seq > 1');
      expect(await verifyAudit(pool, noted)).toMatchObject({ rows: 1, brokenAt: 2 });
      await append(pool, entry('b, otherwise'), entry('c, otherwise'));
      expect(await verifyAudit(pool)).not.toHaveProperty('brokenAt');
      expect(await verifyAudit(pool, noted)).toMatchObject({ brokenAt: 3 });
    }));
});

describe('an export', () => {
  it('is whole by itself, and shows every change of a byte that matters', () =>
    withChain(async (pool) => {
      await append(
        pool,
        ...Array.from({ length: 1203 }, (_, n) => entry('n', { detail: { n, deep: ['\u2028', '😀'] } })),
      );
      const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-audit-'));
      const file = path.join(folder, 'audit.jsonl');
      try {
        const head = await exportAudit(pool, file);
        expect(head.seq).toBe(1203);
        expect(await verifyAuditFile(file, head)).toEqual({ rows: 1203, head: head.hash });
        await expect(exportAudit(pool, file)).rejects.toMatchObject({ type: 'Conflict' });
        expect((await stat(file)).mode & 0o777).toBe(0o600);

        const text = await readFile(file, 'utf8');
        const lines = text.split('\n');
        const without = (n: number) => lines.toSpliced(n, 1).join('\n');
        const changed = {
          'another reason': text.replace('because', 'becausf'),
          'a row taken out': without(600),
          'the last row taken out': without(1202),
          'the head taken out': without(1203),
          'half a row': text.slice(0, 100_000),
          'a row after the head': `${text}${lines[0]}\n`,
          'no JSON': text.replace('"seq":7,', '"seq":7'),
          'another head': text.replace(`{"head":{"seq":1203`, `{"head":{"seq":1204`),
          nothing: '',
        };
        for (const [what, content] of Object.entries(changed)) {
          const other = path.join(folder, 'changed.jsonl');
          await writeFile(other, content);
          expect(await verifyAuditFile(other), what).toHaveProperty('brokenAt');
        }
        await expect(verifyAuditFile(path.join(folder, 'none'))).rejects.toMatchObject({ type: 'NotFound' });
        await expect(verifyAuditFile(folder)).rejects.toMatchObject({ type: 'InvalidInput' });
      } finally {
        await rm(folder, { recursive: true });
      }
    }));

  it('of an empty log is whole', () =>
    withChain(async (pool) => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-audit-'));
      const file = path.join(folder, 'audit.jsonl');
      await exportAudit(pool, file);
      expect(await verifyAuditFile(file)).toMatchObject({ rows: 0 });
      await rm(folder, { recursive: true });
    }));
});
