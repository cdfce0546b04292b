import type { ChildProcess } from 'node:child_process';
import { expect } from 'vitest';
import type { Pool } from '../../src/registry/database.js';
import { CountingProxy } from './countingProxy.js';
import { stackSettings } from './cvops.js';
import type { OwnWorkers } from './ownWorkers.js';

/** By video: how often it was begun, which is counted before the work, and whether it has ended. */
export type Ledger = ReadonlyMap<string, { readonly tries: number; readonly ended: boolean }>;

export async function ledgerOf(pool: Pool, tenant: string): Promise<Ledger> {
  const { rows } = await pool.query<{ video: string; tries: number; ended: boolean }>(
    `select i.video, i.tries, i.ended_at is not null as ended
     from ingest_items i join operations o using (operation) where o.tenant = $1`,
    [tenant],
  );
  return new Map(rows.map(({ video, ...row }) => [video, row]));
}

/** A worker from its start to its kill, if it had one. */
export class Life {
  /** Just before its kill, and when nothing that it had sent to Postgres was under way any more. */
  killed: { readonly before: Ledger; readonly after: Ledger } | undefined;

  constructor(readonly proxy: CountingProxy) {}

  /** Videos of which it put at least one document. */
  get put(): ReadonlySet<string> {
    return new Set([...this.proxy.puts.keys()].map((id) => id.replace(/_seg_\d+$/, '')));
  }

  /** Whether the kill met the video in work: here, in another worker, or left there by a kill before. */
  met(video: string): boolean {
    const { before, after } = this.killed ?? {};
    return (after?.get(video)?.tries ?? 0) > 0 && before?.get(video)?.ended !== true;
  }

  /** Whether it met it in this try. Between the two looks another may have been begun. */
  metIn(video: string, nth: number): boolean {
    const { before, after } = this.killed ?? {};
    const least = before?.get(video)?.tries ?? 0;
    return this.met(video) && least <= nth && nth <= (after?.get(video)?.tries ?? 0);
  }

  /** Videos of which it put something and that its kill left without their end. */
  get torn(): string[] {
    return [...this.put].filter((video) => this.met(video) && this.killed?.after.get(video)?.ended === false);
  }
}

/** A worker to which nothing happens for so long is killed as it waits: all videos may be orphaned for the moment. */
const QUIET_MS = 6_000;

/** Kills data workers, one after the other, each at a point of its own, until `kills` are used up. */
export class IngestKiller {
  readonly killedAt: Record<string, number> = {};
  readonly lives: Life[] = [];
  /** Connections to Postgres that those who were killed had at that moment. */
  sessions = 0;
  private left: number;
  /** Puts of all workers until the first kill, which so has the last of them put again. */
  private first: number;

  /** @param slots videos that a worker has in work at once */
  constructor(
    private readonly of: {
      readonly workers: OwnWorkers;
      readonly pool: Pool;
      readonly tenant: string;
      readonly kills: number;
      readonly slots: number;
      readonly random: () => number;
    },
  ) {
    this.left = of.kills;
    this.first = Math.floor(of.random() * of.slots * 10);
  }

  get kills(): number {
    return Object.values(this.killedAt).reduce((sum, n) => sum + n, 0);
  }

  /** The life of one worker slot: started, killed, started again; the last one is left alive. */
  async run(): Promise<void> {
    const { workers, pool, tenant } = this.of;
    for (;;) {
      const life = new Life(new CountingProxy(stackSettings().vespaUrl));
      const name = `killed-${this.lives.push(life)}`;
      const database = new URL(stackSettings().databaseUrl);
      database.searchParams.set('application_name', name);
      const env = { VESPA_URL: await life.proxy.listen(), DATABASE_URL: database.href };
      const worker = await workers.start('data', env);
      if (this.left-- <= 0) return;
      const before = await this.killSomewhere(worker, life.proxy, name);
      // What it sent before its end may still be carried out.
      await expect.poll(() => this.sessionsOf(name)).toBe(0);
      life.killed = { before, after: await ledgerOf(pool, tenant) };
    }
  }

  async close(): Promise<void> {
    for (const { proxy } of this.lives) await proxy.close();
  }

  /**
   * At a request to Vespa (before or after it has it), or some time into reading, decoding, encoding, writing down.
   *
   * @returns the ledger just before
   */
  private async killSomewhere(worker: ChildProcess, proxy: CountingProxy, name: string): Promise<Ledger> {
    const { pool, tenant, slots, random } = this.of;
    const dead = new Promise((resolve) => worker.once('close', resolve));
    let before: Promise<Ledger> | undefined;
    const kill = async (where: string) => {
      if (before !== undefined) return;
      before = ledgerOf(pool, tenant);
      await before;
      this.sessions += await this.sessionsOf(name);
      worker.kill('SIGKILL');
      this.killedAt[where] = (this.killedAt[where] ?? 0) + 1;
    };
    // A video sends some 20 halves of requests: from the first one's first into the second round.
    let requests = Math.floor(random() * slots * 20);
    const atRequest = random() < 0.8;
    // Where nothing is sent there is no request to wait for.
    const timer = setTimeout(
      () => {
        if (this.kills === 0) timer.refresh();
        else void kill('some time');
      },
      atRequest ? QUIET_MS : random() * 1_500,
    );
    proxy.onRequest = async ({ method, when }) => {
      if (this.kills === 0) {
        if (when === 'after' && method === 'POST' && this.first-- === 0) await kill('after POST');
      } else if (atRequest) {
        timer.refresh();
        if (requests-- === 0) await kill(`${when} ${method}`);
      }
    };
    await dead;
    clearTimeout(timer);
    proxy.onRequest = () => undefined;
    return before!;
  }

  private async sessionsOf(name: string): Promise<number> {
    const { rows } = await this.of.pool.query<{ sessions: number }>(
      'select count(*) as sessions from pg_stat_activity where application_name = $1',
      [name],
    );
    return rows[0]!.sessions;
  }
}
