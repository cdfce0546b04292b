import { isUuid } from '../domain/ids.js';
import type { Queryable } from '../registry/database.js';
import { isForeignLife } from '../registry/access.js';
import { type Denial, type Principal } from './principal.js';

/** What an input says of whom it is about, wherever in it. */
export interface Named {
  readonly tenants: readonly string[];
  readonly incarnations: readonly string[];
  readonly principals: readonly string[];
  /** Over all tenants. */
  readonly everybody: boolean;
}

const DEPTH = 6;

/** Reads the names out of an input, which may be anything. */
export function namedIn(input: unknown): Named {
  const found = {
    tenants: new Set<string>(),
    incarnations: new Set<string>(),
    principals: new Set<string>(),
  };
  let everybody = false;
  const walk = (value: unknown, depth: number): void => {
    if (value === null || typeof value !== 'object') return;
    // Deeper than any input of ours.
    if (depth > DEPTH) return;
    for (const [key, inner] of Object.entries(value)) {
      if (typeof inner === 'string') {
        if (key === 'tenant' || key === 'principalTenant') found.tenants.add(inner);
        else if (key === 'incarnation') found.incarnations.add(inner);
        else if (key === 'principal') found.principals.add(inner);
        else if (key === 'tenants' && inner === 'all') everybody = true;
      } else if (key === 'tenants' && Array.isArray(inner))
        for (const each of inner) found.tenants.add(String(each));
      walk(inner, depth + 1);
    }
  };
  walk(input, 0);
  return {
    tenants: [...found.tenants],
    incarnations: [...found.incarnations],
    principals: [...found.principals],
    everybody,
  };
}

/**
 * What is wrong with an input for who sent it: it names another as the one who asks, or the life of a tenant that is not
 * its sender's. Whether it names other tenants is for `denialOf`.
 */
export async function forgedIn(
  db: Queryable,
  { subject, tenant: own }: Pick<Principal, 'subject' | 'tenant'>,
  { principals, incarnations }: Named,
): Promise<Denial | undefined> {
  const hint = 'start it with the command or the client, which fill in what the token says';
  if (principals.some((principal) => principal !== subject))
    return { why: 'its input names another principal than its token', hint };
  for (const incarnation of own === undefined ? [] : incarnations)
    if (!isUuid(incarnation) || (await isForeignLife(db, incarnation, own!)))
      return { why: `its input names a life that is not tenant ${own}'s`, hint };
  return undefined;
}
