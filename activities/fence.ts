import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from '../src/registry/database.js';
import { lowerFence, raiseFence, renewFence, writersOf } from '../src/registry/fence.js';
import { heartbeating } from './heartbeat.js';
import type { FenceActivities } from './types.js';

const LOOK_EVERY_MS = 500;

export function createFenceActivities({ pool }: { readonly pool: Pool }): FenceActivities {
  return {
    async raiseFence(key) {
      return { from: await raiseFence(pool, key) };
    },

    async awaitWriters({ incarnation }) {
      await heartbeating((signal) => until(async () => (await writersOf(pool, incarnation)) === 0, signal));
    },

    async renewFence(key) {
      return { held: await renewFence(pool, key) };
    },

    async lowerFence(key) {
      await lowerFence(pool, key);
    },
  };
}

/** Looks twice a second. @throws the signal's reason */
export async function until(isSo: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await isSo())) await delay(LOOK_EVERY_MS, undefined, { signal });
}
