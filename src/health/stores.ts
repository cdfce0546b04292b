import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { STORES, type Store } from '../domain/health/checks.js';
import { orAborted } from '../orAborted.js';
import { call, jsonOf } from '../vespa/http.js';
import type { HealthResources } from './resources.js';

const ANSWER_MS = 5_000;
/** A connection that was cut by a restart, or a blink of the network, is no outage. */
const AGAIN_MS = 1_000;

/** Why each that does not answer is taken to be away; none when all are there. */
export type Away = ReadonlyMap<Store, string>;

/** Asks each outside system for its cheapest answer, twice before it counts as away. */
export async function storesAway(resources: HealthResources): Promise<Away> {
  const found = await Promise.all(
    STORES.map(async (store): Promise<[Store, string][]> => {
      if ((await silence(store, resources)) === undefined) return [];
      await delay(AGAIN_MS);
      const why = await silence(store, resources);
      return why === undefined ? [] : [[store, why]];
    }),
  );
  return new Map(found.flat());
}

async function silence(store: Store, resources: HealthResources): Promise<string | undefined> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  try {
    await orAborted(PROBES[store](resources, signal), signal);
    return undefined;
  } catch (error) {
    if (signal.aborted) return `no answer within ${ANSWER_MS / 1000} s`;
    return error instanceof Error ? error.message : String(error);
  }
}

const PROBES: Readonly<Record<Store, (resources: HealthResources, signal: AbortSignal) => Promise<unknown>>> =
  {
    async vespa({ configServer, vespaUrl }, signal) {
      // Without an application there is no container to ask.
      if ((await configServer.activeGeneration()) === undefined) return;
      const answer = await call('GET', `${vespaUrl}/state/v1/health`, { signal });
      const { status } = (jsonOf(answer) ?? {}) as { status?: { code?: string } };
      if (answer.status !== 200 || status?.code !== 'up')
        throw new Error(`the container says ${status?.code ?? `HTTP ${answer.status}`}`);
    },

    phoenix: ({ phoenix }) => phoenix.get('/v1/projects?limit=1', z.object({ data: z.array(z.unknown()) })),

    temporal: async ({ temporal }) => (await temporal()).workflowService.getSystemInfo({}),
  };
