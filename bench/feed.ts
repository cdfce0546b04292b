import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DocumentClient } from '../src/vespa/documents.js';
import { type FeedReport, feedAll } from '../src/vespa/feeding/feeder.js';
import type { FeedOperation } from '../src/vespa/feeding/operation.js';
import { Resumable } from '../src/vespa/feeding/resumable.js';
import { CONTENT_CLUSTER } from '../src/vespa/package/services.js';
import { FeedBlocked } from '../src/vespa/retry.js';
import { peerFeed } from './backup/peer.js';
import { type BodyKind, readFeedFile, writeFeedFile } from './feedFile.js';
import { COLPALI, FeedServer, SMALL } from './feedServer.js';
import { median, print, round } from './row.js';

const PEER = 'vespa feed (PyPI vespacli), defaults';
const ROUNDS = 3;
/** A caller parks on a durable timer; the spell of the benchmark lasts two seconds. */
const PARKED_MS = 500;

interface Job {
  readonly row: string;
  readonly kind: BodyKind;
  readonly schema: string;
  readonly documents: number;
  readonly rounds: number;
  readonly flags?: readonly string[];
  readonly program?: string;
}

interface Run {
  readonly seconds: number;
  readonly lost: number;
}

/** Ours beside the official feeder: the same file of JSON lines into the same server, by turns, then counted by visiting. */
export async function feed(): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-bench-feed-'));
  const small = { kind: 'small', schema: SMALL, documents: 20_000 } as const;
  const faults = ['--fault-rate', '0.05', '--fault-statuses', '429,500,502,503,504', '--fault-seed', '7'];
  try {
    await measure(folder, { ...small, row: '20,000 small documents', rounds: ROUNDS });
    await measure(folder, {
      row: '2,000 ColPali documents of 1,024 × 128',
      kind: 'colpali',
      schema: COLPALI,
      documents: 2_000,
      rounds: ROUNDS,
    });
    await measure(folder, {
      ...small,
      row: '20,000 small documents under 5 % of 429, 500, 502, 503, 504',
      rounds: 1,
      flags: faults,
    });
    await measure(folder, {
      ...small,
      row: '20,000 small documents, feed blocked (507) for 2 s after each 8,000',
      rounds: 1,
      flags: ['--block-after', '8000', '--block-ms', '2000'],
      program: 'bench/blockedVespa.js',
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(folder: string, job: Job): Promise<void> {
  const note = (line: string) => process.stderr.write(`${job.row}: ${line}\n`);
  const file = path.join(folder, 'feed.jsonl');
  const bodyBytes = await writeFeedFile(file, job.schema, job.kind, job.documents);
  const server = await FeedServer.start(folder, job.flags, job.program);
  const client = new DocumentClient(server.url, { connections: 64 });
  const [ours, peer]: [Run[], Run[]] = [[], []];
  let report: FeedReport | undefined;
  const run = async (feeder: () => Promise<number>): Promise<Run> => {
    const seconds = await feeder();
    const lost = job.documents - (await client.count(job.schema, CONTENT_CLUSTER));
    await server.empty(job.schema);
    return { seconds, lost };
  };
  try {
    // The server's first documents are its slowest, whoever sends them.
    if (job.rounds > 1) await run(() => peerFeed(server.url, file));
    for (let round = 0; round < job.rounds; round++) {
      peer.push(await run(() => peerFeed(server.url, file)));
      ours.push(
        await run(async () => {
          const start = performance.now();
          report = await ourFeed(client, file);
          return (performance.now() - start) / 1000;
        }),
      );
      note(`round ${round + 1}: ours ${ours.at(-1)!.seconds} s, peer ${peer.at(-1)!.seconds} s`);
    }
  } finally {
    await client.close();
    await server.stop();
  }
  const rate = (runs: readonly Run[]) =>
    median(runs.map(({ seconds, lost }) => (job.documents - lost) / seconds));
  const lostOf = (runs: readonly Run[]) => runs.reduce((sum, { lost }) => sum + lost, 0);
  print({
    bench: 'feed',
    row: job.row,
    unit: 'documents/s',
    ours: round(rate(ours), 1),
    peer: round(rate(peer), 1),
    peerName: PEER,
    // Against a feeder that drops a part, time says little: it does not wait for the block to lift.
    ...(job.program === undefined ? { ratio: round(rate(ours) / rate(peer)) } : {}),
    lost: lostOf(ours),
    peerLost: lostOf(peer),
    rounds: job.rounds,
    bodyBytes,
    retries: report?.retries,
    peakInFlight: report?.peakInFlight,
  });
}

/** Until the whole file is acknowledged, however often the cluster is full. */
async function ourFeed(client: DocumentClient, file: string): Promise<FeedReport> {
  const source = new Resumable<FeedOperation>(readFeedFile(file));
  for (;;) {
    try {
      return await feedAll(client, source);
    } catch (error) {
      if (!(error instanceof FeedBlocked)) throw error;
      source.putBack(error.unacknowledged);
      await delay(PARKED_MS);
    }
  }
}
