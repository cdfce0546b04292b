import { copyFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { scheduleIds } from '../../src/domain/naming.js';
import { parseWatchName } from '../../src/domain/watches.js';
import { listAudit } from '../../src/registry/audit.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { scheduleExists } from '../../src/schedules/tenantSchedules.js';
import { cvops, cvopsJson, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const LONG_AGO = new Date('2026-01-01T00:00:00Z');

interface Watch {
  readonly name: string;
  readonly next: string | null;
  readonly paused: boolean;
  readonly every: string;
  readonly last: { readonly state: string; readonly operation?: string; readonly why?: string } | null;
}
interface Round {
  readonly outcome: string;
  readonly changed: number;
  readonly operation?: string;
  readonly videos?: { stored: number; unchanged: number; failed: number };
}

const id = freshTenant('watched');
let folder: string;
let clips: { short: string; long: string };
let pool: Pool;
let client: Client;
beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { max: 2, name: 'tests' });
  client = new Client({ connection: await Connection.connect({ address: settings.temporalAddress }) });
  folder = await temporaryFolder();
  const made = await temporaryFolder();
  const [short, long] = await Promise.all([
    makeVideo(path.join(made, 'short.mp4'), { seconds: 1 }),
    makeVideo(path.join(made, 'long.mp4'), { seconds: 2 }),
    cvopsJson(['tenant', 'create', id, '--template', 'trial', '--profiles', PROFILE]),
  ]);
  clips = { short, long };
});
afterAll(async () => {
  await client?.connection.close();
  await pool?.end();
});

/** Puts a file there that nobody has written to for long. */
async function put(name: string, from: string): Promise<void> {
  await copyFile(from, path.join(folder, name));
  await utimes(path.join(folder, name), LONG_AGO, LONG_AGO);
}
const round = (exitCode = 0) => cvopsJson<Round>(['watch', 'run', id, 'inbox'], exitCode);
const watches = async (tenant = id) =>
  (await cvopsJson<{ watches: Watch[] }>(['watch', 'list', tenant])).watches;
const operations = async () =>
  (
    await pool.query<{ operation: string }>(
      `select operation from operations where tenant = $1 and kind = 'ingestVideos'`,
      [id],
    )
  ).rows;
const refused = async (...args: string[]) => {
  const result = await cvops(...args, '-o', 'json');
  return { code: result.code, error: errorOf(result) };
};
const exists = () => scheduleExists(client, scheduleIds.watch(parseTenantId(id), parseWatchName('inbox')));

describe('a watch', () => {
  test('looks by itself, and ingests what is there', async () => {
    await put('a.mp4', clips.short);
    const asked = ['watch', 'add', id, folder, '--profile', PROFILE, '--name', 'inbox'];
    expect(await cvopsJson([...asked, '--every', '10s', '--dry-run'])).toMatchObject({
      dryRun: true,
      updated: false,
    });
    expect(await watches()).toEqual([]);
    expect(await cvopsJson([...asked, '--every', '10s'])).toMatchObject({
      name: 'inbox',
      every: '10s',
      updated: false,
    });
    await expect
      .poll(async () => (await watches())[0]?.last, { timeout: 60_000 })
      .toMatchObject({ state: 'completed', operation: expect.any(String) as string });
    // From here on only by hand: what it does is to be counted.
    expect(await cvopsJson([...asked, '--every', '6h'])).toMatchObject({ every: '6h', updated: true });
    const [watch] = await watches();
    expect(Date.parse(watch!.next!)).toBeLessThanOrEqual(Date.now() + 6 * 3600_000 + 300_000);
    const [row] = await operations();
    const shown = await cvopsJson(['op', 'show', row!.operation]);
    expect(shown).toMatchObject({
      ...{ operation: watch!.last!.operation, state: 'completed', principal: 'schedule:inbox' },
      ...{ reason: 'watch inbox: new or changed videos', counts: { stored: 1 } },
    });
  });

  test('makes no operation when nothing changed, and one of what is new or changed', async () => {
    const before = (await operations()).length;
    expect(await round()).toMatchObject({ outcome: 'unchanged', changed: 0 });
    expect((await watches())[0]!.last).toMatchObject({ state: 'unchanged' });
    expect(await operations()).toHaveLength(before);

    await put('b.mp4', clips.short);
    await put('a.mp4', clips.long);
    expect(await round()).toMatchObject({ changed: 2, videos: { stored: 2, unchanged: 0, failed: 0 } });
    // Written anew, and the same: looked into once, and known by its new looks from then on.
    await utimes(path.join(folder, 'b.mp4'), new Date('2026-02-02'), new Date('2026-02-02'));
    expect(await round()).toMatchObject({ changed: 1, videos: { stored: 0, unchanged: 1, failed: 0 } });
    expect(await round()).toMatchObject({ outcome: 'unchanged' });
    expect(await operations()).toHaveLength(before + 2);
    const { rows } = await pool.query<{ documents: number }>(
      `select documents from videos join tenants using (incarnation) where tenant = $1 order by path`,
      [id],
    );
    expect(rows.map((r) => r.documents)).toEqual([2, 1]);
  });

  test('leaves what is still being written, and tries what was refused only when it changed', async () => {
    await copyFile(clips.short, path.join(folder, 'fresh.mp4'));
    expect(await round()).toMatchObject({ outcome: 'unchanged' });
    await writeFile(path.join(folder, 'fresh.mp4'), 'no video');
    await utimes(path.join(folder, 'fresh.mp4'), LONG_AGO, LONG_AGO);
    expect(await round(3)).toMatchObject({ changed: 1, videos: { stored: 0, unchanged: 0, failed: 1 } });
    expect(await round()).toMatchObject({ outcome: 'unchanged' });
    await put('fresh.mp4', clips.short);
    expect(await round()).toMatchObject({ changed: 1, videos: { stored: 1, unchanged: 0, failed: 0 } });
  });

  test('is refused for what it cannot do, by what is wrong', async () => {
    const add = (...more: string[]) => refused('watch', 'add', id, folder, '--profile', PROFILE, ...more);
    expect(await add('--every', '1s')).toMatchObject({ code: 2 });
    expect(await add('--cron', '0 25 * * *')).toMatchObject({ code: 2 });
    expect(await refused('watch', 'run', id, 'nothing')).toMatchObject({ code: 5 });
  });
});

