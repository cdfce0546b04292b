import type { IsolationWay } from '../domain/canaries.js';
import type { canarySpan } from './canaries.js';
import type { Finding, LooksBy } from './look.js';
import type { World } from './world.js';

/** A finding that must be there. */
export interface Sight {
  readonly name: IsolationWay;
  readonly by: LooksBy;
  readonly fits: (finding: Finding, world: World) => boolean;
}

export function sight(by: Exclude<LooksBy, 'remember'>, fits: Sight['fits']): Sight {
  return { name: by, by, fits };
}

/** That `a` sees something of `b`. */
function seesB({ a, b }: Finding, world: World): boolean {
  return a === world.a.tenant && b === world.b.tenant;
}

/** By each of these. */
export function ofB(...by: readonly Exclude<LooksBy, 'remember'>[]): Sight[] {
  return by.map((each) => sight(each, seesB));
}

export function memoryOfB(...by: readonly LooksBy[]): Sight[] {
  return by.map((each) => ({ name: 'memory', by: each, fits: seesB }));
}

/** A project is looked through for canaries and for others' spans: just this one of `b` is seen. */
export function spanOfB(which: typeof canarySpan): Sight {
  const isIt = ({ detail }: Finding, { b }: World) => detail.includes(which(b).context.span_id);
  return sight('spans', (finding, world) => seesB(finding, world) && isIt(finding, world));
}
