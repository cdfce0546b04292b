import { rm } from 'node:fs/promises';
import { Filled, type Job, jobsOf } from './backup/jobs.js';
import { peerVisit } from './backup/peer.js';
import type { WorkerSaid } from './backup/worker.js';
import { median, print, round } from './row.js';

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
  const rate = (runs: readonly { seconds: number; documents: number }[]) =>
    median(runs.map(({ seconds, documents }) => documents / seconds));
  const lost = (runs: readonly { documents: number }[]) =>
    runs.reduce((sum, { documents }) => sum + there.count - documents, 0);
  const last = ours.at(-1)!;
  print({
    bench: 'backup',
    row: job.row,
    unit: 'documents/s',
    ours: round(rate(ours), 1),
    ...(job.alone
      ? {}
      : {
          peer: round(rate(peer), 1),
          peerName: PEER,
          ratio: round(rate(ours) / rate(peer)),
          peerLost: lost(peer),
        }),
    lost: lost(ours),
    digestDiffers: ours.filter(({ digest }) => digest !== there.digest).length,
    rounds: job.rounds,
    parts: last.parts,
    plainBytes: last.plainBytes,
    storedBytes: last.storedBytes,
    workerCpuSeconds: round(last.cpuSeconds),
    workerMaxRssMb: Math.max(...ours.map(({ maxRssMb }) => maxRssMb)),
  });
}
