import type { ChildProcess } from 'node:child_process';
import { type FSWatcher, watch } from 'node:fs';
import { CountingProxy } from './countingProxy.js';

/**
 * What all workers' work is made of: documents that visits bring, halves of feed requests (puts and removals also alone),
 * files made in the store.
 */
export type KillEvent = 'visit' | 'feed' | 'put' | 'removal' | 'store';

export interface KillPoint {
  readonly at: KillEvent;
  /** How many of these there have been since the beginning. */
  readonly count: number;
  /** So long after it. */
  readonly laterMs?: number;
}

interface Slot {
  readonly proxy: CountingProxy;
  readonly env: Readonly<Record<string, string>>;
  worker: ChildProcess | undefined;
}

/** Keeps data workers running, and ends at each point, with SIGKILL, the one whose work it is. */
export class Killer {
  /** The points that were reached. */
  readonly killed: KillPoint[] = [];
  private readonly slots: Slot[] = [];
  private readonly seen: Record<KillEvent, number> = { visit: 0, feed: 0, put: 0, removal: 0, store: 0 };
  private readonly due: KillPoint[];
  private readonly watched: FSWatcher;
  private lastAtWork: Slot | undefined;
  private over = false;
  private failure: Error | undefined;

  /**
   * @param store folder of the backup store, which must be there
   * @param start starts a worker that polls, with these variables
   */
  constructor(
    store: string,
    points: readonly KillPoint[],
    private readonly start: (env: Readonly<Record<string, string>>) => Promise<ChildProcess>,
  ) {
    this.due = [...points];
    this.watched = watch(store, { recursive: true }, () => this.happened('store', this.lastAtWork));
  }

  /** A worker behind a proxy of its own. @param visitRate see {@link CountingProxy.visitRate} */
  async add(vespaUrl: string, visitRate: number): Promise<void> {
    const proxy = new CountingProxy(vespaUrl);
    proxy.visitRate = visitRate;
    const slot: Slot = { proxy, env: { VESPA_URL: await proxy.listen() }, worker: undefined };
    proxy.onRequest = ({ method, when, documents }) => {
      this.lastAtWork = slot;
      if (when === 'during') this.happened('visit', slot, documents);
      else if (method !== 'GET') this.happened('feed', slot);
      if (method === 'POST') this.happened('put', slot);
      if (method === 'DELETE') this.happened('removal', slot);
    };
    this.slots.push(slot);
    await this.begin(slot);
  }

  /** Documents that visits have brought to all workers. */
  visited(schema: string): number {
    return this.slots.reduce((sum, { proxy }) => sum + (proxy.visited.get(schema) ?? 0), 0);
  }

  /** Puts that the server acknowledged, of whatever documents. */
  get puts(): number {
    return this.slots.flatMap(({ proxy }) => [...proxy.puts.values()]).reduce((sum, n) => sum + n, 0);
  }

  /** @throws what starting a worker again threw */
  async close(): Promise<void> {
    this.over = true;
    this.watched.close();
    for (const { worker } of this.slots) worker?.kill('SIGKILL');
    for (const { proxy } of this.slots) await proxy.close();
    if (this.failure !== undefined) throw this.failure;
  }

  private async begin(slot: Slot): Promise<void> {
    const worker = await this.start(slot.env);
    slot.worker = worker;
    worker.once('close', () => {
      slot.worker = undefined;
      if (!this.over) this.begin(slot).catch((error: Error) => (this.failure = error));
    });
    if (this.over) worker.kill('SIGKILL');
  }

  private happened(event: KillEvent, slot: Slot | undefined, times = 1): void {
    const count = (this.seen[event] += times);
    // Requests of a worker that was just killed still come in: the point is then the next one's.
    if (slot?.worker === undefined || slot.worker.killed) return;
    const index = this.due.findIndex((point) => point.at === event && point.count <= count);
    const [point] = index === -1 ? [] : this.due.splice(index, 1);
    if (point === undefined) return;
    this.killed.push(point);
    const { worker } = slot;
    if (point.laterMs === undefined) worker.kill('SIGKILL');
    else setTimeout(() => worker.kill('SIGKILL'), point.laterMs);
  }
}
