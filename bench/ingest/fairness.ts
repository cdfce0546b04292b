import { setTimeout as delay } from 'node:timers/promises';
import { median, print, round } from '../row.js';
import { standInVideos } from './clips.js';
import { type BenchTenant, PROFILE } from './shared.js';
import type { World } from './world.js';

const SERVICE_MS = 200;
const FEW = 10;

/**
 * Tenant B ingests ten videos, alone and beside tenant A who has thousands under way, on one data worker whose slots are
 * all taken. A video takes 200 ms whoever's it is.
 */
export async function fairness(
  world: World,
  folder: string,
  backlog: number,
  concurrency: number,
  rounds: number,
  note: (line: string) => void,
): Promise<void> {
  const env = { BENCH_SERVICE_MS: String(SERVICE_MS) };
  const worker = await world.run('bench/ingest/standInWorker.js', [], env);
  try {
    const many = await standInVideos(folder, backlog);
    const few = await standInVideos(folder, FEW);
    let runs = 0;
    const ingest = (tenant: BenchTenant, source: string) =>
      world.client.ingest.start({
        tenant: tenant.tenant,
        profile: PROFILE,
        source,
        concurrency,
        reason: 'bench',
      });
    const timeOfB = async (): Promise<number> => {
      // Each time a new tenant: what is stored already would be skipped.
      const b = await world.tenant(`bench_b${concurrency}_${++runs}`);
      const start = performance.now();
      const { videos } = await (await ingest(b, few)).result();
      if (videos.stored !== FEW) throw new Error(`B stored ${videos.stored} of ${FEW}`);
      return (performance.now() - start) / 1000;
    };
    const several = async () => {
      const times: number[] = [];
      for (let n = 0; n < rounds; n++) times.push(await timeOfB());
      return times;
    };

    await timeOfB();
    const alone = await several();
    const a = await world.tenant(`bench_a${concurrency}`);
    const backlogOfA = await ingest(a, many);
    const stored = async () => (await world.progress(backlogOfA)).videos.stored;
    while ((await stored()) < concurrency * 4) await delay(100);
    const before = { stored: await stored(), at: performance.now() };
    const beside = await several();
    const left = backlog - (await stored());
    const rateOfA = ((await stored()) - before.stored) / ((performance.now() - before.at) / 1000);
    await world.client.cancelOperation(backlogOfA.operation);
    await backlogOfA.result().catch(() => undefined);
    note(
      `alone ${alone.map((s) => round(s)).join(', ')} s; beside ${beside.map((s) => round(s)).join(', ')} s`,
    );
    print({
      bench: 'ingest',
      row: `${FEW} videos beside another tenant’s ${backlog.toLocaleString('en')}, concurrency ${concurrency}`,
      unit: 's',
      ours: round(median(beside)),
      peer: round(median(alone)),
      peerName: 'the same alone',
      ratio: round(median(alone) / median(beside)),
      timesAlone: round(median(beside) / median(alone)),
      rounds,
      concurrency,
      serviceMs: SERVICE_MS,
      othersLeft: left,
      othersPerSecond: round(rateOfA, 1),
    });
  } finally {
    await worker.stop();
  }
}
