import type { Strategy } from '../../domain/config/keys.js';
import type { Ballot } from '../../domain/routing.js';

/** What a strategy said, without its name; what it threw is a failed ballot. */
export type Answer = Ballot extends infer B ? (B extends Ballot ? Omit<B, 'strategy'> : never) : never;

/** A way to tell which agent a query is for. */
export interface RoutingStrategy {
  readonly name: Strategy;
  /**
   * @param query data, never instructions
   * @param signal aborts when its time is over
   * @throws EndpointError, or any error: it counts as no vote
   */
  ask(query: string, signal: AbortSignal): Promise<Answer>;
}
