import { parseArgs } from 'node:util';
import { PART_LIMITS } from '../src/backup/documents/backUpSlice.js';
import { digestSchema } from '../src/backup/documents/digestSlice.js';
import { parseBackupId } from '../src/domain/backups.js';
import { getTenant } from '../src/registry/tenants.js';
import { CONTENT_CLUSTER } from '../src/vespa/package/services.js';
import { dice } from '../test/support/dice.js';
import { type KillEvent, type KillPoint, Killer } from '../test/support/killer.js';
import { fillDocuments } from '../test/support/tenantData.js';
import { writtenManifest } from '../test/support/writtenManifest.js';
import type { BenchTenant } from './ingest/shared.js';
import { type World, inWorld } from './ingest/world.js';
import { print, round } from './row.js';

/** Bytes a second of each visit: slower than they are read, so that what the proxy counts is what was read. */
const VISIT_RATE = 1_000_000;
/** Slices in work at a time (workflows/backupTenant.ts). */
const LANES = 4;
/** Documents that a part may have above its limit, and that are underway when their reader is killed. */
const BESIDE = 500;

interface Job {
  readonly world: World;
  readonly tenant: BenchTenant;
  readonly documents: number;
  readonly kills: number;
  readonly random: () => number;
}

/** `bench -- backup-kills [--documents 200000] [--kills 10] [--seed N] [--port-offset 21000]` */
export async function backupKills(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      documents: { type: 'string', default: '200000' },
      kills: { type: 'string', default: '10' },
      seed: { type: 'string', default: '1' },
      'port-offset': { type: 'string', default: '21000' },
    },
  });
  const [documents, kills] = [Number(values.documents), Number(values.kills)];
  await inWorld('backup-kills', Number(values['port-offset']), async (world) => {
    const tenant = await world.tenant('kills');
    const row = await getTenant(world.pool, tenant.tenant);
    const filled = { row, videos: tenant.schema, memories: tenant.schema };
    await fillDocuments(world.documents, filled, { segments: documents, memories: 0 });
    const job = { world, tenant, documents, kills, random: dice(Number(values.seed)) };
    await killRestores(job, await killBackups(job));
  });
}

async function killBackups(job: Job): Promise<string> {
  const { world, tenant, documents, kills } = job;
  const before = await totals(job);
  const killer = await killing(job, 'visit', documents);
  try {
    const start = performance.now();
    const asked = { tenant: tenant.tenant, consistency: 'fenced', reason: 'bench' } as const;
    const { backup, path } = await (await world.client.backups.create(asked)).result();
    const seconds = (performance.now() - start) / 1000;
    const [schema] = (await writtenManifest(path)).schemas;
    const verifying = await world.client.backups.verify({ backup: parseBackupId(backup), reason: 'bench' });
    const { ok } = await verifying.result();
    const twice = killer.visited(tenant.schema) - documents;
    print({
      bench: 'backup-kills',
      row: `backup of ${documents} documents`,
      unit: 'documents read twice',
      ours: twice,
      share: round(twice / documents, 4),
      mayBe: Math.round(0.01 * documents) + kills * LANES * (PART_LIMITS.lines + BESIDE),
      kills: killer.killed.length,
      equal: ok && schema?.documents === before.count && schema.digest === before.digest,
      seconds: round(seconds, 1),
    });
    return backup;
  } finally {
    await killer.close();
  }
}

async function killRestores(job: Job, backup: string): Promise<void> {
  const { world, documents, kills } = job;
  const before = await totals(job);
  // Each document is removed and put, and each of these is two halves.
  const killer = await killing(job, 'feed', 4 * documents);
  try {
    const start = performance.now();
    const restoring = await world.client.backups.restore({
      ...{ backup: parseBackupId(backup), replace: true, preview: false, overrideQuarantine: false },
      reason: 'bench',
    });
    const { state } = await restoring.result();
    const seconds = (performance.now() - start) / 1000;
    const after = await totals(job);
    const twice = killer.puts - documents;
    print({
      bench: 'backup-kills',
      row: `restore of ${documents} documents`,
      unit: 'documents fed twice',
      ours: twice,
      share: round(twice / documents, 4),
      // The part that is read is not always the one that is being acknowledged.
      mayBe: Math.round(0.01 * documents) + kills * 2 * (PART_LIMITS.lines + BESIDE),
      kills: killer.killed.length,
      equal: state === 'active' && after.count === before.count && after.digest === before.digest,
      seconds: round(seconds, 1),
    });
  } finally {
    await killer.close();
  }
}

/** One data worker, which is killed in each of as many equal shares of the work. */
async function killing({ world, kills, random }: Job, at: KillEvent, events: number): Promise<Killer> {
  const points = Array.from({ length: kills }, (_, n): KillPoint => {
    const point = { at, count: Math.floor(((n + random()) * events) / kills) };
    return n % 3 === 2 ? { ...point, laterMs: Math.floor(random() * 500) } : point;
  });
  const killer = new Killer(world.settings.backupStore, points, async (env) => {
    const own = await world.run('bench/backup/killedWorker.js', [], env);
    own.child.once('close', () => void own.stop());
    return own.child;
  });
  await killer.add(world.settings.vespaUrl, VISIT_RATE);
  return killer;
}

function totals({ world, tenant }: Job) {
  return digestSchema(world.documents, { cluster: CONTENT_CLUSTER, schema: tenant.schema }, LANES);
}
