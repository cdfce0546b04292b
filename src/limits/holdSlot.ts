import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from '../registry/database.js';
import { SLOT_SECONDS, type SlotKey, releaseSlot, renewSlot, takeSlot } from './slots.js';
import { whileRenewed } from './whileRenewed.js';

/** All of a tenant's slots are taken: come back later. */
export class TenantBusy extends Error {
  override readonly name = 'TenantBusy';
}

/** Another try of the same video has taken the slot over, or the database was away for too long. */
export class SlotLost extends Error {
  override readonly name = 'SlotLost';
}

const WAIT_MS = 1000;
const LOOK_EVERY_MS = 150;

/** Takes, renews and gives back slots for the videos of one process. */
export class VideoSlots {
  /** By life, how to wake the one who waits here. Others of the same do not wait too: each would hold up its worker. */
  private readonly waiting = new Map<string, () => void>();

  constructor(
    private readonly pool: Pool,
    private readonly renewEveryMs = (SLOT_SECONDS * 1000) / 4,
  ) {}

  /**
   * Runs `work` while a slot of the tenant is held. Waits a second for one at most, and only as the first of its process.
   *
   * @param work its signal also aborts when the slot is lost
   * @throws TenantBusy; SlotLost; the signal's reason; what `work` throws
   */
  async hold<T>(key: SlotKey, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const holder = randomUUID();
    await this.take(key, holder, signal);
    const renewing = {
      everyMs: this.renewEveryMs,
      renew: () => renewSlot(this.pool, key, holder),
      lost: () => new SlotLost('the slot of this video is somebody else’s now'),
      release: () => releaseSlot(this.pool, key, holder),
    };
    try {
      return await whileRenewed(renewing, signal, work);
    } finally {
      this.waiting.get(key.incarnation)?.();
    }
  }

  private async take(key: SlotKey, holder: string, signal: AbortSignal): Promise<void> {
    const { incarnation } = key;
    // Nobody takes the slot that the one who waits is about to find.
    if (this.waiting.has(incarnation)) throw busy();
    if (await takeSlot(this.pool, key, holder)) return;
    if (this.waiting.has(incarnation)) throw busy();
    try {
      const end = performance.now() + WAIT_MS;
      while (performance.now() < end) {
        const woken = new Promise<void>((wake) => this.waiting.set(incarnation, wake));
        await Promise.race([woken, delay(LOOK_EVERY_MS, undefined, { signal })]);
        if (await takeSlot(this.pool, key, holder)) return;
      }
    } finally {
      this.waiting.delete(incarnation);
    }
    throw busy();
  }
}

function busy(): TenantBusy {
  return new TenantBusy('as many videos of the tenant are in work as it may have');
}
