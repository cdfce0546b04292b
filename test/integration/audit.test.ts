import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, inject, test } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { cvops, cvopsJson, cvopsWith, errorOf, freshTenant } from '../support/cvops.js';
import { tokenOf } from '../support/principals.js';
import { temporaryFolder } from '../support/videos.js';

interface Entry {
  readonly seq: number;
  readonly at: string;
  readonly principal: string;
  readonly verb: string;
  readonly tenant: string;
  readonly outcome: string;
  readonly reason: string;
}
interface Verdict {
  readonly ok: boolean;
  readonly rows: number;
  readonly head: string;
  readonly brokenAt: number | null;
  readonly problem: string | null;
}

const FRAMES = 'video_colpali_smol500_mv_frame';
const tenant = freshTenant('audited');
let folder: string;
let pool: Pool;

beforeAll(async () => {
  folder = await temporaryFolder();
  pool = openPool(inject('stack').addresses.databaseUrl, { name: 'audit', max: 1 });
  await cvopsJson(['tenant', 'create', tenant, '--profiles', FRAMES, '--template', 'startup']);
});
afterAll(async () => {
  await pool.end();
  await rm(folder, { recursive: true });
});

const entries = async (...args: string[]) =>
  (await cvopsJson<{ entries: Entry[] }>(['audit', 'list', ...args])).entries;

