import type { ApiHandler } from '../api.js';
import { type VisitFaultOptions, visitWithFault } from './visitFaults.js';

export interface FaultOptions {
  /** Share of document operations answered with a fault, 0 to 1. */
  readonly rate: number;
  readonly statuses: readonly number[];
  readonly seed: number;
  readonly visits?: VisitFaultOptions;
}

/**
 * For tests and benchmarks of clients: answers a seeded share of writes with errors, before they are done, and breaks a
 * seeded share of streamed visits. Visits have their own row of random numbers, so that they do not move the writes'.
 */
export function withFaults(handler: ApiHandler, options: FaultOptions): ApiHandler {
  const { visits } = options;
  const [forWrites, forVisits] = [randomFrom(options.seed), randomFrom(options.seed)];
  return async (request) => {
    const isStreamed = request.method === 'GET' && /(?:^|&)stream=true(?:&|$)/.test(request.query);
    if (isStreamed && visits && forVisits() < visits.rate)
      return visitWithFault(handler, request, visits, forVisits);
    if (request.method === 'GET' || options.rate <= 0 || forWrites() >= options.rate) return handler(request);
    await request.body();
    const status = options.statuses[Math.floor(forWrites() * options.statuses.length)] ?? 503;
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

/** Numbers from 0 to below 1. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
