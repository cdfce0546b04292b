import { chmod, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { CvopsClient } from '../src/client/index.js';
import { parseTenantId } from '../src/domain/ids.js';
import { inLanes } from '../src/inLanes.js';
import { startStack } from '../src/embedded/stack.js';
import { PhoenixClient } from '../src/phoenix/client.js';
import { drainSpans } from '../src/phoenix/drain.js';
import { loadSettings } from '../src/settings.js';
import { median, print, round } from './row.js';

const [TENANTS, CREATIONS, ROUNDS] = [50, 8, 3];
const PROFILE = 'video_colpali_smol500_mv_frame';

/** Canaries of 50 tenants in four stores, every ordered pair, as a whole operation beside the embedded stack. */
export async function isolation(args: readonly string[]): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-bench-'));
  // Made by the stack, so that the user PostgreSQL runs as may enter it.
  await chmod(folder, 0o755);
  const home = path.join(folder, 'home');
  const note = (line: string) => process.stderr.write(`${line}\n`);
  process.env['CVOPS_VENV'] ??= path.resolve('.cvops', 'venv');
  const stack = await startStack({ home, portOffset: Number(args[0] ?? 20_000), log: note, env: {} });
  const settings = loadSettings({ CVOPS_HOME: home });
  const client = await CvopsClient.connect(settings);
  try {
    note(`creating ${TENANTS} tenants`);
    // Not all at once: Phoenix of a busy machine takes longer for so many projects than anybody waits for an answer.
    await inLanes(
      Array.from({ length: TENANTS }, (_, i) => parseTenantId(`bench_${i}`)),
      CREATIONS,
      async (tenant) => {
        const wanted = { tenant, template: 'startup', overrides: {}, reason: 'bench' };
        const handle = await client.createTenant({ ...wanted, profiles: [PROFILE] });
        await handle.result();
      },
    );
    // Spans of the creations are not what is measured: canaries would wait behind them.
    await drainSpans(new PhoenixClient(settings.phoenixUrl), { timeoutMs: 15 * 60_000 });
    const [seconds, loads]: [number[], number[]] = [[], []];
    let pairs = 0;
    for (let turn = 0; turn < ROUNDS; turn++) {
      const started = performance.now();
      const run = await client.isolation.verify({ tenants: 'all', reason: 'bench' });
      const result = await run.result();
      seconds.push(round((performance.now() - started) / 1000));
      loads.push(round(os.loadavg()[0]!));
      note(`round ${turn + 1}: ${seconds.at(-1)} s`);
      if (!result.ok || result.skipped.length > 0) throw new Error(JSON.stringify(result));
      pairs = result.pairs;
    }
    print({
      ...{
        bench: 'isolation',
        row: `${TENANTS} tenants, documents, memory, spans, configuration`,
        unit: 's',
      },
      ...{ ours: median(seconds), pairs, rounds: seconds, loads },
      skipped: 'nothing comparable is known that could be its peer',
    });
  } finally {
    await client.close();
    await stack.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
