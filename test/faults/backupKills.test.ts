import { afterAll, beforeAll, expect, test } from 'vitest';
import { exportTraces } from '../../src/backup/traces/export.js';
import { TRACE_KINDS } from '../../src/backup/traces/lines.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';
import { dice } from '../support/dice.js';
import { type KillPoint, Killer } from '../support/killer.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { type FilledTenant, fillDocuments, filledTenant, sortedLines } from '../support/tenantData.js';
import { fillTraces, restorable } from '../support/traces.js';
import { writtenManifest } from '../support/writtenManifest.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const SEGMENTS = Number(process.env['KILL_SEGMENTS'] ?? 4_000);
const [MEMORIES, TRACES] = [150, 8];
const KILLS = Number(process.env['KILLS'] ?? 6);
const SEED = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000);
const WORKERS = 3;
/** Bytes a second: a slice takes some seconds. */
const VISIT_RATE = 300_000;
/** Slices in work at a time, of one backup (workflows/backupTenant.ts). */
const LANES = 4;
const PART_LINES = 200;
/** A part ends where the server can go on; and what of a visit is underway when its reader dies. */
const BESIDE = 100;

let documents: DocumentClient;
let phoenix: PhoenixClient;
let pool: Pool;
let workers: OwnWorkers;
let killer: Killer | undefined;

beforeAll(async () => {
  const settings = stackSettings();
  documents = new DocumentClient(settings.vespaUrl);
  phoenix = new PhoenixClient(settings.phoenixUrl);
  pool = openPool(settings.databaseUrl, { name: 'backup-kill-test', max: 1 });
  workers = await OwnWorkers.open(`backup-kills-${freshTenant('n')}`.replaceAll('_', '-'));
});
afterAll(async () => {
  await killer?.close();
  await workers?.close();
  await documents?.close();
  await pool?.end();
});

interface BackedUp {
  readonly backup: string;
  readonly path: string;
}
interface Restored {
  readonly state: string;
  readonly how: string;
}

async function newTenant(what: string): Promise<FilledTenant> {
  const tenant = freshTenant(what);
  await cvopsJson(['tenant', 'create', tenant, '--template', 'startup', '--profiles', PROFILE]);
  return filledTenant(pool, tenant);
}

const backUp = (tenant: string, env?: Record<string, string>) =>
  cvopsJson<BackedUp>(['backup', 'create', tenant, '--consistency', 'fuzzy'], 0, env);

/** What of a manifest is the same for every backup of the same data. */
async function contentOf({ path: folder }: BackedUp) {
  const { schemas, videos, config, traces, parts } = await writtenManifest(folder);
  const texts = parts
    .filter(({ kind }) => kind === 'schema' || kind === 'config')
    .map(({ sha256 }) => sha256);
  return { schemas, videos, config, traces, texts };
}

/** Everything of a tenant that a restore brings, in one order. */
async function holdings({ row, videos, memories }: FilledTenant) {
  const call = { signal: new AbortController().signal, heartbeat: () => undefined };
  const traces = (await exportTraces(phoenix, phoenixProjectName(parseTenantId(row.tenant)), call))!;
  const kinds: string[][] = [];
  for (const kind of TRACE_KINDS) {
    const lines: Buffer[] = [];
    for await (const line of traces.lines(kind)) lines.push(line);
    kinds.push(restorable(lines));
  }
  return {
    videos: await sortedLines(documents, videos),
    memories: await sortedLines(documents, memories),
    traces: kinds,
  };
}

/** The lines of one tenant as they are to be in another. */
function renamed(lines: readonly Buffer[], from: FilledTenant, to: FilledTenant): Buffer[] {
  return lines
    .map((line) =>
      line
        .toString()
        .replace(`:${from.videos}::`, `:${to.videos}::`)
        .replace(`:${from.memories}::`, `:${to.memories}::`)
        .replace(`"tenant_id":"${from.row.tenant}"`, `"tenant_id":"${to.row.tenant}"`)
        .replace(`"incarnation":"${from.row.incarnation}"`, `"incarnation":"${to.row.incarnation}"`),
    )
    .map((line) => Buffer.from(line))
    .toSorted((a, b) => a.compare(b));
}

