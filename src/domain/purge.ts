/** The kinds of store that a purge empties, in the order of the certificate. */
export const PURGE_STORES = [
  'documents',
  'memory',
  'schemas',
  'traces',
  'schedules',
  'ledger',
  'configuration',
] as const;
export type PurgeStore = (typeof PURGE_STORES)[number];

/** What one store holds of a tenant. */
export interface StoreCount {
  readonly store: PurgeStore;
  /** Which one: a physical schema, a Phoenix project, a table, a schedule. */
  readonly name: string;
  readonly count: number;
}

/** Why a tenant is deleted: somebody asked, its retention ended, or an operator ended the retention. */
export type PurgeTrigger = 'requested' | 'expiry' | 'purgeNow';

/** Two counts that differ, or a thing that only one of them has. */
export function differences(
  expected: readonly StoreCount[],
  found: readonly StoreCount[],
): {
  readonly store: PurgeStore;
  readonly name: string;
  readonly expected: number;
  readonly found: number;
}[] {
  const key = ({ store, name }: StoreCount) => `${store}\0${name}`;
  const [a, b] = [new Map(expected.map((c) => [key(c), c])), new Map(found.map((c) => [key(c), c]))];
  return [...new Set([...a.keys(), ...b.keys()])].flatMap((k) => {
    const { store, name } = (a.get(k) ?? b.get(k))!;
    const counts = { expected: a.get(k)?.count ?? 0, found: b.get(k)?.count ?? 0 };
    return counts.expected === counts.found ? [] : [{ store, name, ...counts }];
  });
}

/**
 * Between the two read-backs of a purge, when nobody says otherwise. Phoenix brings a deleted project back within
 * seconds when spans were queued; a minute also covers a sender that tries again.
 */
export const DEFAULT_SECOND_LOOK_SECONDS = 60;
