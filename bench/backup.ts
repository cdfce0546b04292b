import { rm } from 'node:fs/promises';
import { comparison } from './backup/comparison.js';
import { Filled, type Job, jobsOf } from './backup/jobs.js';
import { peerVisit } from './backup/peer.js';
import type { WorkerSaid } from './backup/worker.js';
import { print, round } from './row.js';

const PEER = 'vespa visit > file (PyPI vespacli), defaults';

/** Ours, with digests, zstd and SHA-256 into a folder store, beside the official visitor into a file, by turns. */
export async function backup(args: readonly string[]): Promise<void> {
  for (const job of jobsOf(args)) await measure(job);
}

async function measure(job: Job): Promise<void> {
  await using filled = await Filled.start(job);
  const there = await filled.totals();
  const ours: WorkerSaid[] = [];
  const peer: { readonly seconds: number; readonly documents: number }[] = [];
  for (let turn = 0; turn < job.rounds; turn++) {
    if (!job.alone) peer.push(await peerVisit(filled, filled.file('visited.jsonl')));
    const store = filled.file('store');
    ours.push(await filled.ours('backup', store, ...(job.alone ? [] : ['--warm'])));
    await rm(store, { recursive: true });
    filled.note(`round ${turn + 1}: ours ${ours.at(-1)!.seconds} s, peer ${peer.at(-1)?.seconds} s`);
  }
  const last = ours.at(-1)!;
  print({
    bench: 'backup',
    ...comparison(job, there, ours, peer, PEER),
    parts: last.parts,
    plainBytes: last.plainBytes,
    storedBytes: last.storedBytes,
    workerCpuSeconds: round(last.cpuSeconds),
    workerMaxRssMb: Math.max(...ours.map(({ maxRssMb }) => maxRssMb)),
  });
}
