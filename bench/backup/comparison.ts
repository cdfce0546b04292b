import { median, round } from '../row.js';
import type { CountedDigest } from '../../src/domain/lineDigests.js';
import type { Job } from './jobs.js';

interface Timed {
  readonly seconds: number;
  readonly documents: number;
}

/** The columns of a row that has documents moved by us beside a peer, out of Vespa or into it. */
export function comparison(
  job: Job,
  there: CountedDigest,
  ours: readonly (Timed & { readonly digest: string })[],
  peer: readonly Timed[],
  peerName: string,
) {
  const rate = (runs: readonly Timed[]) => median(runs.map(({ seconds, documents }) => documents / seconds));
  const lost = (runs: readonly Timed[]) =>
    runs.reduce((sum, { documents }) => sum + there.count - documents, 0);
  return {
    row: job.row,
    unit: 'documents/s',
    ours: round(rate(ours), 1),
    ...(job.alone
      ? {}
      : {
          peer: round(rate(peer), 1),
          peerName,
          ratio: round(rate(ours) / rate(peer)),
          peerLost: lost(peer),
        }),
    lost: lost(ours),
    digestDiffers: ours.filter(({ digest }) => digest !== there.digest).length,
    rounds: job.rounds,
  };
}
