import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { LineDigest } from '../src/backup/digest.js';
import { type Incarnation, parseTenantId } from '../src/domain/ids.js';
import { LocalEmbedder } from '../src/memory/embedders/local.js';
import { memoryIds } from '../src/memory/ids.js';
import { TenantMemories } from '../src/memory/tenantMemories.js';
import type { MemoryRecord, TenantMemory } from '../src/memory/tenantMemory.js';
import { vectorHex } from '../src/memory/vectors.js';
import { DocumentClient } from '../src/vespa/documents.js';
import { FeedServer, MEMORIES } from './feedServer.js';
import { median, print, round } from './row.js';

const [ADDS, SEARCHES, ROUNDS, MANY] = [300, 60, 3, 25_000];
const PEER = "mem0ai 3.3.1, provider 'memory' (SQLite of node:sqlite)";
const scope = { userId: 'user123', agentId: 'video_search_agent' };

/** Ours beside Mem0's own default store with the same embedder, by turns; then a tenant of 25,000 memories. */
export async function memory(): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-bench-memory-'));
  const server = await FeedServer.start(folder);
  const documents = new DocumentClient(server.url);
  const embedder = new LocalEmbedder();
  const memories = new TenantMemories({ documents, configServer: server.configServer, embedder });
  const life = {
    ...{ tenant: parseTenantId('bench'), incarnation: randomUUID() as Incarnation, schema: MEMORIES },
  };
  try {
    const ours = memories.open(life);
    await embedder.embed(['warm']);
    await beside(ours, await peer(folder, embedder));
    await ours.clear();
    await many(ours, embedder.id);
  } finally {
    await memories.close();
    await documents.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Contender {
  add(text: string): Promise<unknown>;
  search(query: string): Promise<unknown>;
}

async function beside(memory: TenantMemory, other: Contender): Promise<void> {
  const ours: Contender = {
    add: (text) => memory.add(text, scope),
    search: (query) => memory.search(query, { ...scope, topK: 10 }),
  };
  const rates = {
    add: { ours: [] as number[], peer: [] as number[] },
    search: { ours: [] as number[], peer: [] as number[] },
  };
  for (let turn = 0; turn < ROUNDS; turn++) {
    for (const [who, contender] of [
      ['ours', ours],
      ['peer', other],
    ] as const) {
      rates.add[who].push(
        await rate(ADDS, (n) => contender.add(`note ${turn} ${n}: the user likes topic ${n % 40}`)),
      );
      rates.search[who].push(
        await rate(SEARCHES, (n) => contender.search(`which topic ${n} does the user like?`)),
      );
    }
  }
  for (const what of ['add', 'search'] as const) {
    const [own, theirs] = [median(rates[what].ours), median(rates[what].peer)];
    print({
      ...{
        bench: 'memory',
        row: `${what}, one after the other`,
        unit: what === 'add' ? 'adds/s' : 'searches/s',
        ours: round(own),
      },
      ...{ peer: round(theirs), peerName: PEER, ratio: round(own / theirs) },
    });
  }
}

async function rate(times: number, work: (n: number) => Promise<unknown>): Promise<number> {
  const started = performance.now();
  for (let n = 0; n < times; n++) await work(n);
  return times / ((performance.now() - started) / 1000);
}

/** Its SQLite is Node's own by way of `stubs/better-sqlite3`, so that nothing is compiled. */
async function peer(folder: string, embedder: LocalEmbedder): Promise<Contender> {
  process.env['MEM0_TELEMETRY'] = 'false';
  process.env['MEM0_DIR'] = folder;
  const { Memory } = await import('mem0ai/oss');
  const embedDocuments = async (texts: string[]) =>
    (await embedder.embed(texts)).map((vector) => Array.from(vector));
  const embedQuery = async (text: string) => (await embedDocuments([text]))[0]!;
  const dbPath = path.join(folder, 'vectors.db');
  const mem0 = new Memory({
    embedder: { provider: 'langchain', config: { model: { embedDocuments, embedQuery } } },
    vectorStore: { provider: 'memory', config: { collectionName: 'bench', dimension: 512, dbPath } },
    llm: { provider: 'openai', config: { apiKey: 'none' } },
    disableHistory: true,
  });
  return {
    add: (text) => mem0.add(text, { ...scope, infer: false }),
    search: (query) =>
      mem0.search(query, { topK: 10, filters: { user_id: scope.userId, agent_id: scope.agentId } }),
  };
}

async function many(memory: TenantMemory, embedder: string): Promise<void> {
  const started = performance.now();
  const made = new LineDigest();
  const stored = await memory.importRecords(records(embedder, made));
  const imported = performance.now();
  const stats = await memory.stats();
  const counted = performance.now();
  const read = new LineDigest();
  for await (const record of memory.exportRecords()) read.add(Buffer.from(JSON.stringify(record)));
  const exported = performance.now();
  const { removed } = await memory.clear();
  const cleared = performance.now();
  const exact =
    [stored, stats.total_memories, read.count, removed].every((count) => count === MANY) &&
    stats.unique_users === 1234 &&
    read.digest === made.digest;
  print({
    ...{ bench: 'memory', row: '25,000 in one tenant', unit: 's', ours: round((cleared - started) / 1000) },
    skipped: 'Mem0 has no import, export, or clear of a tenant',
    ...{ exact, lost: MANY - read.count, removed },
    importSeconds: round((imported - started) / 1000),
    statsSeconds: round((counted - imported) / 1000),
    exportSeconds: round((exported - counted) / 1000),
    clearSeconds: round((cleared - exported) / 1000),
  });
  if (!exact) process.exitCode = 1;
}

function* records(embedder: string, digest: LineDigest): Generator<MemoryRecord> {
  const vector = new Float32Array(512);
  for (let n = 0; n < MANY; n++) {
    const data = `note ${n}`;
    const [user_id, agent_id] = [`user_${n % 1234}`, `agent_${n % 11}`];
    vector[n % 512] = n + 1;
    const record: MemoryRecord = {
      id: memoryIds({ userId: user_id, agentId: agent_id }, 'bench')(n),
      kind: 'memory',
      payload: {
        ...{ data, hash: createHash('md5').update(data).digest('hex') },
        createdAt: new Date(1.7e12 + n).toISOString(),
        ...{ user_id, agent_id },
      },
      embedder,
      embedding: vectorHex(vector),
    };
    digest.add(Buffer.from(JSON.stringify(record)));
    yield record;
  }
}