/** Early enough for each to be reached: what two backups and two restores do at least. */
const LEAST: Readonly<Record<'visit' | 'feed' | 'store', number>> = {
  visit: 2 * SEGMENTS,
  feed: 2 * SEGMENTS,
  store: (2 * SEGMENTS) / PART_LINES,
};

function killPoints(random: () => number): KillPoint[] {
  return Array.from({ length: KILLS }, (_, n) => {
    const at = (['visit', 'feed', 'store'] as const)[n % 3]!;
    const point = { at, count: Math.floor(random() * LEAST[at]) };
    return n % 4 === 3 ? { ...point, laterMs: random() * 1_000 } : point;
  });
}

test(`data workers killed at ${KILLS} random points of backups and restores: the same backups, the same tenants, next to nothing done twice`, async () => {
  process.stderr.write(`backup kills: KILL_SEED=${SEED}\n`);
  const [from, into, clone] = await Promise.all([newTenant('from'), newTenant('into'), newTenant('clone')]);
  await fillDocuments(documents, from, { segments: SEGMENTS, memories: MEMORIES });
  const { tenant } = from.row;
  await fillTraces(phoenix, from.row.phoenixProject, { ...from.row, seed: tenant, traces: TRACES });
  const calm = await backUp(tenant);
  await cvopsJson(['backup', 'restore', calm.backup, '--into', into.row.tenant]);
  const before = { from: await holdings(from), into: await holdings(into) };
  const own = await backUp(into.row.tenant);

  const { vespaUrl, backupStore } = stackSettings();
  killer = new Killer(backupStore, killPoints(dice(SEED)), (proxied) =>
    workers.start(
      'data',
      { ...proxied, BENCH_PART_LINES: String(PART_LINES) },
      'bench/backup/killedWorker.js',
    ),
  );
  await workers.start('control');
  for (let n = 0; n < WORKERS; n++) await killer.add(vespaUrl, VISIT_RATE);
  const env = workers.environment;
  const restore = (backup: string, ...to: string[]) =>
    cvopsJson<Restored>(['backup', 'restore', backup, ...to], 0, env);
  const [backups, replaced, filled] = await Promise.all([
    Promise.all([backUp(tenant, env), backUp(tenant, env)]),
    restore(own.backup, '--replace', '--confirm', into.row.tenant),
    restore(calm.backup, '--into', clone.row.tenant),
  ]);
  expect(killer.killed.length).toBe(KILLS);

  for (const backup of backups) {
    expect(await contentOf(backup)).toEqual(await contentOf(calm));
    expect(await cvopsJson(['backup', 'verify', backup.backup])).toMatchObject({
      ok: true,
      documents: SEGMENTS + MEMORIES,
    });
  }
  expect([replaced, filled]).toMatchObject([
    { state: 'active', how: 'replace' },
    { state: 'active', how: 'fill' },
  ]);
  expect(await holdings(into)).toEqual(before.into);
  const { videos, memories, traces } = await holdings(clone);
  expect(videos).toEqual(renamed(before.from.videos, from, clone));
  expect(memories).toEqual(renamed(before.from.memories, from, clone));
  expect(traces.map(({ length }) => length)).toEqual(before.from.traces.map(({ length }) => length));
  expect(await holdings(from)).toEqual(before.from);

  const read = killer.visited(from.videos) - backups.length * SEGMENTS;
  const fed = killer.puts - 2 * (SEGMENTS + MEMORIES);
  process.stderr.write(
    `backup kills: ${JSON.stringify(killer.killed)}, ${read} of ${backups.length * SEGMENTS} documents read again, ` +
      `${fed} of ${2 * (SEGMENTS + MEMORIES)} fed again\n`,
  );
  const part = PART_LINES + BESIDE;
  expect(read).toBeGreaterThanOrEqual(0);
  expect(read).toBeLessThanOrEqual(0.01 * backups.length * SEGMENTS + KILLS * LANES * part);
  expect(fed).toBeGreaterThanOrEqual(0);
  expect(fed).toBeLessThanOrEqual(0.01 * 2 * SEGMENTS + KILLS * 2 * part);
});
