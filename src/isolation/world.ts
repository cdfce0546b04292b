import type { Member } from './member.js';
import type { IsolationStores, Ways } from './ways.js';

/** Two throw-away tenants; the name of `b` begins with that of `a`, and `b` has a video schema that `a` has not. */
export interface World {
  readonly stores: IsolationStores;
  readonly a: Member;
  readonly b: Member;
  /** How each of them looks. */
  readonly waysOf: (me: Member) => Ways;
  readonly signal: AbortSignal;
}
