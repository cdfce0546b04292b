import { heartbeat } from '@temporalio/activity';
import { requireOwnTenant } from '../src/access/ownTenant.js';
import { checkInput } from '../src/contracts/common.js';
import {
  type IsolationCheck,
  type VerifyIsolationResult,
  scheduledIsolationInput,
  verifyIsolationInput,
} from '../src/contracts/isolation.js';
import { ISOLATION_WAYS } from '../src/domain/canaries.js';
import { OpsError } from '../src/domain/errors.js';
import { inLanes } from '../src/inLanes.js';
import { type Look, look } from '../src/isolation/look.js';
import { plantCanaries, removeCanaries } from '../src/isolation/plant.js';
import { type IsolationStores, waysOf } from '../src/isolation/ways.js';
import { whileWriting } from '../src/limits/memoryWriter.js';
import type { SharedDrain } from '../src/phoenix/drain.js';
import { transaction } from '../src/registry/database.js';
import {
  type MemberRow,
  enrol,
  findingsOf,
  forgetMembers,
  leftoverMembers,
  membersOf,
  noteFindings,
  notePlanting,
  noteRemoved,
  noteSkipped,
  plantedMembers,
  restoredSince,
  skippedMembers,
} from '../src/registry/isolation.js';
import { beginOperation, closeOperation, endOperation } from '../src/registry/operationLog.js';
import { getOperation } from '../src/registry/operations.js';
import { getLife, lockLife, requireTenant } from '../src/registry/tenants.js';
import { mayPass } from './failures.js';
import { heartbeating } from './heartbeat.js';
import type { IsolationActivities } from './types.js';

const VERB = 'isolation-verify';
/** Tenants at a time. */
const LANES = 4;
const MAX_CHECKS = 100;
const MAX_SKIPPED = 50;
const MAX_LEFTOVERS = 1000;

export interface IsolationDependencies extends IsolationStores {
  readonly drain: SharedDrain;
}

/** A tenant that is not checked this time, and why. */
class Skipped extends Error {
  override readonly name = 'Skipped';
}

