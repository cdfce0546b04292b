import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../domain/errors.js';
import type { ConfigServer } from './configServer.js';
import { call, jsonOf } from './http.js';

/**
 * Waits until every service runs the generation and the container answers for each schema. A deploy's 200 only says
 * that it will be so: until then feeding a new schema is refused with 400.
 *
 * @throws OpsError `Unavailable` after `timeoutMs`
 */
export async function waitForConvergence(
  server: ConfigServer,
  vespaUrl: string,
  want: { readonly generation: number; readonly schemas: readonly string[] },
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const deadline = Date.now() + options.timeoutMs;
  const poll = async (what: string, done: () => Promise<boolean>): Promise<void> => {
    for (let pause = 100; ; pause = Math.min(2000, pause * 1.5)) {
      options.signal?.throwIfAborted();
      if (await done().catch(() => false)) return;
      if (Date.now() > deadline)
        throw new OpsError(
          'Unavailable',
          `${what} within ${options.timeoutMs / 1000} s`,
          'see the config server and container logs',
        );
      await delay(pause);
    }
  };
  await poll(`generation ${want.generation} did not converge`, async () => {
    const state = await server.convergence();
    return state !== undefined && state.converged && state.wantedGeneration >= want.generation;
  });
  for (const schema of want.schemas) {
    await poll(`the container does not know schema ${schema}`, () =>
      answersFor(vespaUrl, schema, options.signal),
    );
  }
}

/** Whether the container knows the schema: a query for no hits, the cheapest call that is refused for an unknown one. */
export async function answersFor(vespaUrl: string, schema: string, signal?: AbortSignal): Promise<boolean> {
  const body = JSON.stringify({
    yql: `select * from ${schema} where true`,
    hits: 0,
    'model.restrict': schema,
    'ranking.profile': 'unranked',
    timeout: '5s',
  });
  const answer = await call('POST', `${vespaUrl}/search/`, { body, type: 'application/json', signal });
  const root = (jsonOf(answer) as { root?: { errors?: unknown[] } } | undefined)?.root;
  return answer.status === 200 && root !== undefined && (root.errors ?? []).length === 0;
}
