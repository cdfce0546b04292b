import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { LocalEmbedder } from '../../src/memory/embedders/local.js';
import { writeMemoryFile } from '../../src/memory/file/write.js';
import { NO_LIMIT, cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';
import { dice } from '../support/dice.js';
import { type KillEvent, type KillPoint, Killer } from '../support/killer.js';
import { AGENTS, USERS, madeRecords } from '../support/madeMemories.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { temporaryFolder } from '../support/videos.js';

const MEMORIES = Number(process.env['KILL_MEMORIES'] ?? 300);
/** Of each of the two; one costs the time after which a silent worker is given up. */
const KILLS = Number(process.env['MEMORY_KILLS'] ?? 1);
const SEED = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000);
const WORKERS = 2;

let workers: OwnWorkers;
let killer: Killer | undefined;
let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  workers = await OwnWorkers.open(`memory-kills-${freshTenant('n')}`.replaceAll('_', '-'));
});
afterAll(async () => {
  await killer?.close();
  await workers?.close();
});

async function newTenant(what: string): Promise<string> {
  const tenant = freshTenant(what);
  await cvopsJson(['tenant', 'create', tenant, '--template', 'startup', ...NO_LIMIT]);
  return tenant;
}

const importing = (tenant: string, file: string, env?: Record<string, string>) =>
  cvopsJson<{ operation: string; memories: number }>(['memory', 'import', tenant, file], 0, env);

/** Every memory of a tenant as an export has it, in one order. */
async function exported(tenant: string): Promise<string[]> {
  const file = path.join(folder, `${tenant}.jsonl`);
  const { memories } = await cvopsJson<{ memories: number }>(['memory', 'export', tenant, file]);
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n').slice(1, -1).toSorted();
  expect(lines.length).toBe(memories);
  return lines;
}

/** At halves of the requests that even an undisturbed run sends. */
function points(at: KillEvent, random: () => number): KillPoint[] {
  return Array.from({ length: KILLS }, () => ({ at, count: 1 + Math.floor(random() * 1.5 * MEMORIES) }));
}

test(`data workers killed ${KILLS} times each in an import and a clear of ${MEMORIES} memories: the same memories, and the same count of what went`, async () => {
  process.stderr.write(`memory kills: KILL_SEED=${SEED}\n`);
  const file = path.join(folder, 'made.jsonl');
  const records = (async function* () {
    yield* madeRecords(MEMORIES, new LocalEmbedder().id);
  })();
  await writeMemoryFile(file, parseTenantId('made'), records);
  const [calm, filled, cleared] = await Promise.all([
    newTenant('calm'),
    newTenant('filled'),
    newTenant('cleared'),
  ]);
  await Promise.all([calm, cleared].map((tenant) => importing(tenant, file)));
  const before = await exported(calm);
  expect(before.length).toBe(MEMORIES);

  const random = dice(SEED);
  killer = new Killer(folder, [...points('put', random), ...points('removal', random)], (proxied) =>
    workers.start('data', proxied),
  );
  await workers.start('control');
  for (let n = 0; n < WORKERS; n++) await killer.add(stackSettings().vespaUrl, Infinity);
  const env = workers.environment;
  const [brought, went] = await Promise.all([
    importing(filled, file, env),
    cvopsJson<{ operation: string; removed: number }>(
      ['memory', 'clear', cleared, `--confirm=${cleared}`, '--reason', 'kills'],
      0,
      env,
    ),
  ]);
  process.stderr.write(`memory kills: ${JSON.stringify(killer.killed)}\n`);
  expect(killer.killed.length).toBe(2 * KILLS);

  expect(brought.memories).toBe(MEMORIES);
  expect(await exported(filled)).toEqual(before);
  expect(await cvopsJson(['memory', 'stats', filled])).toMatchObject({
    ...{ total_memories: MEMORIES, unique_users: Math.min(MEMORIES, USERS), unique_agents: AGENTS },
  });
  expect(went.removed).toBe(MEMORIES);
  expect(await cvopsJson(['memory', 'stats', cleared])).toMatchObject({ total_memories: 0 });
  expect(await cvopsJson(['op', 'show', went.operation])).toMatchObject({
    ...{ state: 'completed', counts: { removed: MEMORIES } },
  });
  // Open again, and nobody else's memories went with it.
  await cvopsJson(['memory', 'add', cleared, 'the first one of a new time', '--user', 'u']);
  expect(await cvopsJson(['memory', 'stats', cleared])).toMatchObject({ total_memories: 1 });
  expect(await exported(calm)).toEqual(before);
});
