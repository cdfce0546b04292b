import { comparison } from './backup/comparison.js';
import { Filled, type Job, jobsOf } from './backup/jobs.js';
import { peerFeed, peerVisit } from './backup/peer.js';
import type { WorkerSaid } from './backup/worker.js';
import { print, round } from './row.js';

const PEER = 'vespa feed (PyPI vespacli) of what vespa visit wrote, defaults';

interface Run {
  readonly seconds: number;
  readonly documents: number;
  readonly digest: string;
}

/**
 * Ours, from the parts of a backup with their checksums proven on the way, beside the official feeder of the official
 * visitor's output; by turns into the same emptied schema, which is read back each time.
 */
export async function restore(args: readonly string[]): Promise<void> {
  for (const job of jobsOf(args)) await measure(job);
}

async function measure(job: Job): Promise<void> {
  await using filled = await Filled.start(job);
  const before = await filled.totals();
  const [store, visited] = [filled.file('store'), filled.file('visited.jsonl')];
  await filled.ours('backup', store);
  if (!job.alone) await peerVisit(filled, visited);
  const run = async (feeder: () => Promise<number>): Promise<Run> => {
    await filled.server.empty(job.schema);
    const seconds = await feeder();
    const { count: documents, digest } = await filled.totals();
    return { seconds, documents, digest };
  };
  const [ours, peer]: [Run[], Run[]] = [[], []];
  let said: WorkerSaid | undefined;
  // The server's first documents are its slowest, whoever sends them.
  if (job.rounds > 1) await run(() => peerFeed(filled.server.url, visited));
  for (let turn = 0; turn < job.rounds; turn++) {
    if (!job.alone) peer.push(await run(() => peerFeed(filled.server.url, visited)));
    ours.push(await run(async () => (said = await filled.ours('restore', store)).seconds));
    filled.note(`round ${turn + 1}: ours ${ours.at(-1)!.seconds} s, peer ${peer.at(-1)?.seconds} s`);
  }
  print({
    bench: 'restore',
    ...comparison(job, before, ours, peer, PEER),
    parts: said?.parts,
    plainBytes: said?.plainBytes,
    workerCpuSeconds: said && round(said.cpuSeconds),
    workerMaxRssMb: said?.maxRssMb,
  });
}