describe.concurrent('the audit log', () => {
  test('has who, what, why and with which outcome of every change that is no operation', async ({
    expect,
  }) => {
    const reason = ['--reason', 'because'];
    const watch = ['add', tenant, folder, '--profile', FRAMES, '--name', 'w', '--every', '1d', ...reason];
    const chains: string[][][] = [
      [
        ['watch', ...watch],
        ['watch', 'pause', tenant, 'w', ...reason],
        ['watch', 'resume', tenant, 'w', ...reason],
        ['watch', 'remove', tenant, 'w', ...reason],
      ],
      [
        ['config', 'set', tenant, '--set', 'max_qps=7', ...reason],
        ['config', 'rollback', tenant, '--version', '1', ...reason],
        ['optimize', 'enable', tenant, ...reason],
        ['optimize', 'disable', tenant, ...reason],
      ],
      [
        ['backup', 'schedule', tenant, ...reason],
        ['backup', 'schedule', tenant, '--remove', ...reason],
        ['memory', 'add', tenant, 'I like red', '--user', 'ann'],
      ],
    ];
    const inTurn = async (changes: string[][]) => {
      for (const change of changes) {
        const { code, stderr } = await cvops(...change, '-o', 'json');
        expect(code, `${change.join(' ')}: ${stderr}`).toBe(0);
      }
    };
    await Promise.all(chains.map(inTurn));
    const mine = (await entries('--tenant', tenant, '--limit', '200')).toReversed();
    expect(new Set(mine.map(({ principal }) => principal))).toEqual(new Set(['tests']));
    const outcomes = (verb: string) => mine.filter((e) => e.verb === verb).map((e) => e.outcome);
    for (const verb of [
      ...['watch-add', 'watch-pause', 'watch-resume', 'watch-remove', 'backup-schedule'],
      ...['backup-unschedule', 'add-memory', 'optimize-enable', 'optimize-disable'],
    ])
      expect(outcomes(verb), verb).toEqual(expect.arrayContaining(['started', 'completed']));
    expect([outcomes('create'), outcomes('rollbackConfig')]).toEqual([
      ['started', 'completed'],
      ['completed'],
    ]);
    expect(mine.find(({ verb }) => verb === 'watch-pause')).toMatchObject({ reason: 'because', tenant });
    // What is remembered is nobody's business there.
    expect(JSON.stringify(mine)).not.toContain('I like red');
  });

  test('says of a change that failed that it did', async ({ expect }) => {
    const gone = freshTenant('gone');
    expect((await cvops('watch', 'remove', tenant, gone, '-o', 'json')).code).toBe(5);
    const { code } = await cvopsWith(
      { MEMORY_EMBEDDER_URL: 'http://127.0.0.1:1', MEMORY_EMBEDDER_MODEL: 'm' },
      ...['memory', 'add', tenant, 'x', '--user', 'bob', '-o', 'json'],
    );
    expect(code).not.toBe(0);
    const failed = (await entries('--tenant', tenant, '--verb', 'add-memory', '--limit', '200')).filter(
      ({ outcome }) => outcome === 'failed',
    );
    expect(failed).toHaveLength(1);
  });

  test('is listed in pages, by verb and since a time', async ({ expect }) => {
    const [newest, older] = await entries('--limit', '2');
    expect(await entries('--limit', '1', '--before', String(newest!.seq))).toEqual([older]);
    expect(new Set((await entries('--verb', 'create')).map(({ verb }) => verb))).toEqual(new Set(['create']));
    expect(await entries('--since', '2100-01-01')).toEqual([]);
    expect((await entries('--since', newest!.at.slice(0, 10))).length).toBeGreaterThan(0);
    const refused = await cvops('audit', 'list', '--since', 'yesterday', '-o', 'json');
    expect([refused.code, errorOf(refused).code]).toEqual([2, 'InvalidInput']);
  });

  test('is verified, also against a head noted before, and out of an export without a database', async ({
    expect,
  }) => {
    const file = path.join(folder, 'audit.jsonl');
    const exported = await cvopsJson<{ rows: number; head: string }>(['audit', 'export', file]);
    const noted = exported.head;
    expect(await cvopsJson<Verdict>(['audit', 'verify', '--head', noted])).toMatchObject({
      ok: true,
      problem: null,
    });
    const [seq, hash] = noted.split(':') as [string, string];
    const forged = `${seq}:${hash.replace(/^./, hash.startsWith('0') ? '1' : '0')}`;
    expect(await cvopsJson<Verdict>(['audit', 'verify', '--head', forged], 8)).toMatchObject({
      ok: false,
      brokenAt: Number(seq),
    });
    expect(await cvopsJson<Verdict>(['audit', 'verify', '--head', `999999999:${hash}`], 8)).toMatchObject({
      problem: expect.stringContaining('cut off') as string,
    });

    const offline = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' };
    const verify = (...args: string[]) => ['audit', 'verify', '--file', file, ...args];
    expect(await cvopsJson<Verdict>(verify('--head', noted), 0, offline)).toEqual({
      ...{ ok: true, rows: exported.rows, head: noted, brokenAt: null, problem: null },
    });
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/"outcome":"started"/, '"outcome":"denied"'));
    expect(await cvopsJson<Verdict>(verify(), 8, offline)).toMatchObject({ ok: false });
  });

  test('is everybody’s: a principal of one tenant sees its own rows alone', async ({ expect }) => {
    const env = {
      CVOPS_TOKEN: await tokenOf(inject('stack').home, { role: 'reader', tenant: parseTenantId(tenant) }),
    };
    const { ok, entries: own } = await cvopsJson<{ ok: true; entries: Entry[] }>(['audit', 'list'], 0, env);
    expect(ok).toBe(true);
    expect(new Set(own.map((entry) => entry.tenant))).toEqual(new Set([tenant]));
    for (const args of [
      ['audit', 'list', '--tenant', 'somebody_else'],
      ['audit', 'verify'],
      ['audit', 'export', path.join(folder, 'theirs')],
    ])
      expect((await cvopsWith(env, ...args, '-o', 'json')).code, args.join(' ')).toBe(4);
  });

  test('cannot be changed by what the stack’s application is in the database', async ({ expect }) => {
    const { rows } = await pool.query<{ name: string }>('select current_user as name');
    expect(rows).toEqual([{ name: 'cvops_app' }]);
    for (const statement of [
      `update audit_log set reason = ''`,
      'delete from audit_log',
      'alter table audit_log disable trigger all',
      'drop table audit_log',
    ])
      await expect(pool.query(statement)).rejects.toMatchObject({ code: '42501' });
  });
});
