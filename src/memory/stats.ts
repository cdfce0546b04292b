import { DIMENSIONS, filtersOf } from './documents.js';
import { type Fields, type ReadOptions, readAll } from './readAll.js';
import type { MemoryScope, MemoryStats } from './tenantMemory.js';

interface Tally {
  readonly users: Set<string>;
  readonly agents: Set<string>;
  memories: number;
  bytes: number;
}

/**
 * By reading every memory's scope: Vespa's grouping estimates how many groups there are, and gives up above some ten
 * thousand.
 */
export async function statsOf(
  options: Omit<ReadOptions, 'fields'>,
  scope: MemoryScope,
): Promise<MemoryStats> {
  const wanted = Object.entries(filtersOf(scope));
  const slices: Tally[][] = [];
  await readAll(
    { ...options, fields: ['user_id', 'agent_id', 'run_id', 'payload_bytes'] },
    async (part) => {
      const tally: Tally = { users: new Set(), agents: new Set(), memories: 0, bytes: 0 };
      for await (const fields of part)
        if (wanted.every(([name, value]) => fields[name] === value)) count(tally, fields);
      return tally;
    },
    () => {
      const parts: Tally[] = [];
      slices.push(parts);
      return {
        take: async (part) => void parts.push(part),
        restart: async () => void (parts.length = 0),
      };
    },
  );
  const tallies = slices.flat();
  const sum = (of: (tally: Tally) => number) => tallies.reduce((total, tally) => total + of(tally), 0);
  return {
    total_memories: sum(({ memories }) => memories),
    unique_users: union(tallies.map(({ users }) => users)).size,
    unique_agents: union(tallies.map(({ agents }) => agents)).size,
    storage_mb: Math.round(sum(({ bytes }) => bytes)) / 1e6,
  };
}

function count(tally: Tally, fields: Fields): void {
  tally.memories++;
  tally.bytes += Number(fields['payload_bytes']) + DIMENSIONS * 4;
  // A field without a value is not sent.
  if (typeof fields['user_id'] === 'string') tally.users.add(fields['user_id']);
  if (typeof fields['agent_id'] === 'string') tally.agents.add(fields['agent_id']);
}

function union(sets: readonly ReadonlySet<string>[]): Set<string> {
  const all = new Set<string>();
  for (const set of sets) for (const one of set) all.add(one);
  return all;
}
