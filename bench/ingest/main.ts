import { parseArgs } from 'node:util';
import { fairness } from './fairness.js';
import { manyVideos } from './manyVideos.js';
import { realVideos } from './realVideos.js';
import { inWorld } from './world.js';

const ROWS = ['real', 'many', 'fairness'] as const;

/**
 * `bench -- ingest [--quick] [--rounds N] [--only real,many,fairness] [--concurrency 4,8] [--sizes 100,1000,10000]
 * [--port-offset N]`; see docs/benchmarks.md.
 */
export async function ingest(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '3' },
      concurrency: { type: 'string', default: '4,8' },
      sizes: { type: 'string' },
      only: { type: 'string', default: ROWS.join(',') },
      'port-offset': { type: 'string', default: '21000' },
    },
  });
  const { quick } = values;
  const rounds = Number(values.rounds);
  const sizes = (values.sizes ?? (quick ? '100,1000' : '100,1000,10000')).split(',').map(Number);
  const concurrency = values.concurrency.split(',').map(Number);
  const wanted = new Set(values.only.split(','));
  await inWorld('ingest', Number(values['port-offset']), async (world, folder, note) => {
    if (wanted.has('real'))
      for (const each of concurrency) await realVideos(world, quick ? 40 : 200, each, rounds, note);
    if (wanted.has('many')) await manyVideos(world, folder, sizes, note);
    if (wanted.has('fairness'))
      for (const each of concurrency) await fairness(world, folder, 5000, each, rounds, note);
  });
}
