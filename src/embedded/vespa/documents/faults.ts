import type { ApiHandler } from '../api.js';

export interface FaultOptions {
  /** Share of document operations answered with a fault, 0 to 1. */
  readonly rate: number;
  readonly statuses: readonly number[];
  readonly seed: number;
}

/** For tests and benchmarks of clients: answers a seeded share of writes with errors, before they are done. */
export function withFaults(handler: ApiHandler, options: FaultOptions): ApiHandler {
  if (options.rate <= 0) return handler;
  let state = options.seed >>> 0 || 1;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return async (request) => {
    if (request.method === 'GET' || random() >= options.rate) return handler(request);
    await request.body();
    const status = options.statuses[Math.floor(random() * options.statuses.length)] ?? 503;
    // A 503 has no JSON: there was no thread to write any.
    return status === 503
      ? { status }
      : {
          status,
          headers: { 'content-type': 'application/json; charset=UTF-8' },
          body: JSON.stringify({ pathId: request.path, message: `injected ${status}` }),
        };
  };
}
