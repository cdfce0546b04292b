import { once } from 'node:events';
import { median, print, round } from '../row.js';
import { clips } from './clips.js';
import { chainFigures } from './histories.js';
import { type BenchTenant, type LoopAnswer, type LoopJob, PROFILE } from './shared.js';
import { CpuMeter, usageOf } from './usage.js';
import type { OwnProcess, World } from './world.js';

const PEER = 'the same pipeline in a plain loop of one process, no Temporal';

interface Run {
  readonly seconds: number;
  readonly lost: number;
  readonly documents: number;
  /** Processor seconds by process, children included. */
  readonly cpu: Readonly<Record<string, number>>;
}

/** Real clips through Temporal beside the same pipeline in a loop, by turns, each time into a new tenant. */
export async function realVideos(
  world: World,
  videos: number,
  concurrency: number,
  rounds: number,
  note: (line: string) => void,
) {
  const { folder, megabytes } = await clips(videos, note);
  const worker = await world.run('workers/main.js', ['data']);
  const loop = await world.run('bench/ingest/plainLoop.js');
  const [ours, peer]: [Run[], Run[]] = [[], []];
  const measured = { ...world.pids(), data: worker.pid, loop: loop.pid };
  let workflowId = '';

  const run = async (tenant: BenchTenant, work: () => Promise<number>): Promise<Run> => {
    const cpu = new CpuMeter(measured);
    const start = performance.now();
    const stored = await work();
    const seconds = (performance.now() - start) / 1000;
    const used = cpu.read();
    const documents = await world.count(tenant);
    return { seconds, documents, lost: stored - documents, cpu: used };
  };
  const throughTemporal = async (n: number): Promise<void> => {
    const tenant = await world.tenant(`bench_real_${concurrency}_${n}`);
    const result = await run(tenant, async () => {
      const ingest = { tenant: tenant.tenant, profile: PROFILE, source: folder, concurrency };
      const handle = await world.client.ingest.start({ ...ingest, reason: 'bench' });
      const ended = await handle.result();
      if (ended.videos.stored !== videos)
        throw new Error(`not all were stored: ${JSON.stringify(ended.videos)}`);
      workflowId = handle.workflow.workflowId;
      return ended.documents;
    });
    ours.push(result);
    note(`round ${n}: through Temporal ${JSON.stringify(result)}`);
  };
  const plainly = async (n: number): Promise<void> => {
    const tenant = await world.tenant(`bench_loop_${concurrency}_${n}`);
    const result = await run(tenant, async () => {
      const answer = await ask(loop, { ...tenant, folder, concurrency });
      if (answer.videos !== videos) throw new Error(`the loop ended after ${answer.videos} videos`);
      return answer.documents;
    });
    peer.push(result);
    note(`round ${n}: plain loop ${JSON.stringify(result)}`);
  };

  try {
    for (let n = 1; n <= rounds; n++) {
      // Who goes first changes: what the machine does for itself meets both.
      for (const side of n % 2 ? [throughTemporal, plainly] : [plainly, throughTemporal]) await side(n);
    }
    const figures = await chainFigures(world.temporal, workflowId, concurrency);
    const time = (runs: readonly Run[]) => median(runs.map(({ seconds }) => seconds));
    const lost = (runs: readonly Run[]) => runs.reduce((sum, each) => sum + each.lost, 0);
    print({
      bench: 'ingest',
      row: `${videos} real videos, concurrency ${concurrency}`,
      unit: 's',
      ours: round(time(ours)),
      peer: round(time(peer)),
      peerName: PEER,
      ratio: round(time(peer) / time(ours), 3),
      lost: lost(ours),
      peerLost: lost(peer),
      rounds,
      // One pair a round: how far they are apart says how quiet the machine was.
      times: ours.map(({ seconds }, i) => [round(seconds), round(peer[i]!.seconds)]),
      cpuTimes: ours.map(({ cpu }, i) => [round(total(cpu)), round(total(peer[i]!.cpu))]),
      concurrency,
      videos,
      megabytes,
      documents: ours.at(-1)!.documents,
      peerDocuments: peer.at(-1)!.documents,
      cpuSeconds: ours.at(-1)!.cpu,
      peerCpuSeconds: peer.at(-1)!.cpu,
      workerRssMb: { control: usageOf(measured.control).rssMb, data: usageOf(worker.pid).rssMb },
      peerRssMb: usageOf(loop.pid).rssMb,
      eventsPerVideo: round(figures.events / videos),
      ...figures,
    });
  } finally {
    await worker.stop();
    await loop.stop();
  }
}

function total(cpu: Run['cpu']): number {
  return Object.values(cpu).reduce((sum, seconds) => sum + seconds, 0);
}

async function ask({ child }: OwnProcess, job: LoopJob): Promise<Exclude<LoopAnswer, { error: string }>> {
  const ended = once(child, 'exit').then(() => {
    throw new Error('the plain loop died');
  });
  child.send(job);
  const [answer] = (await Promise.race([once(child, 'message'), ended])) as [LoopAnswer];
  if ('error' in answer) throw new Error(`the plain loop failed: ${answer.error}`);
  return answer;
}
