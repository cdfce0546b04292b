import { print, round } from '../row.js';
import { standInVideos } from './clips.js';
import { chainFigures } from './histories.js';
import { PROFILE, STAND_IN_DOCUMENTS } from './shared.js';
import { CpuMeter, usageOf } from './usage.js';
import type { World } from './world.js';

const CONCURRENCY = 8;

/**
 * The same work at growing sizes: time per video, length of the histories and memory must not grow with it. The peer of
 * a size is the size before it.
 */
export async function manyVideos(
  world: World,
  folder: string,
  sizes: readonly number[],
  note: (line: string) => void,
): Promise<void> {
  const worker = await world.run('bench/ingest/standInWorker.js');
  const pids = { ...world.pids(), data: worker.pid };
  let before: { readonly videos: number; readonly perVideo: number } | undefined;
  try {
    for (const videos of sizes) {
      const source = await standInVideos(folder, videos);
      const tenant = await world.tenant(`bench_many_${videos}`);
      note(`${videos} videos with a stand-in encoder`);
      const cpu = new CpuMeter(pids);
      const start = performance.now();
      const ingest = { tenant: tenant.tenant, profile: PROFILE, source, concurrency: CONCURRENCY };
      const handle = await world.client.ingest.start({ ...ingest, reason: 'bench' });
      const ended = await handle.result();
      const seconds = (performance.now() - start) / 1000;
      const cpuSeconds = cpu.read();
      // Before the histories are read, which this process alone has to hold.
      const rss = { control: usageOf(pids.control).rssMb, data: usageOf(worker.pid).rssMb };
      const documents = await world.count(tenant);
      const figures = await chainFigures(world.temporal, handle.workflow.workflowId, CONCURRENCY);
      const perVideo = (seconds * 1000) / videos;
      print({
        bench: 'ingest',
        row: `${videos.toLocaleString('en')} videos, stand-in encoder`,
        unit: 'ms/video',
        ours: round(perVideo),
        ...(before === undefined
          ? {}
          : {
              peer: round(before.perVideo),
              peerName: `ours with ${before.videos.toLocaleString('en')} videos`,
              ratio: round(before.perVideo / perVideo),
            }),
        lost: videos * STAND_IN_DOCUMENTS - documents,
        lostInLedger: videos - ended.videos.stored,
        seconds: round(seconds, 1),
        concurrency: CONCURRENCY,
        videos,
        documents,
        cpuSeconds,
        workerRssMb: rss,
        eventsPerVideo: round(figures.events / videos),
        ...figures,
      });
      before = { videos, perVideo };
    }
  } finally {
    await worker.stop();
  }
}
