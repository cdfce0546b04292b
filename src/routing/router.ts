import { setTimeout as delay } from 'node:timers/promises';
import type { Vote } from '../contracts/routing.js';
import type { RoutingConfig, Strategy } from '../domain/config/keys.js';
import { redactForeign } from '../domain/redaction.js';
import { type Ballot, type Decision, decide, reaches } from '../domain/routing.js';
import { EndpointError } from '../guardedJson.js';
import type { RoutingStrategy } from './strategies/port.js';

export interface Routed {
  readonly decision: Decision;
  /** In the order of the configuration, of those that were asked. */
  readonly votes: readonly Vote[];
}

/**
 * Asks the strategies of a configuration and decides by it. `ensemble` asks all at once; `tiered` one after the other
 * until one decides, or all with `askAll`. One that fails or takes longer than it may has no vote, and its ballot says why.
 *
 * @param open gives a strategy; what it throws is that strategy's failure
 */
export async function route(
  config: RoutingConfig,
  query: string,
  open: (strategy: Strategy) => Promise<RoutingStrategy>,
  options: { readonly timeoutMs: number; readonly askAll?: boolean },
): Promise<Routed> {
  const ask = (strategy: Strategy) => cast(strategy, query, open, options.timeoutMs);
  const asked: Cast[] = [];
  if (config.routing_mode === 'ensemble') {
    asked.push(...(await Promise.all(config.strategies.map(ask))));
  } else {
    for (const strategy of config.strategies) {
      const one = await ask(strategy);
      asked.push(one);
      if (reaches(config, one.ballot) && !options.askAll) break;
    }
  }
  const decision = decide(
    config,
    asked.map(({ ballot }) => ballot),
  );
  const votes = asked.map(({ ballot, latencyMs }) => ({
    ...ballot,
    counted: decision.counted.includes(ballot.strategy),
    latencyMs,
  }));
  return { decision, votes };
}

interface Cast {
  readonly ballot: Ballot;
  readonly latencyMs: number;
}

async function cast(
  strategy: Strategy,
  query: string,
  open: (strategy: Strategy) => Promise<RoutingStrategy>,
  timeoutMs: number,
): Promise<Cast> {
  const clock = performance.now();
  const over = new AbortController();
  // Not left to the strategy: one that does not listen to its signal must not hold up the others' decision.
  const late = delay(timeoutMs, undefined, { signal: over.signal }).then(() => {
    throw new EndpointError(`no answer within ${timeoutMs} ms`, true);
  });
  late.catch(() => undefined);
  let ballot: Ballot;
  try {
    const answer = open(strategy).then((opened) => opened.ask(query, over.signal));
    answer.catch(() => undefined);
    ballot = { strategy, ...(await Promise.race([answer, late])) };
  } catch (error) {
    ballot = { strategy, outcome: 'failed', reason: reasonOf(error) };
  } finally {
    over.abort();
  }
  return { ballot, latencyMs: Math.round((performance.now() - clock) * 100) / 100 };
}

/** For a span and the registry: what an endpoint said of itself stays out of it. */
function reasonOf(error: unknown): string {
  return redactForeign(error instanceof Error ? error.message : String(error)).slice(0, 200);
}