describe('the life of its tenant', () => {
  test('paused by a person, by a deactivation, and gone with a purge; the next life has none', async () => {
    expect(await cvopsJson(['watch', 'pause', id, 'inbox', '--reason', 'no space'])).toMatchObject({
      paused: true,
    });
    expect(await watches()).toMatchObject([{ paused: true, next: null, note: 'paused by tests: no space' }]);
    await cvopsJson(['watch', 'resume', id, 'inbox']);
    expect(await watches()).toMatchObject([{ paused: false, next: expect.any(String) as string }]);

    await cvopsJson(['tenant', 'deactivate', id]);
    expect(await watches()).toMatchObject([{ paused: true, note: 'the tenant is inactive' }]);
    expect(await refused('watch', 'run', id, 'inbox')).toMatchObject({ code: 6 });
    // Triggered past the command, it does nothing and says why.
    const handle = client.schedule.getHandle(scheduleIds.watch(parseTenantId(id), parseWatchName('inbox')));
    await handle.trigger();
    await expect
      .poll(async () => (await watches())[0]!.last)
      .toMatchObject({ state: 'skipped', why: `this life of tenant ${id} is inactive` });
    const old = (await handle.describe()).action;

    await cvopsJson(['tenant', 'delete', id, '--hard', '--confirm', id, '--second-look', '1']);
    expect(await exists()).toBe(false);
    await cvopsJson([
      'tenant',
      'create',
      id,
      '--template',
      'trial',
      '--profiles',
      PROFILE,
      '--override-quarantine',
    ]);
    expect(await watches()).toEqual([]);
    // Its schedule brought back from nowhere looks at the new life and leaves it alone.
    const round = await client.workflow.execute('watchVideos', {
      ...{ workflowId: `${handle.scheduleId}-back`, taskQueue: 'control', args: old.args! },
    });
    expect(round).toMatchObject({ outcome: 'skipped', why: `this life of tenant ${id} is purged` });

    const verbs = (await listAudit(pool, { tenant: parseTenantId(id), limit: 100 })).map((r) => r.verb);
    expect(verbs).toEqual(expect.arrayContaining(['watch-add', 'watch-pause', 'watch-resume', 'watch-run']));
  });

  test('the new life makes its own of the same name, and removes it', async () => {
    await cvopsJson([
      'watch',
      'add',
      id,
      folder,
      '--profile',
      PROFILE,
      '--name',
      'inbox',
      '--cron',
      '0 3 * * 1-5',
    ]);
    expect(await watches()).toMatchObject([{ name: 'inbox', every: '0 3 * * 1-5', last: null }]);
    expect(await cvopsJson(['watch', 'remove', id, 'inbox'])).toMatchObject({ removed: true });
    expect([await exists(), await watches()]).toEqual([false, []]);
    expect(await refused('watch', 'remove', id, 'inbox')).toMatchObject({ code: 5 });
  });
});
