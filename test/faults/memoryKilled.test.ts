import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import { type TenantId, parseTenantId } from '../../src/domain/ids.js';
import { LocalEmbedder } from '../../src/memory/embedders/local.js';
import { writeMemoryFile } from '../../src/memory/file/write.js';
import type { MemoryRecord } from '../../src/memory/tenantMemory.js';
import { cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';
import { dice } from '../support/dice.js';
import { type KillEvent, type KillPoint, Killer } from '../support/killer.js';
import { AGENTS, USERS, madeRecords } from '../support/madeMemories.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const MEMORIES = Number(process.env['KILL_MEMORIES'] ?? 300);
/** Of each of the two; one costs the time after which a silent worker is given up. */
const KILLS = Number(process.env['MEMORY_KILLS'] ?? 1);
const SEED = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000);
const WORKERS = 2;

let client: CvopsClient;
let workers: OwnWorkers;
let killer: Killer | undefined;
let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  client = await CvopsClient.connect(stackSettings());
  workers = await OwnWorkers.open(`memory-kills-${freshTenant('n')}`.replaceAll('_', '-'));
});
afterAll(async () => {
  await killer?.close();
  await workers?.close();
  await client?.close();
});

async function newTenant(what: string): Promise<TenantId> {
  const tenant = parseTenantId(freshTenant(what));
  const wanted = {
    template: 'startup',
    overrides: { max_qps: '10000' },
    profiles: [PROFILE],
    reason: '',
  } as const;
  await (await client.createTenant({ tenant, ...wanted })).result();
  return tenant;
}

/** A file of memories. @returns its lines but for head and end, in one order */
async function write(file: string, records: AsyncIterable<MemoryRecord>): Promise<string[]> {
  await writeMemoryFile(file, parseTenantId('made'), records);
  return (await readFile(file, 'utf8')).trimEnd().split('\n').slice(1, -1).toSorted();
}
const exported = (tenant: TenantId) =>
  write(path.join(folder, `${tenant}.jsonl`), client.memory.export(tenant));

/** At halves of the requests that even an undisturbed run sends. */
function points(at: KillEvent, random: () => number): KillPoint[] {
  return Array.from({ length: KILLS }, () => ({ at, count: 1 + Math.floor(random() * 1.5 * MEMORIES) }));
}

test(`data workers killed ${KILLS} times each in an import and a clear of ${MEMORIES} memories: the same memories, and the same count of what went`, async () => {
  process.stderr.write(`memory kills: KILL_SEED=${SEED}\n`);
  const file = path.join(folder, 'made.jsonl');
  const made = (async function* () {
    yield* madeRecords(MEMORIES, new LocalEmbedder().id);
  })();
  const [lines, filled, cleared] = await Promise.all([
    write(file, made),
    newTenant('filled'),
    newTenant('cleared'),
  ]);
  expect(lines.length).toBe(MEMORIES);
  const [importing] = await Promise.all([client.memory.import(cleared, file, ''), workers.start('control')]);
  expect(await importing.result()).toMatchObject({ memories: MEMORIES });

  const random = dice(SEED);
  killer = new Killer(folder, [...points('put', random), ...points('removal', random)], (proxied) =>
    workers.start('data', proxied),
  );
  for (let n = 0; n < WORKERS; n++) await killer.add(stackSettings().vespaUrl, Infinity);
  const env = workers.environment;
  const [brought, went] = await Promise.all([
    cvopsJson<{ memories: number }>(['memory', 'import', filled, file], 0, env),
    cvopsJson<{ operation: string; removed: number }>(
      ['memory', 'clear', cleared, `--confirm=${cleared}`],
      0,
      env,
    ),
  ]);
  process.stderr.write(`memory kills: ${JSON.stringify(killer.killed)}\n`);
  expect(killer.killed.length).toBe(2 * KILLS);

  expect(brought.memories).toBe(MEMORIES);
  // Nobody else's went with those that were cleared.
  expect(await exported(filled)).toEqual(lines);
  expect(await client.memory.stats(filled)).toMatchObject({
    ...{ total_memories: MEMORIES, unique_users: Math.min(MEMORIES, USERS), unique_agents: AGENTS },
  });
  expect(went.removed).toBe(MEMORIES);
  expect(await client.memory.stats(cleared)).toMatchObject({ total_memories: 0 });
  expect(await cvopsJson(['op', 'show', went.operation])).toMatchObject({
    ...{ state: 'completed', counts: { removed: MEMORIES } },
  });
  // Open again.
  await client.memory.add({ tenant: cleared, text: 'the first one of a new time', userId: 'u' });
  expect(await client.memory.stats(cleared)).toMatchObject({ total_memories: 1 });
}, 1_800_000);
