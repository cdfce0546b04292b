import { z } from 'zod';
import type { Strategy } from '../domain/config/keys.js';
import type { Agent, Ballot, Route } from '../domain/routing.js';
import { queryText, tenantId } from './common.js';

export const routeInput = z.strictObject({
  tenant: tenantId,
  query: queryText,
  /** Groups queries in Phoenix. */
  session: z.exactOptional(z.string().min(1).max(200)),
});
export type RouteInput = z.infer<typeof routeInput>;

/** A strategy's ballot as it was cast, and whether it took part in the decision. */
export type Vote = Ballot & {
  readonly counted: boolean;
  /** Milliseconds. */
  readonly latencyMs: number;
};

export interface RouteResult {
  readonly tenant: string;
  readonly agent: Agent;
  /** 0 to 1; 0 for a fallback. */
  readonly confidence: number;
  readonly route: Route;
  readonly votes: readonly Vote[];
  /** In use and not asked: a strategy before them decided. */
  readonly notAsked: readonly Strategy[];
  /** Of the decision's span in the tenant's Phoenix project; null: none was sent. */
  readonly span: string | null;
  readonly latencyMs: number;
}
