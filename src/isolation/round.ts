import { OpsError } from '../domain/errors.js';
import { inLanes } from '../inLanes.js';
import { whileWriting } from '../limits/memoryWriter.js';
import type { SharedDrain } from '../phoenix/drain.js';
import {
  type MemberRow,
  noteFindings,
  notePlanting,
  noteRemoved,
  noteSkipped,
  restoredSince,
} from '../registry/isolation.js';
import { getLife, lockLife } from '../registry/tenants.js';
import { type Look, look } from './look.js';
import { plantCanaries, removeCanaries } from './plant.js';
import { type IsolationStores, waysOf } from './ways.js';

export interface RoundStores extends IsolationStores {
  readonly drain: SharedDrain;
}

export interface Call {
  readonly signal: AbortSignal;
  /** After each tenant. */
  readonly onTenant: () => void;
  /** From 1; see {@link settle}. */
  readonly attempt: number;
}

/** Tenants at a time. */
const LANES = 4;
/** Attempts before one tenant's failure is a finding. */
const TRIES = 3;

/** Plants the canaries of some tenants; one that is not open is skipped. @returns how many have them */
export async function plantAll(
  stores: RoundStores,
  members: readonly MemberRow[],
  call: Call,
): Promise<number> {
  let planted = 0;
  const failed = await forEach(members, call, async (member, signal) => {
    if (await plant(stores, member, signal)) planted++;
  });
  await settle(stores, members, failed, call);
  // What Phoenix has accepted is stored from here on, and found.
  if (planted > 0) await stores.drain.wait(call.signal);
  return planted;
}

/**
 * Lets some tenants look for everybody's canaries; what is found goes to the registry.
 *
 * @param onLook hears of each that looked, and of whom for
 */
export async function lookAll(
  stores: RoundStores,
  members: readonly MemberRow[],
  everybody: readonly MemberRow[],
  onLook: (member: MemberRow, others: readonly MemberRow[], look: Look) => void,
  call: Call,
): Promise<void> {
  const failed = await forEach(members, call, async (member, signal) => {
    const others = everybody.filter(({ item }) => item !== member.item);
    const seen = await lookAs(stores, member, others, signal);
    if (seen === undefined) return;
    await noteFindings(stores.pool, member.operation, seen.findings);
    onLook(member, others, seen);
  });
  await settle(stores, members, failed, call);
}

/** Takes canaries away, of whatever run. @returns those of whom some may be left */
export async function removeAll(
  stores: RoundStores,
  members: readonly MemberRow[],
  call: Call,
): Promise<Failed[]> {
  if (members.length === 0) return [];
  // A span that is still on its way would come back.
  await stores.drain.wait(call.signal);
  return forEach(members, call, async (member, signal) => {
    await removeCanaries(stores, member, signal);
    await noteRemoved(stores.pool, member);
  });
}

/**
 * What a few tenants fail at again and again is theirs, such as a schema that is not in Vespa: it is found, and nobody
 * else goes unchecked for it. What all fail at is an outage, which is waited out.
 *
 * @throws the first failure, for another attempt
 */
export async function settle(
  { pool }: RoundStores,
  members: readonly MemberRow[],
  failed: readonly Failed[],
  { attempt }: Call,
): Promise<void> {
  if (failed[0] === undefined) return;
  if (failed.length === members.length || attempt < TRIES) throw failed[0].error;
  for (const { member, error } of failed) {
    const { operation, tenant } = member;
    const why = error instanceof Error ? error.message : String(error);
    const detail = `its stores could not be checked: ${why}`;
    await noteFindings(pool, operation, [{ name: 'stores', a: tenant, b: tenant, detail }]);
  }
}

/** A tenant that is not checked this time, and why. */
class Skipped extends Error {
  override readonly name = 'Skipped';
}

/** @returns false for one that is skipped */
async function plant(stores: RoundStores, member: MemberRow, stop: AbortSignal): Promise<boolean> {
  const { pool } = stores;
  try {
    // A purge, a restore or a fence that begins now waits for the end of it: nothing is written behind it.
    await whileWriting(
      pool,
      async (tx) => {
        const row = await lockLife(tx, member, 'verifyIsolation').catch((error: unknown) => {
          throw error instanceof OpsError ? new Skipped(error.message) : error;
        });
        if (row.fence !== null) throw new Skipped(`it is closed to changes by operation ${row.fence}`);
        if (!(await notePlanting(tx, member)))
          throw new Skipped('another verification has its canaries in it');
        return row;
      },
      (_, signal) => plantCanaries(stores, member, signal),
      { signal: stop },
    );
    return true;
  } catch (error) {
    if (!(error instanceof Skipped)) throw error;
    await noteSkipped(pool, member, error.message);
    return false;
  }
}

/** @returns undefined for a tenant that something happened to meanwhile */
async function lookAs(
  stores: RoundStores,
  member: MemberRow,
  others: readonly MemberRow[],
  signal: AbortSignal,
): Promise<Look | undefined> {
  const { pool } = stores;
  const isOpen = async () => (await getLife(pool, member)).state === 'active';
  const looking = (await isOpen()) ? look(waysOf(stores), member, others, signal) : undefined;
  const seen = await looking?.catch(() => undefined);
  // Its schemas or canaries went while it was looked at.
  const gone = (await isOpen()) ? undefined : 'it was deactivated meanwhile';
  const why = gone ?? ((await restoredSince(pool, member)) ? 'it was restored meanwhile' : undefined);
  if (why === undefined) return looking;
  await noteSkipped(pool, member, why);
  // What was seen of others was there all the same.
  const findings = seen?.findings.filter(({ missing }) => !missing) ?? [];
  await noteFindings(pool, member.operation, findings);
  return undefined;
}

export interface Failed {
  readonly member: MemberRow;
  readonly error: unknown;
}

/** Some at a time; one that fails keeps nobody from their turn. */
async function forEach(
  members: readonly MemberRow[],
  { signal, onTenant }: Call,
  work: (member: MemberRow, signal: AbortSignal) => Promise<void>,
): Promise<Failed[]> {
  const failed: Failed[] = [];
  await inLanes(
    members,
    LANES,
    async (member, either) => {
      await work(member, either).catch((error: unknown) => {
        either.throwIfAborted();
        failed.push({ member, error });
      });
      onTenant();
    },
    signal,
  );
  return failed;
}
