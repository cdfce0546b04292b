import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SYSTEM_CONFIG } from '../src/domain/config/keys.js';
import { type Incarnation, parseIncarnation, parseOperationId, parseTenantId } from '../src/domain/ids.js';
import { phoenixProjectName } from '../src/domain/naming.js';
import { NoTurn, TenantRates } from '../src/limits/rate.js';
import { SEARCH_WAIT_MS } from '../src/quotas/calls.js';
import { putConfig } from '../src/registry/config.js';
import { migrate } from '../src/registry/migrate.js';
import { openPool } from '../src/registry/database.js';
import { insertTenant, setTenantState } from '../src/registry/tenants.js';
import { startTestPostgres } from '../test/support/postgres.js';
import { print, round } from './row.js';

const [SECONDS, PROCESSES, TAKERS] = [10, 2, 8];

interface Asked {
  readonly url: string;
  readonly incarnation: Incarnation;
}

/** `max_qps` of searches over two processes that ask as fast as they may, for ten seconds each. */
export async function qps(args: readonly string[]): Promise<void> {
  if (args[0] === 'child') return child(JSON.parse(args[1]!) as Asked);
  const server = await startTestPostgres();
  try {
    await migrate(server.url);
    for (const limit of [5, 10, 100]) {
      const incarnation = await tenant(server.url, limit);
      const asked: Asked = { url: server.url, incarnation };
      const processes = await Promise.all(Array.from({ length: PROCESSES }, () => started(asked)));
      const from = Date.now() + 200;
      const given = await Promise.all(processes.map((one) => granted(one, from)));
      const perSecond = given.reduce((sum, n) => sum + n, 0) / SECONDS;
      print({
        ...{
          bench: 'qps',
          row: `max_qps ${limit}, ${PROCESSES} processes, ${SECONDS} s`,
          unit: 'searches/s',
        },
        ...{ ours: round(perSecond), peer: limit, peerName: 'the limit', ratio: round(perSecond / limit, 3) },
        each: given,
      });
    }
  } finally {
    await server.stop();
  }
}

async function tenant(url: string, max_qps: number): Promise<Incarnation> {
  const pool = openPool(url, { name: 'bench', max: 1 });
  const [id, incarnation] = [parseTenantId(`qps${max_qps}`), parseIncarnation(randomUUID())];
  await insertTenant(pool, {
    ...{ tenant: id, incarnation, template: 'trial', phoenixProject: phoenixProjectName(id) },
    ...{ memoryEnabled: false, createOperation: parseOperationId(randomUUID()) },
  });
  await setTenantState(pool, incarnation, ['creating'], 'active');
  const write = { value: { max_qps }, author: 'bench', reason: '' };
  await putConfig(pool, { ...SYSTEM_CONFIG, incarnation }, 0, write);
  await pool.end();
  return incarnation;
}

async function started(asked: Asked): Promise<ChildProcess> {
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  const one = fork(main, ['qps', 'child', JSON.stringify(asked)]);
  await once(one, 'message');
  return one;
}

/** @param from milliseconds since the epoch */
async function granted(one: ChildProcess, from: number): Promise<number> {
  one.send(from);
  const [given] = (await once(one, 'message')) as [number];
  return given;
}

/** Tells how many searches it was let make. */
async function child({ url, incarnation }: Asked): Promise<void> {
  const pool = openPool(url, { name: 'bench-child', max: 4 });
  const rates = new TenantRates(pool);
  await pool.query('select 1');
  process.send!('ready');
  const [from] = (await once(process, 'message')) as [number];
  await new Promise((begin) => setTimeout(begin, from - Date.now()));
  // Of one clock: each process by its own would make the ten seconds of both together longer.
  const until = from + SECONDS * 1000;
  let given = 0;
  const taker = async () => {
    for (;;) {
      const turn = await rates.takeWithin({ incarnation, kind: 'search' }, SEARCH_WAIT_MS).then(
        () => true,
        (error: unknown) => {
          if (error instanceof NoTurn) return false;
          throw error;
        },
      );
      if (Date.now() >= until) return;
      if (turn) given++;
    }
  };
  await Promise.all(Array.from({ length: TAKERS }, taker));
  await pool.end();
  process.send!(given);
  process.disconnect();
}