export function createIsolationActivities(dependencies: IsolationDependencies): IsolationActivities {
  const { pool, drain } = dependencies;
  const ways = waysOf(dependencies);

  return {
    async beginIsolation({ operation, workflowId, ...raw }) {
      const byHand = 'principal' in raw;
      const input = byHand
        ? checkInput(verifyIsolationInput, { ...raw, operation })
        : { ...checkInput(scheduledIsolationInput, raw), ...SCHEDULED, tenants: 'all' as const };
      const { principal, reason, tenants } = input;
      if ('principalTenant' in input) requireAdmin(input.principalTenant, tenants);
      return transaction(pool, async (tx) => {
        const row = { operation, tenant: null, incarnation: null, principal, reason, workflowId };
        const named = tenants === 'all' ? undefined : await livesOf(tx, tenants);
        if (await beginOperation(tx, { ...row, kind: 'verifyIsolation', input: { tenants } }, VERB))
          await forgetMembers(tx);
        const members = await enrol(tx, operation, named);
        if (named !== undefined && members < named.length)
          throw new OpsError('WrongState', 'one of them is a throw-away tenant of a self-test');
        return { members };
      });
    },

    async removeLeftovers({ operation }) {
      return heartbeating(async (signal) => {
        const left = await leftoverMembers(pool, operation, MAX_LEFTOVERS);
        await removeAll(left, signal);
        return { tenants: left.length };
      });
    },

    async plantCanaries(page) {
      return heartbeating(async (signal) => {
        const members = await membersOf(pool, page);
        let planted = 0;
        await inLanes(
          members,
          LANES,
          async (member, either) => {
            if (await plant(member, either)) planted++;
            heartbeat();
          },
          signal,
        );
        // What Phoenix has accepted is stored from here on, and found.
        if (planted > 0) await drain.wait(signal);
        return { planted };
      });
    },

    async lookForCanaries({ each, ...page }) {
      return heartbeating(async (signal) => {
        const everybody = await plantedMembers(pool, page.operation);
        const counts: Record<string, number> = {};
        const checks: IsolationCheck[] = [];
        let tenants = 0;
        const mine = everybody.filter(({ item }) => item >= page.from && item <= page.to);
        await inLanes(
          mine,
          LANES,
          async (member, either) => {
            const others = everybody.filter(({ item }) => item !== member.item);
            const seen = await lookAs(member, others, either);
            heartbeat();
            if (seen === undefined) return;
            tenants++;
            for (const way of seen.ways) counts[way] = (counts[way] ?? 0) + others.length;
            await noteFindings(pool, page.operation, seen.findings);
            if (each) checks.push(...greenOf(member, others, seen));
          },
          signal,
        );
        return { tenants, pairs: tenants * Math.max(0, everybody.length - 1), ways: counts, checks };
      });
    },

    async removeCanaries(page) {
      await heartbeating(async (signal) => {
        const planted = (await membersOf(pool, page)).filter(({ state }) => state === 'planted');
        await removeAll(planted, signal);
      });
    },

    async finishIsolation({ operation, tenants, pairs, ways: counts, checks }) {
      const { findings, byName } = await findingsOf(pool, operation, MAX_CHECKS);
      const skipped = await skippedMembers(pool, operation);
      const named = (await getOperation(pool, operation)).input['tenants'] !== 'all';
      if (named && skipped[0]) throw notChecked(skipped[0]);
      const failed = [...byName.values()].reduce((sum, count) => sum + count, 0);
      const ok = failed === 0;
      await transaction(pool, async (tx) => {
        const state = ok ? 'completed' : 'completed_with_failures';
        const totals = { tenants, pairs, failed, skipped: skipped.length };
        const detail = {
          ...totals,
          findings: findings.slice(0, 5).map(({ name, a, b }) => ({ name, a, b })),
        };
        await endOperation(tx, operation, VERB, { state, counts: totals }, detail);
      });
      const red = findings.map((finding) => ({ ...finding, ok: false }));
      const result: VerifyIsolationResult = {
        ...{ ok, operation, tenants, pairs },
        checks: [...red, ...(named ? checks : summed(counts, byName))],
        skipped: skipped.slice(0, MAX_SKIPPED),
      };
      return result;
    },

    async failIsolation({ operation, state, failure }) {
      await closeOperation(pool, operation, VERB, { state, error: failure }, { ...failure });
    },
  };

  /** @returns false for one that is skipped */
  async function plant(member: MemberRow, stop: AbortSignal): Promise<boolean> {
    try {
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
        (_, signal) => mayPass(plantCanaries(dependencies, member, signal)),
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
    member: MemberRow,
    others: readonly MemberRow[],
    signal: AbortSignal,
  ): Promise<Look | undefined> {
    const open = async () => (await getLife(pool, member)).state === 'active';
    let seen: Look | undefined;
    let failure: unknown;
    try {
      if (await open()) seen = await mayPass(look(ways, member, others, signal));
    } catch (error) {
      failure = error;
    }
    // Its schemas and canaries went while it was looked at.
    const gone = !(await open()) ? 'it was deactivated meanwhile' : undefined;
    const restored = (await restoredSince(pool, member)) ? 'it was restored meanwhile' : undefined;
    const why = gone ?? restored;
    if (why === undefined) {
      if (failure !== undefined) throw failure;
      return seen;
    }
    await noteSkipped(pool, member, why);
    // What was seen of others was there all the same.
    const findings = seen?.findings.filter(({ missing }) => !missing) ?? [];
    await noteFindings(pool, member.operation, findings);
    return undefined;
  }

  async function removeAll(members: readonly MemberRow[], signal: AbortSignal): Promise<void> {
    if (members.length === 0) return;
    // A span that is still on its way would come back.
    await drain.wait(signal);
    await inLanes(
      members,
      LANES,
      async (member, either) => {
        await mayPass(removeCanaries(dependencies, member, either));
        await noteRemoved(pool, member);
        heartbeat();
      },
      signal,
    );
  }
}

const SCHEDULED = { principal: 'schedule:isolation', reason: 'daily verification of isolation' } as const;

function requireAdmin(
  own: Parameters<typeof requireOwnTenant>[0],
  tenants: 'all' | readonly Parameters<typeof requireOwnTenant>[1][],
): void {
  if (own === undefined) return;
  if (tenants !== 'all') requireOwnTenant(own, ...tenants);
  throw new OpsError(
    'PermissionDenied',
    `a principal of tenant ${own} cannot look at others`,
    'ask an administrator of all tenants',
  );
}

async function livesOf(
  db: Parameters<typeof requireTenant>[0],
  [a, b]: readonly [Parameters<typeof requireTenant>[1], Parameters<typeof requireTenant>[1]],
) {
  if (a === b)
    throw new OpsError('InvalidInput', 'isolation is between two tenants', 'name two, or none for all');
  const rows = [await requireTenant(db, a, 'verifyIsolation'), await requireTenant(db, b, 'verifyIsolation')];
  return rows.map(({ incarnation }) => incarnation);
}

/** What was looked for and is as it should be, by way. */
function greenOf(me: MemberRow, others: readonly MemberRow[], { ways, findings }: Look): IsolationCheck[] {
  return ways.flatMap((name) =>
    [me, ...others].flatMap(({ tenant: b }) =>
      findings.some((finding) => finding.name === name && finding.b === b)
        ? []
        : [
            {
              ...{ name, a: me.tenant, b, ok: true },
              detail: b === me.tenant ? 'finds its own' : 'nothing of it is found',
            },
          ],
    ),
  );
}

/** One check a way, over all pairs. */
function summed(
  counts: Readonly<Record<string, number | undefined>>,
  failed: ReadonlyMap<string, number>,
): IsolationCheck[] {
  return ISOLATION_WAYS.flatMap((name) => {
    const count = counts[name];
    const wrong = failed.get(name) ?? 0;
    if (count === undefined) return [];
    const detail = wrong === 0 ? `${count} pairs` : `${count} pairs, ${wrong} findings`;
    return [{ name, a: '*', b: '*', ok: wrong === 0, detail }];
  });
}

function notChecked({ tenant, why }: { readonly tenant: string; readonly why: string }): OpsError {
  return new OpsError('WrongState', `${tenant} could not be checked: ${why}`, 'verify them again');
}
